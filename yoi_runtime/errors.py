"""Every exception that yoi_runtime raises on purpose, in one tree.

    YoiError
    ├── MissingExtraError            an optional dependency is not installed
    ├── LogError                     the log on disk; carries ``directory``
    │   ├── LogHeldError             another process holds the log for writing
    │   ├── LogClosedError           this writer was closed
    │   ├── LogBusyError             too many bytes wait for the disk
    │   ├── LogReentryError          called from within an append of the same thread (a signal handler)
    │   ├── LogFullError             the disk refused bytes; the log is whole, try again later
    │   ├── LogBrokenError           the writer can promise nothing any more; open the log anew
    │   ├── LogNotFoundError         no log in this directory
    │   ├── LogPlacementError        the directory is on a file system where a log is not safe
    │   ├── LogFormatError           a file of the log is of a version or shape we do not know
    │   ├── LogUnavailableError      the answer needs a writer to open (or be alive on) this log first
    │   ├── RecordTooLargeError      a record over the limit; nothing was written
    │   ├── RecordCorruptError       unreadable bytes at a known place
    │   └── SegmentGoneError         the segment being read was rotated out
    ├── CursorError                  an answer to a cursor; carries ``token``
    │   ├── CursorMalformedError     it does not decode
    │   ├── CursorForeignError       it belongs to another log
    │   ├── CursorExpiredError       an event after it was rotated out; carries the floor
    │   ├── CursorUnknownError       there is no such place
    │   └── CursorAheadError         it lies past the end
    ├── EventInvalidError            an event that breaks the vocabulary's rules
    ├── RequestInvalidError          a request for a stream that breaks the protocol's rules
    ├── FrameInvalidError            a text message that is no frame
    ├── CaseInvalidError             a conformance case that breaks the grammar of cases
    ├── WorkerError                  carries ``worker_id``
    │   ├── WorkerIdInvalidError     the id breaks the grammar
    │   ├── WorkerRunningError       a Worker of this id runs already
    │   ├── WorkerNotFoundError      no Worker of this id
    │   ├── WorkerEndedError         the Worker has ended; it takes no more events
    │   └── WorkerStartError         its command could not be started
    ├── AdapterError                 no adapter of this name, or one that cannot be used
    └── StreamError                  the Backend client's side of a stream
        ├── StreamConnectError       no connection: refused, timed out, not resolved, TLS
        ├── StreamRefusedError       the Runtime refused; carries the diagnostic
        ├── StreamGapError           events are missing between two that came
        └── StreamFrameError         a message that cannot be read; it may have been an event

Errors carry fields and build their message from them. ``OSError`` passes through the
log unchanged where the table above has no word for it, after the file is back in a good state.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "AdapterError",
    "CaseInvalidError",
    "CursorAheadError",
    "CursorError",
    "CursorExpiredError",
    "CursorForeignError",
    "CursorMalformedError",
    "CursorUnknownError",
    "EventInvalidError",
    "FrameInvalidError",
    "LogBrokenError",
    "LogBusyError",
    "LogClosedError",
    "LogError",
    "LogFormatError",
    "LogFullError",
    "LogHeldError",
    "LogNotFoundError",
    "LogPlacementError",
    "LogReentryError",
    "LogUnavailableError",
    "MissingExtraError",
    "RecordCorruptError",
    "RecordTooLargeError",
    "RequestInvalidError",
    "SegmentGoneError",
    "StreamConnectError",
    "StreamError",
    "StreamFrameError",
    "StreamGapError",
    "StreamRefusedError",
    "WorkerEndedError",
    "WorkerError",
    "WorkerIdInvalidError",
    "WorkerNotFoundError",
    "WorkerRunningError",
    "WorkerStartError",
    "YoiError",
]


class YoiError(Exception):
    """Base of everything raised on purpose."""


class MissingExtraError(YoiError):
    """An optional dependency is not installed; says which extra brings it."""

    def __init__(self, extra: str, purpose: str) -> None:
        self.extra = extra
        self.purpose = purpose
        super().__init__(f"{purpose} needs the extra '{extra}': pip install 'yoi-runtime[{extra}]'")


class LogError(YoiError):
    """Something about the log in ``directory``."""

    def __init__(self, directory: Path, message: str) -> None:
        self.directory = directory
        super().__init__(message)


class LogHeldError(LogError):
    """Another process (``pid``, when known) holds the log for writing."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        self.pid = pid
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(directory, f"{directory}: the log is held for writing by {holder}")


class LogClosedError(LogError):
    """The writer was closed; nothing was written."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, f"{directory}: the log is closed")


class LogBusyError(LogError):
    """The disk is behind: ``unsynced_bytes`` wait for it. Nothing was written; try again."""

    def __init__(self, directory: Path, unsynced_bytes: int, waited_seconds: float) -> None:
        self.unsynced_bytes = unsynced_bytes
        self.waited_seconds = waited_seconds
        super().__init__(
            directory,
            f"{directory}: {unsynced_bytes} bytes still wait for the disk after {waited_seconds:.1f} s; nothing was written",
        )


class LogReentryError(LogError):
    """Called in the middle of an append of the same thread: from a signal handler, or a finalizer. Nothing was done.

    A handler hands over to a thread or an event loop instead (``loop.add_signal_handler``).
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, f"{directory}: called from within an append of the same thread; nothing was done")


class LogFullError(LogError):
    """The disk refused the bytes of one record (no space, quota, short write).

    State: the segment is back at its former length, everything before is intact, and an append
    may succeed as soon as there is room.
    """

    def __init__(self, file: Path, offset: int, seq: int, reason: str) -> None:
        self.file = file
        self.offset = offset
        self.seq = seq
        self.reason = reason
        super().__init__(
            file.parent, f"{file}: no room for record seq {seq} at offset {offset}: {reason}; nothing was lost"
        )


class LogBrokenError(LogError):
    """The writer is out of service for good (a failed fsync, a file that could not be cut back).

    State: what was synced stays readable; open the log anew to go on. Appends and waits on this
    writer raise this error from now on.
    """

    def __init__(self, file: Path, offset: int, seq: int, reason: str) -> None:
        self.file = file
        self.offset = offset
        self.seq = seq
        self.reason = reason
        super().__init__(
            file.parent, f"{file}: writer out of service after seq {seq}, offset {offset}: {reason}; open the log anew"
        )


class LogNotFoundError(LogError):
    """There is no log in ``directory``."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, f"{directory}: no log here")


class LogPlacementError(LogError):
    """The directory is on a network file system (``filesystem``), where locks and syncs may not hold."""

    def __init__(self, directory: Path, filesystem: str) -> None:
        self.filesystem = filesystem
        super().__init__(
            directory, f"{directory}: a log on {filesystem} is not safe; choose a disk of this machine, or allow it"
        )


class LogFormatError(LogError):
    """A file of the log has a version or a shape that this program does not know."""

    def __init__(self, file: Path, reason: str, offset: int = 0) -> None:
        self.file = file
        self.offset = offset
        self.reason = reason
        super().__init__(file.parent, f"{file}, offset {offset}: {reason}")


class LogUnavailableError(LogError):
    """The log cannot answer at present; a writer has to open it first. Retry later."""

    def __init__(self, directory: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(directory, f"{directory}: {reason}")


class RecordTooLargeError(LogError):
    """A record of ``size_bytes`` is over ``limit_bytes``; nothing was written."""

    def __init__(self, directory: Path, size_bytes: int, limit_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(directory, f"{directory}: record of {size_bytes} bytes is over the limit of {limit_bytes}")


class RecordCorruptError(LogError):
    """Bytes that should be a record are not one. Everything else stays readable.

    ``seq`` is the number of the first record that cannot be read, ``offset`` the place in
    ``segment`` where it should be. Reading goes on at ``resume_offset`` of ``resume_segment``;
    ``resume_seq`` is the number of the last record before that place, so the records ``seq`` to
    ``resume_seq`` are what is lost.
    """

    def __init__(
        self,
        file: Path,
        segment: int,
        offset: int,
        seq: int,
        reason: str,
        *,
        resume_segment: int,
        resume_offset: int,
        resume_seq: int,
    ) -> None:
        self.file = file
        self.segment = segment
        self.offset = offset
        self.seq = seq
        self.reason = reason
        self.resume_segment = resume_segment
        self.resume_offset = resume_offset
        self.resume_seq = resume_seq
        super().__init__(file.parent, f"{file}: record seq {seq} at offset {offset} is damaged: {reason}")


class SegmentGoneError(LogError):
    """The segment a reader stands in was rotated out; ``segment`` names it."""

    def __init__(self, directory: Path, segment: int) -> None:
        self.segment = segment
        super().__init__(directory, f"{directory}: segment {segment} was rotated out")


class CursorError(YoiError):
    """An answer to a cursor that cannot be resumed from. ``token`` is as the peer sent it, cut to 64 characters."""

    def __init__(self, token: str, message: str) -> None:
        self.token = token[:64]
        super().__init__(message)


class CursorMalformedError(CursorError):
    """Not a cursor token: empty, too long, not decodable, or its checksum does not match."""

    def __init__(self, token: str, reason: str) -> None:
        self.reason = reason
        super().__init__(token, f"not a cursor token: {reason}")


class CursorForeignError(CursorError):
    """A sound token of another log."""

    def __init__(self, token: str, cursor_log_id: str, log_id: str) -> None:
        self.cursor_log_id = cursor_log_id
        self.log_id = log_id
        super().__init__(token, f"the cursor belongs to log {cursor_log_id}, this is log {log_id}")


class CursorExpiredError(CursorError):
    """An event after the cursor was rotated out. ``floor`` is the oldest cursor token still readable."""

    def __init__(self, token: str, floor: str) -> None:
        self.floor = floor
        super().__init__(token, "events after the cursor were rotated out")


class CursorUnknownError(CursorError):
    """The log has no such place (another segment nonce, or not a record boundary)."""

    def __init__(self, token: str, reason: str) -> None:
        self.reason = reason
        super().__init__(token, f"the log has no such place: {reason}")


class CursorAheadError(CursorError):
    """The cursor lies past the end of the log, or of its segment: the events it follows were lost."""

    def __init__(self, token: str, reason: str) -> None:
        self.reason = reason
        super().__init__(token, f"the cursor lies past the end of the log: {reason}")


class EventInvalidError(YoiError):
    """An event that breaks the vocabulary's rules. ``where`` is a path such as ``data.text``."""

    def __init__(self, event_name: str | None, where: str, reason: str) -> None:
        self.event_name = event_name
        self.where = where
        self.reason = reason
        name = f"event {event_name!r}" if event_name is not None else "event"
        super().__init__(f"{name}, {where}: {reason}" if where else f"{name}: {reason}")


class RequestInvalidError(YoiError):
    """A request for a stream that breaks the protocol's rules. ``parameter``: what to change, cut to 64 characters."""

    def __init__(self, parameter: str, reason: str) -> None:
        self.parameter = parameter[:64]
        self.reason = reason
        super().__init__(f"{self.parameter}: {reason}")


class FrameInvalidError(YoiError):
    """A text message that is not JSON, or not of the shape its kind has."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"not a frame: {reason}")


class CaseInvalidError(YoiError):
    """A conformance case that cannot be played. ``where``: its file or its name."""

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"{where}: {reason}")


class WorkerError(YoiError):
    """Something about the Worker ``worker_id``."""

    def __init__(self, worker_id: str, message: str) -> None:
        self.worker_id = worker_id
        super().__init__(message)


class WorkerIdInvalidError(WorkerError):
    """The id does not match ``[A-Za-z0-9_-]{1,64}``."""

    def __init__(self, worker_id: str) -> None:
        shown = worker_id[:64] + ("…" if len(worker_id) > 64 else "")
        super().__init__(worker_id[:64], f"Worker id {shown!r} is not 1 to 64 of the characters A-Z a-z 0-9 _ -")


class WorkerRunningError(WorkerError):
    """A Worker of this id runs already."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(worker_id, f"Worker {worker_id} is running already")


class WorkerNotFoundError(WorkerError):
    """No Worker of this id is known."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(worker_id, f"no Worker {worker_id}")


class WorkerEndedError(WorkerError):
    """The Worker has ended and takes no more events; create it anew to go on."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(worker_id, f"Worker {worker_id} has ended; create it anew to go on")


class WorkerStartError(WorkerError):
    """The Worker's command could not be started; no process exists."""

    def __init__(self, worker_id: str, command: str, reason: str) -> None:
        self.command = command
        self.reason = reason
        super().__init__(worker_id, f"Worker {worker_id}: cannot start {command!r}: {reason}")


class AdapterError(YoiError):
    """There is no adapter ``name``, or the installed ``distribution`` that brings it is broken."""

    def __init__(self, name: str, distribution: str | None, reason: str) -> None:
        self.name = name
        self.distribution = distribution
        self.reason = reason
        source = f" of the distribution {distribution!r}" if distribution is not None else ""
        super().__init__(f"adapter {name!r}{source} {reason}")


class StreamError(YoiError):
    """Something about the stream from ``url`` (never with credentials in it)."""

    def __init__(self, url: str, message: str) -> None:
        self.url = url
        super().__init__(message)


class StreamConnectError(StreamError):
    """No connection could be made; trying again may help."""

    def __init__(self, url: str, reason: str) -> None:
        self.reason = reason
        super().__init__(url, f"cannot connect to {url}: {reason}")


class StreamRefusedError(StreamError):
    """The Runtime refused with a diagnostic that says not to repeat the request.

    ``lost`` is the receipt for events that can no longer be read, when the diagnostic has one.
    """

    def __init__(self, url: str, diagnostic: Mapping[str, Any]) -> None:
        self.diagnostic = dict(diagnostic)
        self.code = str(diagnostic.get("code", ""))
        self.recovery = str(diagnostic.get("recovery", ""))
        self.lost: Mapping[str, Any] | None = diagnostic.get("lost")
        super().__init__(url, f"{url} refused: {self.code}: {diagnostic.get('message', '')}")


class StreamGapError(StreamError):
    """Two events that came do not follow each other: the number ``expected`` should have come, ``got`` did.

    ``numbering`` is ``seq`` or ``worker_seq``. ``cursor`` is the point before the hole, of the last event handed
    over; ``cursor_after`` the point after the event ``got``, which was not.
    """

    def __init__(self, url: str, expected: int, got: int, *, numbering: str, cursor: str, cursor_after: str) -> None:
        self.expected = expected
        self.got = got
        self.numbering = numbering
        self.cursor = cursor
        self.cursor_after = cursor_after
        super().__init__(url, f"{url}: {numbering} {expected} should have come, {got} did")


class StreamFrameError(StreamError):
    """The Runtime sent what cannot be read; since it may have been an event, the stream ends here."""

    def __init__(self, url: str, reason: str) -> None:
        self.reason = reason
        super().__init__(url, f"{url}: {reason}")

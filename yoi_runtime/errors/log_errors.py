"""What goes wrong with the log on disk. The whole tree is drawn in ``yoi_runtime.errors``."""

from __future__ import annotations

import errno as errnos
from collections.abc import Sequence
from pathlib import Path

from yoi_runtime.errors.root import YoiError

__all__ = [
    "LogBrokenError",
    "LogBusyError",
    "LogClosedError",
    "LogDiskError",
    "LogError",
    "LogFormatError",
    "LogFullError",
    "LogHeldError",
    "LogNotFoundError",
    "LogPlacementError",
    "LogReentryError",
    "LogStoppedError",
    "LogUnavailableError",
    "LogVersionError",
    "RecordCorruptError",
    "RecordTooLargeError",
    "SegmentGoneError",
]


# What the system lacks at the moment, and gets back without anybody looking at the disk.
_PASSING = frozenset({errnos.EMFILE, errnos.ENFILE, errnos.EINTR, errnos.ENOMEM, errnos.EAGAIN})


class LogError(YoiError):
    """Something about the log in ``directory``.

    ``is_passing``: nothing was written, and the same append may succeed later. Who can keep the event offers it again.
    """

    is_passing = False

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

    is_passing = True

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

    is_passing = True

    def __init__(self, file: Path, offset: int, seq: int, reason: str) -> None:
        self.file = file
        self.offset = offset
        self.seq = seq
        self.reason = reason
        super().__init__(
            file.parent, f"{file}: no room for record seq {seq} at offset {offset}: {reason}; nothing was lost"
        )


class LogDiskError(LogError, OSError):
    """The disk, or the system, refused one record for another reason than room (EIO, EROFS, EMFILE; ``errno`` says which).

    State: as for ``LogFullError``. An ``OSError`` as well, for who asks for its ``errno``. It is passing where the system
    was out of descriptors or memory, or was interrupted; what is wrong with a disk stays wrong.
    """

    def __init__(self, file: Path, offset: int, seq: int, errno: int | None, reason: str) -> None:
        self.file = file
        self.offset = offset
        self.seq = seq
        self.reason = reason
        self.is_passing = errno in _PASSING
        self._message = f"{file}: record seq {seq} at offset {offset} was refused: {reason}; nothing was lost"
        super().__init__(file.parent, self._message)
        self.errno, self.strerror, self.filename = errno, reason, str(file)

    def __str__(self) -> str:
        # Not OSError's, which leaves out offset and seq.
        return self._message


class LogStoppedError(LogError):
    """Of several events that were handed over together the first are in the log, after which ``cause`` came.

    ``cursors`` are the tokens of those that are in the log, at least one; the others are not in it.
    """

    def __init__(self, directory: Path, cursors: Sequence[str], cause: LogError | OSError) -> None:
        self.cursors = tuple(cursors)
        self.cause = cause
        super().__init__(directory, f"{directory}: only the first {len(self.cursors)} events were appended: {cause}")


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
    """A file of the log has a shape that this program does not know."""

    def __init__(self, file: Path, reason: str, offset: int = 0) -> None:
        self.file = file
        self.offset = offset
        self.reason = reason
        super().__init__(file.parent, f"{file}, offset {offset}: {reason}")


class LogVersionError(LogFormatError):
    """A sound file of the log is of format ``version``, and this program knows ``known``. Nothing was changed."""

    def __init__(self, file: Path, version: object, known: int) -> None:
        self.version = version
        self.known = known
        super().__init__(file, f"format version {version!r}; this program knows version {known}")


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

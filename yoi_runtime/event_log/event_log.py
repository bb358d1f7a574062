"""The event log: typed events in, records out. Owns the append lock and the gap-free numbers.

Joins ``segment_log``, which knows bytes, and ``events``, which knows types. What is due as segments come and
go is ``upkeep``'s affair; a bookkeeper makes durable what must outlive a deleted segment.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from yoi_runtime.errors import (
    CursorAheadError,
    CursorForeignError,
    LogError,
    LogFullError,
    LogReentryError,
    LogStoppedError,
    WorkerEndedError,
)
from yoi_runtime.event_log.author import Author
from yoi_runtime.event_log.bookkeeper import Bookkeeper
from yoi_runtime.event_log.oversize import cut_event
from yoi_runtime.event_log.refused import RefusedEvents
from yoi_runtime.event_log.turn import Turn
from yoi_runtime.event_log.upkeep import Upkeep
from yoi_runtime.events import Alert, Event, encode_payload, encode_payloads
from yoi_runtime.notices import Notice, named
from yoi_runtime.segment_log.cursor import NO_WORKER, CursorToken, decode_token, worker_tag
from yoi_runtime.segment_log.figures import TIMED_EVERY, LogFigures
from yoi_runtime.segment_log.platform import Platform, abandon_after_fork
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.timestamp import TimestampFormat
from yoi_runtime.segment_log.writer import LogWriter, SealedSegment

__all__ = ["EventLog"]

_log = logging.getLogger("yoi_runtime.event_log")

# Bytes of a record around its payload: token, ids, numbers at their longest, checksum.
_AROUND_PAYLOAD_BYTES = 400


# CursorToken(...) returns its argument, in 0.13 µs.
_as_token = cast("Callable[[bytes], CursorToken]", bytes.decode)


# More heads than this need not be made in vain when a segment or the disk takes fewer.
_MOST_IN_A_RUN = 512


# Of the bits of the last seq: all set, and the next event is a timed one.
_UNTIMED = TIMED_EVERY - 1


class EventLog:
    """An open event log; any thread may call any method."""

    def __init__(
        self, writer: LogWriter, bookkeeper: Bookkeeper, retention: RetentionPolicy, platform: Platform
    ) -> None:
        """Take over ``writer``; ``close`` closes it. ``start_maintenance`` starts age-based rolls and retention."""
        self._writer = writer
        self._books = bookkeeper
        self._upkeep = Upkeep(writer, bookkeeper, retention)
        self._now_us = platform.clock.now_us
        self._monotonic = platform.clock.monotonic
        self._turn = Turn(writer)
        self._timestamp = TimestampFormat().__call__
        self._refused = RefusedEvents()
        self._max_payload_bytes = writer.options.max_record_bytes - _AROUND_PAYLOAD_BYTES
        self._stop = threading.Event()
        self._maintenance: threading.Thread | None = None
        abandon_after_fork(self)

    def abandon_in_child(self) -> None:
        """Let a forked child be told that the log is closed there: the turn may be that of a thread it does not have."""
        self._turn = Turn(self._writer)
        self._maintenance = None

    @property
    def log_id(self) -> str:
        return self._writer.log_id

    @property
    def directory(self) -> Path:
        return self._writer.directory

    @property
    def figures(self) -> LogFigures:
        """Return what the writer can tell of itself while it works."""
        return self._writer.figures

    def sealed_segments(self) -> Sequence[SealedSegment]:
        """Return the sealed segments that are still there, oldest first."""
        return self._writer.sealed

    # Appending.

    def append(self, event: Event, worker_id: str | None = None, author: Author | None = None) -> CursorToken:
        """Append one event of a Worker, or of the Runtime, and return its cursor token.

        With an ``author`` nothing is taken once that has ended (``end``).

        An event too large for a record is cut at its longest string, and an ``alert`` after it says so.
        When the disk refuses it, that is told before anything else is appended, in an ``events_lost`` in the
        Worker's own sequence.

        Raises:
            EventInvalidError: nothing was written.
            RecordTooLargeError: too large and nothing in it can be cut; nothing was written.
            LogBusyError, LogFullError, LogDiskError, LogBrokenError, LogClosedError: as ``LogWriter.append``.
            OSError: what Ctrl-C interrupted before could not be mended yet; nothing was written.
            LogReentryError: called from a signal handler, in the middle of an append; nothing was written.
            WorkerEndedError: the author has ended; nothing was written.

        Durability: survives a killed process at once, a power cut after ``wait_durable``.
        """
        payload, alert = encode_payload(event), None
        if len(payload) > self._max_payload_bytes:
            payload, alert = self._cut(event, payload)
        # Turn.take, spelled out: the call and the closure for it take 0.2 µs.
        turn = self._turn
        with self._writer.lock:
            if turn.held:
                raise LogReentryError(self.directory)
            turn.held = True
            try:
                if author is not None and author.ended:
                    raise WorkerEndedError(author.worker_id)
                if alert is None and not self._refused.by_worker and not turn.interrupted:
                    return self._append(event, payload, worker_id)
                return self._append_told(event, payload, alert, worker_id)
            except (LogFullError, OSError):
                self._note_refused(worker_id)
                raise
            except Exception:
                raise
            except BaseException:
                turn.interrupted = True
                raise
            finally:
                turn.held = False

    def offer(self, event: Event, worker_id: str | None = None, author: Author | None = None) -> CursorToken:
        """Like ``append``, for a caller that keeps a refused event and offers it again: no loss is noted."""
        payload, alert = encode_payload(event), None
        if len(payload) > self._max_payload_bytes:
            payload, alert = self._cut(event, payload)

        def offered() -> CursorToken:
            if author is not None and author.ended:
                raise WorkerEndedError(author.worker_id)
            return self._append_told(event, payload, alert, worker_id)

        return self._turn.take(offered)

    def append_many(
        self, events: Sequence[Event], worker_id: str | None = None, author: Author | None = None
    ) -> list[CursorToken]:
        """Append events in this order, several in one write, and return their cursor tokens.

        Each is an event like any other: its own record, cursor and numbers. No other thread's come between those of
        one call. All are encoded before the first is written.

        Raises:
            LogStoppedError: those before the one that was refused are in the log, as a prefix; its ``cause`` says why
                the others are not. They are told in an ``events_lost`` as by ``append``.
            EventInvalidError, RecordTooLargeError: of any of them; nothing was written.
            LogError, OSError: as ``append``; nothing was written.
        """
        return self._many(events, worker_id, author, self._note_refused)

    def offer_many(
        self,
        events: Sequence[Event],
        worker_id: str | None = None,
        author: Author | None = None,
        keys: Sequence[str | None] | None = None,
    ) -> list[CursorToken]:
        """Like ``append_many``, for a caller that keeps refused events and offers them again: no loss is noted.

        ``keys``: of each event the key that its record is to bear (``events.event_key``), or None.
        """
        return self._many(events, worker_id, author, lambda *_: None, keys)

    def _many(
        self,
        events: Sequence[Event],
        worker_id: str | None,
        author: Author | None,
        note_refused: Callable[[str | None, int], None],
        keys: Sequence[str | None] | None = None,
    ) -> list[CursorToken]:
        payloads = encode_payloads(events, keys)
        alerts: dict[int, Alert] = {}
        for index, payload in enumerate(payloads):
            if len(payload) > self._max_payload_bytes:
                payloads[index], alerts[index] = self._cut(events[index], payload)
        tokens: list[CursorToken] = []

        def append_all() -> list[CursorToken]:
            if author is not None and author.ended:
                raise WorkerEndedError(author.worker_id)
            try:
                if events:
                    self._settle()
                while (begin := len(tokens)) < len(events):
                    # What was cut ends its run, for the sake of the alert after it.
                    end = min((index + 1 for index in alerts if index >= begin), default=len(events))
                    end = min(end, begin + _MOST_IN_A_RUN)
                    tokens.extend(self._append_run(events[begin:end], payloads[begin:end], worker_id))
                    if (alert := alerts.get(len(tokens) - 1)) is not None:
                        self._append_alert(alert, worker_id)
            except (LogError, OSError) as error:
                if isinstance(error, (LogFullError, OSError)):
                    note_refused(worker_id, len(events) - len(tokens))
                if not tokens:
                    raise
                raise LogStoppedError(self.directory, tokens, error) from error
            return tokens

        return self._turn.take(append_all)

    def _append_run(
        self, events: Sequence[Event], payloads: Sequence[bytes], worker_id: str | None
    ) -> list[CursorToken]:
        """Append the first of some events, at least one, in one write; return their tokens."""
        if worker_id is None:
            return [self._append(events[0], payloads[0], None)]
        began = None if self._writer.last_seq % TIMED_EVERY + len(events) < TIMED_EVERY else self._monotonic()
        time = self._timestamp(self._now_us())
        first = self._books.last_worker_seq(worker_id) + 1
        before, after = f'"worker_id":"{worker_id}","worker_seq":', f',"time":"{time}","payload":'
        heads = [f"{before}{worker_seq}{after}" for worker_seq in range(first, first + len(events))]
        tokens = self._writer.append_run_held(heads, payloads, worker_tag(worker_id), first)
        self._upkeep.catch_up()
        count = len(tokens)
        self._books.appended_run(self._writer.last_seq - count + 1, worker_id, first, time, events[:count])
        if began is not None:
            self._writer.figures.append_seconds.add(self._monotonic() - began)
        return [_as_token(token) for token in tokens]

    def end(self, author: Author, event: Event) -> bool:
        """Append ``event`` of the Runtime and end ``author`` in one turn; False when it had ended before.

        Raises:
            As ``append``; the author has not ended then.
        """
        payload = encode_payload(event)

        def ended() -> bool:
            if author.ended:
                return False
            self._settle()
            before = self._writer.last_seq
            try:
                self._append(event, payload, None)
            finally:
                # Also where Ctrl-C strikes: what is in the log stays there, and nothing may come after it.
                author.ended = self._writer.last_seq > before
            return True

        return self._turn.take(ended)

    def _append_told(self, event: Event, payload: bytes, alert: Alert | None, worker_id: str | None) -> CursorToken:
        """Append an event between what has to be told before it and after it."""
        self._settle()
        token = self._append(event, payload, worker_id)
        if alert is not None:
            self._append_alert(alert, worker_id)
        return token

    def _settle(self) -> None:
        """Do what has to be done before anything is appended: mend what was interrupted, tell what was refused."""
        if self._turn.interrupted:
            self._mend()
        if self._refused.by_worker:
            self._tell_refused()

    def _append(self, event: Event, payload: bytes, worker_id: str | None) -> CursorToken:
        writer, books = self._writer, self._books
        began = None if ~writer.last_seq & _UNTIMED else self._monotonic()
        # Fetched before they are called, here and on the rest of the way: CPython looks up ``self._held_callable(...)``
        # anew each time, which made an append 5.8 µs, not 5.5.
        now_us, timestamp = self._now_us, self._timestamp
        time = timestamp(now_us())
        if worker_id is None:
            worker_seq = 0
            head = f'"worker_id":null,"worker_seq":null,"time":"{time}","payload":'
            token = writer.append_held(head, payload, NO_WORKER, 0)
        else:
            worker_seq = books.last_worker_seq(worker_id) + 1
            head = f'"worker_id":"{worker_id}","worker_seq":{worker_seq},"time":"{time}","payload":'
            token = writer.append_held(head, payload, worker_tag(worker_id), worker_seq)
        if writer.active_number != self._upkeep.followed:
            self._upkeep.follow_roll()
        books.appended(writer.last_seq, worker_id, worker_seq, time, event)
        if began is not None:
            writer.figures.append_seconds.add(self._monotonic() - began)
        return _as_token(token)

    def _cut(self, event: Event, payload: bytes) -> tuple[bytes, Alert]:
        return cut_event(event, payload, self._max_payload_bytes, self.directory, self._now_us() // 1000)

    def _append_alert(self, alert: Alert, worker_id: str | None) -> None:
        """Append the alert about an event that is in the log already: an error would have that offered again."""
        try:
            self._append(alert, encode_payload(alert), worker_id)
        except (LogError, OSError) as error:
            told = named(Notice.ALERT_NOT_WRITTEN, worker_id=worker_id)
            _log.warning(
                "Worker %s: %s; this could not be told in the log: %s", worker_id, alert.message, error, extra=told
            )
            self._note_refused(worker_id)

    def _mend(self) -> None:
        """Bring log and books together again after an append that Ctrl-C ended between the two.

        Raises:
            LogError, OSError: not done; the next append tries again, and appends nothing before that.
        """
        self._writer.mend()
        self._writer.sync()
        self._books.catch_up()
        self._upkeep.followed = self._writer.active_number
        self._turn.interrupted = False

    def _note_refused(self, worker_id: str | None, events: int = 1) -> None:
        self._refused.note(worker_id, self._timestamp(self._now_us()), events)

    def _tell_refused(self) -> None:
        """Tell every Worker's loss, also of those that say nothing more themselves."""
        for worker_id, lost in self._refused.losses():
            before = self._writer.last_seq
            try:
                self._append(lost, encode_payload(lost), worker_id)
            finally:
                # Also where Ctrl-C strikes: what is in the log has been told. Not by a call, where it might strike again.
                if self._writer.last_seq > before:
                    del self._refused.by_worker[worker_id]

    # Durability and room.

    def wait_durable(self, cursor: CursorToken, deadline_seconds: float | None = None) -> None:
        """Block until the event of ``cursor`` survives a power cut.

        Raises:
            CursorMalformedError, CursorForeignError, CursorAheadError: not a cursor of an event in this log.
            LogBusyError: the deadline passed.
            LogBrokenError, LogClosedError: it will never happen.
        """
        self._writer.wait_synced(self._position_of(cursor), deadline_seconds)

    async def durable(self, cursor: CursorToken) -> None:
        """Like ``wait_durable``, for a coroutine, without a deadline."""
        await self._writer.synced_at(self._position_of(cursor))

    async def settled(self) -> None:
        """Wait until everything that was appended before survives a power cut. Raises ``LogBrokenError``, ``LogClosedError``."""
        await self._writer.synced_at(self._writer.end)

    async def room(self) -> None:
        """Wait until an append need not wait for the disk. Raises ``LogBrokenError``, ``LogClosedError``."""
        await self._writer.room()

    def _position_of(self, token: CursorToken) -> Position:
        cursor = decode_token(token)
        writer = self._writer
        # All segments before the active one are synced, so its nonce is the only one that is ever compared.
        end = writer.end
        if cursor.log_id != writer.log_id:
            raise CursorForeignError(token, cursor.log_id, writer.log_id)
        if (cursor.segment, cursor.offset) > (end.segment, end.offset):
            raise CursorAheadError(token, "no such event was appended yet")
        return Position(cursor.segment, end.nonce, cursor.offset, cursor.seq)

    # Keeping within bounds.

    def start_maintenance(self, interval_seconds: float) -> None:
        """Maintain the log now, and every ``interval_seconds`` in a thread of its own."""
        self._maintain_or_warn()
        thread = threading.Thread(
            target=self._maintain_until_stopped, args=(interval_seconds,), name="yoi-maintenance", daemon=True
        )
        thread.start()
        self._maintenance = thread

    def _maintain_until_stopped(self, interval_seconds: float) -> None:
        while not self._stop.wait(interval_seconds):
            self._maintain_or_warn()

    def _maintain_or_warn(self) -> None:
        try:
            self.maintain()
        except (LogError, OSError) as error:
            told = named(Notice.MAINTENANCE_FAILED)
            _log.warning("maintenance of the log failed, will try again: %s", error, extra=told)

    def maintain(self) -> None:
        """Roll the active segment when it is old, rotate out what retention does not keep, tell refused events.

        Raises:
            LogError, OSError: as ``LogWriter.roll``; nothing was lost.
        """
        self._turn.take(self._maintain)

    def _maintain(self) -> None:
        if self._turn.interrupted:
            self._mend()
        self._upkeep.maintain()
        self._tell_refused()

    def roll(self) -> None:
        """Seal the active segment and open the next one. Errors: ``LogWriter.roll``."""
        self._turn.take(self._roll)

    def _roll(self) -> None:
        if self._turn.interrupted:
            self._mend()
        self._upkeep.roll()

    def _mend_or_warn(self) -> None:
        try:
            self._mend()
        except (LogError, OSError) as error:
            told = named(Notice.APPEND_NOT_MENDED)
            _log.warning("an interrupted append could not be mended, the next start does it: %s", error, extra=told)

    def check_outside(self) -> None:
        """Raise ``LogReentryError`` when the calling thread is in the middle of an append."""
        self._turn.check_outside()

    def close(self) -> None:
        """Commit everything, save the books, let the next writer in. Closing twice is harmless.

        Raises:
            LogBrokenError: the last records could not be synced; the log is closed all the same.
            LogReentryError: called in the middle of an append of the same thread; nothing was done.
        """
        self.check_outside()
        self._stop.set()
        if self._maintenance is not None:
            self._maintenance.join()
        self._turn.take(self._close)

    def _close(self) -> None:
        if self._writer.closed:
            return
        if self._turn.interrupted:
            self._mend_or_warn()
        try:
            if self._refused.by_worker:
                self._settle()
        except (LogError, OSError) as error:
            told = named(Notice.LOSS_NOT_WRITTEN, workers=len(self._refused.by_worker))
            _log.error(
                "refused events of %s could not be told: %s", ", ".join(self._refused.by_worker), error, extra=told
            )
        try:
            self._writer.sync()
            # Before the lock goes: nobody else may write the catalog then. Books that could not be mended lack an event:
            # the next start goes on from those that were saved last.
            if not self._turn.interrupted:
                self._books.save(self._writer.end)
        except OSError as error:
            told = named(Notice.CATALOG_NOT_SAVED)
            _log.warning("the catalog could not be saved at close; the next start reads the log: %s", error, extra=told)
        finally:
            self._writer.close()

"""Following one log into one store: where to begin, what was missed, how much at a time. One thread's work.

Never past the watermark, never a record twice. What rotation or damage took before it was folded shows as a
``gap`` item: through the next event of that Worker, whose number tells, or from the catalog where none comes.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from yoi_runtime.catalog.catalog import Snapshot, read_snapshot
from yoi_runtime.catalog.worker_state import WorkerState
from yoi_runtime.errors import (
    CursorAheadError,
    CursorExpiredError,
    CursorUnknownError,
    RecordCorruptError,
    SegmentGoneError,
    TranscriptDamagedError,
    TranscriptUnavailableError,
)
from yoi_runtime.notices import Notice, named
from yoi_runtime.segment_log.cursor import NO_WORKER, Cursor, worker_tag
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.timestamp import TimestampFormat
from yoi_runtime.transcript.saved_place import SavedPlace
from yoi_runtime.transcript.store import TranscriptStore

__all__ = ["Following", "Signals"]

_log = logging.getLogger("yoi_runtime.transcript")

# Folding one chunk keeps other threads from running for about 0.5 ms; a thread that appends gives way at every
# write, and would otherwise wait for Python's switch interval, 5 ms, each time.
CHUNK_BYTES = 48 << 10
# After a chunk the thread rests for so many times as long as it worked. While somebody appends, it takes a quarter of
# one processor at most, enough for 45,000 events a second; left far behind it takes half, so that rotation does not
# overtake it; and with nobody to disturb it hardly rests.
_REST_BESIDE_APPENDS = 3.0
_REST_FAR_BEHIND = 1.0
_REST_ALONE = 0.2
_FAR_BEHIND_EVENTS = 200_000
# A transaction takes in what was folded for so long, or so many bytes of records.
_SAVE_SECONDS = 0.05
_SAVE_BYTES = 4 << 20
# What comes is gathered for so long before it is folded: the delay of a transcript, and the least time between
# two transactions.
_GATHER_SECONDS = 0.02
# How long to sleep without a bell, which rings in the writer's process alone.
_POLL_SECONDS = 0.25
# How often to look whether the log is still this one, and to let go of deleted segments.
_LOOK_SECONDS = 2.0
# How often to forget the Workers that the Runtime has forgotten, which it does after 30 days.
_FORGET_SECONDS = 3600.0


class Signals:
    """What other threads tell the one that follows. ``rung``: look at the log; ``distrusted``: the file is damaged.

    ``has_saved`` is what it tells: that something was stored.
    """

    def __init__(self) -> None:
        self.rung = threading.Event()
        self.stopping = threading.Event()
        self.stop_by = 0.0
        self.distrusted = False
        self.has_saved = False

    def ring(self) -> None:
        # Setting an event that is set costs the ringing thread more than looking at it.
        if not self.rung.is_set():
            self.rung.set()


class Following:
    """Folds what ``reader`` shows into ``store`` until it is time to stop; owns neither."""

    def __init__(
        self, data_dir: Path, reader: LogReader, store: TranscriptStore, platform: Platform, signals: Signals
    ) -> None:
        self._data_dir = data_dir
        self._reader = reader
        self._store = store
        self._platform = platform
        self._monotonic = platform.clock.monotonic
        self._signals = signals
        # Whether events may be missing of Workers that have emitted none since.
        self._unsettled = True
        self._position = self._begin()
        self._look_at = self._monotonic() + _LOOK_SECONDS
        self._forget_at = self._monotonic()

    def run(self) -> None:
        """Follow the log; returns when it was told to stop and has folded what there is, or the time is up.

        Raises:
            TranscriptDamagedError: a reader found the file damaged.
            TranscriptUnavailableError: the log was replaced; open everything anew.
            LogError, sqlite3.Error, OSError: as they come; what was saved is whole.
        """
        signals = self._signals
        while True:
            stopping = signals.stopping.is_set()
            signals.rung.clear()
            self._reader.refresh()
            self._fold_what_there_is()
            if stopping:
                return
            self._settle()
            self._look_around()
            if signals.distrusted:
                raise TranscriptDamagedError(self._store.path, "a reader found it damaged")
            signals.rung.wait(_POLL_SECONDS)
            signals.stopping.wait(_GATHER_SECONDS)

    # Where to begin.

    def _begin(self) -> Position:
        """Return the place from which to fold: the saved one if the log still has it, else the oldest there is."""
        saved, reader = self._store.place, self._reader
        if saved is None:
            return self._begin_anew()
        if saved.log_id != reader.log_id:
            _log.warning(
                "the transcripts are of another log, %s; they are made anew",
                saved.log_id,
                extra=named(Notice.TRANSCRIPTS_MADE_ANEW),
            )
            return self._begin_anew()
        segment, nonce, offset, seq = saved.position
        try:
            return reader.resolve(Cursor(saved.log_id, segment, nonce >> 32, offset, seq, NO_WORKER, 0))
        except CursorExpiredError:
            return reader.floor()
        except (CursorAheadError, CursorUnknownError) as error:
            _log.warning(
                "the log has lost events that the transcripts hold; they are made anew: %s",
                error,
                extra=named(Notice.TRANSCRIPTS_MADE_ANEW),
            )
            return self._begin_anew()

    def _begin_anew(self) -> Position:
        self._reader.relist()
        floor = self._reader.floor()
        self._store.begin_anew(SavedPlace(self._reader.log_id, floor, self._reader.token_at(floor)))
        return floor

    # Folding.

    def _fold_what_there_is(self) -> None:
        """Fold up to the watermark as of the last look, a chunk at a time, and save."""
        monotonic, store = self._monotonic, self._store
        save_at = monotonic() + _SAVE_SECONDS
        while not self._is_out_of_time():
            began = monotonic()
            try:
                chunk = self._reader.read(self._position, CHUNK_BYTES)
            except SegmentGoneError:
                self._reader.relist()
                self._position = self._reader.floor()
                self._unsettled = True
                continue
            except RecordCorruptError as error:
                _log.warning(
                    "records are missing from the transcripts: %s", error, extra=named(Notice.TRANSCRIPTS_INCOMPLETE)
                )
                self._position = self._reader.after_damage(error)
                self._unsettled = True
                continue
            if chunk is None:
                break
            store.fold_lines(chunk.data)
            self._position = chunk.end
            now = monotonic()
            worked = now - began
            if now >= save_at or store.unsaved_bytes >= _SAVE_BYTES:
                self._save()
                save_at = monotonic() + _SAVE_SECONDS
            if not self._signals.stopping.is_set():
                self._signals.stopping.wait(worked * self._rest())
        if store.place is None or store.place.position != self._position:
            self._save()

    def _rest(self) -> float:
        if self._reader.end.seq - self._position.seq > _FAR_BEHIND_EVENTS:
            return _REST_FAR_BEHIND
        return _REST_BESIDE_APPENDS if self._signals.rung.is_set() else _REST_ALONE

    def _save(self) -> None:
        place = self._store.place
        assert place is not None
        self._store.save(SavedPlace(place.log_id, self._position, place.origin))
        self._signals.has_saved = True

    def _is_out_of_time(self) -> bool:
        return self._signals.stopping.is_set() and self._monotonic() > self._signals.stop_by

    # What is missing, and what is forgotten.

    def _settle(self) -> None:
        """Put gaps where the catalog knows of events that were never folded and will not come any more."""
        if not self._unsettled:
            return
        snapshot = self._snapshot()
        if snapshot is None:
            return
        for state in snapshot.ledger.workers.values():
            if state.worker_seq > self._store.worker_seq(state.worker_id):
                as_of = self._reader.token_at(self._position, worker_tag(state.worker_id), state.worker_seq)
                self._store.lose(state.worker_id, state.worker_seq, self._time_of_last(state), as_of)
        self._save()
        self._unsettled = False

    def _time_of_last(self, state: WorkerState) -> str:
        gone = state.rotated_out
        if gone is not None and gone.last_worker_seq == state.worker_seq:
            return gone.to_time
        return TimestampFormat()(self._platform.clock.now_us())

    def _snapshot(self) -> Snapshot | None:
        """Return the catalog of this log, if everything that it knows of has been folded or missed."""
        snapshot = read_snapshot(self._data_dir, self._platform)
        if snapshot is None or snapshot.log_id != self._reader.log_id or snapshot.as_of.seq > self._position.seq:
            return None
        return snapshot

    def _look_around(self) -> None:
        now = self._monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            if self._reader.is_replaced():
                raise TranscriptUnavailableError(self._data_dir, "the log was removed or replaced by another one")
            self._reader.relist()
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_SECONDS
            self._forget()

    def _forget(self) -> None:
        """Drop the transcripts of Workers that the Runtime has forgotten: nobody can ask for them any more."""
        snapshot = self._snapshot()
        if snapshot is not None:
            known, forgotten_seq = snapshot.ledger.workers, snapshot.ledger.forgotten_seq
            gone = {worker for worker, seq in self._store.last_seqs() if worker not in known and seq <= forgotten_seq}
            if gone:
                self._store.forget(gone)

"""Transcripts held against the log: their place lies in it, and what it still holds folds to the items that are stored.

The fold of a Worker is known from its first event on, or where that was rotated out or something is missing, from behind
an event that leaves nothing in progress. From there to the end every item is compared, counted from the newest backwards: older
ones may have made room.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from yoi_log.defect import Defect
from yoi_log.filler import LOST
from yoi_log.transcript_rows import TranscriptRows, transcript_defect
from yoi_log.walk import Damage, Gone, walk
from yoi_runtime.errors import (
    CursorAheadError,
    CursorExpiredError,
    CursorUnknownError,
    LogUnavailableError,
)
from yoi_runtime.events.envelope import HEAD_PATTERN
from yoi_runtime.protocol.transcript_fold import ENDING_EVENT_NAMES, Block, TranscriptEvent, TranscriptFold
from yoi_runtime.protocol.transcript_items import InProgress
from yoi_runtime.segment_log.cursor import NO_WORKER, Cursor
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.transcript.kept_worker import WorkerRow
from yoi_runtime.transcript.saved_place import SavedPlace
from yoi_runtime.transcript.store import event_in

__all__ = ["Comparison", "compare_with_log"]

_LOST = LOST.encode("ascii")


@dataclass(slots=True)
class Comparison:
    """``items`` were compared, of ``workers``."""

    items: int = 0
    workers: int = 0
    defects: list[Defect] = field(default_factory=list)


def compare_with_log(connection: sqlite3.Connection, rows: TranscriptRows, reader: LogReader) -> Comparison:
    """Hold the transcripts against the log, which is read up to their place.

    Raises:
        LogUnavailableError: no segment can be read at all.
        OSError: the disk refused.
    """
    comparison = Comparison()
    if rows.place is None:
        return comparison
    end = _find_place(rows.place, reader, comparison)
    if end is None:
        return comparison
    followed, complete = _fold(reader, end, rows)
    for worker_id, one in followed.items():
        row = rows.workers.get(worker_id)
        if row is None:
            reason = f"it does not know the Worker {worker_id}, which has events up to seq {one.seq}"
            comparison.defects.append(transcript_defect(reason, worker_id, wrong=True))
            continue
        wrong = _wrong_numbers(one, row, complete=complete) or _wrong_items(connection, one, row, comparison)
        if wrong is not None:
            comparison.defects.append(transcript_defect(wrong, worker_id, wrong=True))
    return comparison


def _find_place(place: SavedPlace, reader: LogReader, comparison: Comparison) -> Position | None:
    """Return the place up to which the log can be compared; what is wrong with it is a defect."""
    if place.log_id != reader.log_id:
        reason = f"it is folded from another log, {place.log_id}"
        comparison.defects.append(transcript_defect(reason, wrong=True))
        return None
    segment, nonce, offset, seq = place.position
    try:
        return reader.resolve(Cursor(place.log_id, segment, nonce >> 32, offset, seq, NO_WORKER, 0))
    except CursorExpiredError:
        # Rotation overtook it: the next start puts gaps there. Nothing that is left was folded.
        return None
    except LogUnavailableError:
        # Not known to be committed, before a Runtime has opened the log.
        return None
    except (CursorAheadError, CursorUnknownError) as error:
        reason = f"it is folded up to seq {seq}, which is no place of the log: {error.reason}"
        comparison.defects.append(transcript_defect(reason, wrong=True))
        return None


class _Followed:
    """The fold of one Worker; ``is_known``: nothing that is not in the log has a part in what comes now.

    ``digests`` are those of the newest items that it came to, at most ``kept``.
    """

    __slots__ = ("digests", "fold", "is_known", "seq")

    def __init__(self, first_worker_seq: int, kept: int) -> None:
        self.is_known = first_worker_seq == 1
        self.fold = TranscriptFold(0, first_worker_seq - 1)
        self.digests: deque[int] = deque(maxlen=kept)
        self.seq = 0

    def doubt(self, worker_seq: int) -> None:
        """Begin anew behind ``worker_seq``, because of events of which the transcript may know more than the log."""
        self.is_known = False
        self.fold = TranscriptFold(0, worker_seq)
        self.digests.clear()

    def take(self, event: TranscriptEvent) -> None:
        if event.worker_seq != self.fold.worker_seq + 1:
            self.doubt(event.worker_seq - 1)
        items = self.fold.apply(event)
        if self.is_known:
            self.digests.extend(_digest(item.model_dump_json().encode()) for item in items)
        elif event.event_name in ENDING_EVENT_NAMES:
            self.is_known = True
        if event.event_name == LOST:
            self.doubt(event.worker_seq)
            self.fold.as_of_cursor = event.cursor


def _digest(body: bytes) -> int:
    """Return what tells an item's JSON from another's, whatever its index, with which it begins."""
    return hash(body[body.index(b",") :])


def _fold(reader: LogReader, end: Position, rows: TranscriptRows) -> tuple[dict[str, _Followed], bool]:
    """Fold what the log holds up to ``end``, and say whether it is complete."""
    followed: dict[bytes, _Followed] = {}
    complete = True
    for step in walk(reader, reader.floor(), end):
        if isinstance(step, Damage | Gone):
            complete = False
            continue
        for found in HEAD_PATTERN.finditer(step.data):
            worker_id = found[4]
            if worker_id is None:
                # A lost event that is nobody's for all that is known may have been anybody's.
                complete = complete and found[7] != _LOST
                continue
            event = event_in(step.data, found)
            one = followed.get(worker_id)
            if one is None:
                row = rows.workers.get(worker_id.decode())
                one = followed[worker_id] = _Followed(event.worker_seq, row.items if row is not None else 0)
            one.take(event)
            one.seq = int(found[3])
    return {worker_id.decode(): one for worker_id, one in followed.items()}, complete


def _wrong_numbers(one: _Followed, row: WorkerRow, *, complete: bool) -> str | None:
    worker_seq = one.fold.worker_seq
    # Of an incomplete log the transcript may know more.
    if row.worker_seq < worker_seq or (complete and row.worker_seq > worker_seq):
        return (
            f"Worker {row.worker_id} is folded up to worker_seq {row.worker_seq}, and the log is at {worker_seq} there"
        )
    if row.worker_seq == worker_seq and row.as_of != one.fold.as_of_cursor:
        return f"the cursor of Worker {row.worker_id} is not that of its event {worker_seq}"
    return None


def _wrong_items(connection: sqlite3.Connection, one: _Followed, row: WorkerRow, comparison: Comparison) -> str | None:
    """Compare the newest items and what is in progress; say which do not agree."""
    if not one.is_known or row.worker_seq != one.fold.worker_seq:
        return None
    comparison.workers += 1
    first = max(row.oldest_index, row.next_index - len(one.digests))
    wanted = list(one.digests)[len(one.digests) - (row.next_index - first) :]
    stored = connection.execute(
        "SELECT number, body FROM item WHERE worker = ? AND number >= ? ORDER BY number", (row.id, first)
    )
    differ = [number for (number, body), digest in zip(stored, wanted, strict=False) if _digest(body) != digest]
    comparison.items += len(wanted)
    if differ:
        more = f" and {len(differ) - 1} others" if len(differ) > 1 else ""
        return f"item {differ[0]}{more} of Worker {row.worker_id} are not what the log's events fold to"
    if list(_stored_blocks(connection, row)) != list(one.fold.in_progress()):
        return f"what is in progress of Worker {row.worker_id} is not what the log's events fold to"
    return None


def _stored_blocks(connection: sqlite3.Connection, row: WorkerRow) -> Iterator[InProgress]:
    for key, shown in connection.execute("SELECT key, shown FROM block WHERE worker = ? ORDER BY ordinal", (row.id,)):
        pieces = connection.execute("SELECT text FROM piece WHERE worker = ? AND key = ? ORDER BY id", (row.id, key))
        block = Block.of(InProgress.model_validate_json(shown))
        block.parts = [text for (text,) in pieces]
        yield block.in_progress()

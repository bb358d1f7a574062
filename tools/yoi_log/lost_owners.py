"""Whose the lost events were: each Worker's worker_seqs say how many of its events a hole holds.

Three witnesses, in this order: the numbers of each Worker's records before and behind the holes, and those in the
catalog, which must come out right; what can still be read of the damaged lines, which is believed only where it agrees with
the numbers; for the rest nobody knows, and they are the Runtime's, whose events bear no number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from yoi_log.filler import LostEvent
from yoi_log.salvage import Hole, PlannedSegment

__all__ = ["Owned", "lines_of", "own_lost_events"]

_WHO = re.compile(rb'"worker_id":"([A-Za-z0-9_-]{1,64})","worker_seq":([1-9][0-9]{0,15}),"time":"')
# A hole of more bytes is not looked into for what can still be read.
_MOST_BYTES = 64 << 20


class _Demand(NamedTuple):
    """``worker_seq`` + 1 and on, ``events`` of them, lie in the holes from ``first`` to ``last``."""

    worker_id: str
    worker_seq: int
    events: int
    first: int
    last: int


@dataclass(slots=True)
class Owned:
    """The lost events of one hole. ``sizes``: of its damaged lines, one for each event; None where they do not tell.

    ``unowned``: how many of them have a Worker's number that no hole has room for; then the hole cannot be filled.
    """

    hole: Hole
    sizes: list[int] | None
    events: list[LostEvent] = field(default_factory=list)
    unowned: int = 0


class _Slots:
    """The places in one hole."""

    def __init__(self, hole: Hole, lines: list[bytes] | None, time: str) -> None:
        self.hole, self.time = hole, time
        self.lines = lines
        self.left = hole.events
        self.counts = Counter[str]()
        self.certain: dict[int, str] = {}
        whole = lines if lines is not None and len(lines) == hole.events else None
        self.sizes = [len(line) + 1 for line in whole] if whole is not None else None
        found = [_WHO.search(line) for line in lines or ()]
        self.hints = [(one[1].decode(), int(one[2])) if one is not None else None for one in found]

    def take(self, worker_id: str, events: int) -> int:
        taken = min(events, self.left)
        self.counts[worker_id] += taken
        self.left -= taken
        return taken


def own_lost_events(
    segments: Sequence[PlannedSegment], before: dict[str, int] | None, newest: dict[str, tuple[int, int]]
) -> list[Owned]:
    """Say of each hole, in order, whose events it held.

    Args:
        segments: the plan, oldest first.
        before: each Worker's last worker_seq before the oldest record; None where nobody knows.
        newest: each Worker's newest (seq, worker_seq) by the catalog.
    """
    slots, demands, ends = _walk(segments, before, newest)
    open_ = _meet(slots, demands)
    _believe_lines(slots, ends)
    unowned = Counter[int]()
    for demand, events in open_.items():
        unowned[demand.last] += events
    numbers = dict(before or {})
    for demand in demands:
        numbers.setdefault(demand.worker_id, demand.worker_seq)
    owned: list[Owned] = []
    for segment in segments:
        for piece in segment.pieces:
            if isinstance(piece, Hole):
                owned.append(_owned(slots[len(owned)], numbers, unowned[len(owned)]))
            else:
                numbers |= {worker_id: part.last_worker_seq for worker_id, part in piece.run.workers.items()}
    return owned


def _walk(
    segments: Sequence[PlannedSegment], before: dict[str, int] | None, newest: dict[str, tuple[int, int]]
) -> tuple[list[_Slots], list[_Demand], dict[str, tuple[int, int]]]:
    """Go through the plan once: the holes, what of whom must lie in which, and how far each Worker comes in the end."""
    slots, demands = list[_Slots](), list[_Demand]()
    # Worker -> (worker_seq, how many holes lay before its newest record)
    ends = {worker_id: (worker_seq, 0) for worker_id, worker_seq in (before or {}).items()}
    time = ""
    for segment in segments:
        for piece in segment.pieces:
            if isinstance(piece, Hole):
                slots.append(_Slots(piece, lines_of(piece), time))
                continue
            parts = piece.run.workers
            if not time:
                first = min(part.from_time for part in parts.values())
                for slot in slots:
                    slot.time = first
            time = max(parts.values(), key=lambda part: part.last_seq).to_time
            for worker_id, part in parts.items():
                if not worker_id:
                    continue
                known = ends.get(worker_id, (0, 0) if before is not None else None)
                if known is not None and part.first_worker_seq > known[0] + 1:
                    missing = part.first_worker_seq - known[0] - 1
                    demands.append(_Demand(worker_id, known[0], missing, known[1], len(slots) - 1))
                ends[worker_id] = (part.last_worker_seq, len(slots))
    for worker_id, (seq, worker_seq) in newest.items():
        # Of a Worker that nobody else knows only this one number is known.
        last, first_hole = ends.get(worker_id, (0 if before is not None else worker_seq - 1, 0))
        holding = next((i for i, slot in enumerate(slots) if slot.hole.first_seq <= seq <= slot.hole.last_seq), None)
        if worker_seq > last and holding is not None and holding >= first_hole:
            demands.append(_Demand(worker_id, last, worker_seq - last, first_hole, holding))
            ends[worker_id] = (worker_seq, holding + 1)
            slots[holding].certain[seq - slots[holding].hole.first_seq] = worker_id
    return slots, demands, ends


def _meet(slots: list[_Slots], demands: list[_Demand]) -> dict[_Demand, int]:
    """Give each demand its places: first where lines can still be read, then whichever must be met soonest.

    Returns how much of each could not be met.
    """
    open_ = {demand: demand.events for demand in demands}
    for index, slot in enumerate(slots):
        for worker_id, worker_seq in filter(None, slot.hints):
            for demand in demands:
                within = demand.worker_seq < worker_seq <= demand.worker_seq + demand.events
                if demand.worker_id == worker_id and within and demand.first <= index <= demand.last and open_[demand]:
                    open_[demand] -= slot.take(worker_id, 1)
                    break
    by_deadline = sorted(demands, key=lambda demand: demand.last)
    for index, slot in enumerate(slots):
        for demand in by_deadline:
            if demand.first <= index <= demand.last:
                open_[demand] -= slot.take(demand.worker_id, open_[demand])
    return open_


def _believe_lines(slots: list[_Slots], ends: dict[str, tuple[int, int]]) -> None:
    """Let Workers go on behind their newest record where a damaged line says the number that comes next."""
    for index, slot in enumerate(slots):
        for worker_id, worker_seq in filter(None, slot.hints):
            last, first = ends.get(worker_id, (0, 0))
            if worker_seq == last + 1 and first <= index and slot.left:
                slot.take(worker_id, 1)
                ends[worker_id] = (worker_seq, index)


def _owned(slot: _Slots, numbers: dict[str, int], unowned: int) -> Owned:
    """Put the lost events of one hole in order: where it is known or the lines say it; the others in the free places."""
    order: list[str | None] = [None] * slot.hole.events
    left = +slot.counts
    said = {place: hint[0] for place, hint in enumerate(slot.hints) if hint is not None} if slot.sizes else {}
    for place, worker_id in {**said, **slot.certain}.items():
        if left[worker_id] > 0:
            order[place] = worker_id
            left[worker_id] -= 1
    free = iter([place for place, worker_id in enumerate(order) if worker_id is None])
    for worker_id in left.elements():
        order[next(free)] = worker_id
    owned = Owned(slot.hole, slot.sizes, unowned=unowned)
    for seq, worker in enumerate(order, slot.hole.first_seq):
        if worker is not None:
            numbers[worker] = numbers.get(worker, 0) + 1
        owned.events.append(LostEvent(seq, worker, numbers[worker] if worker is not None else 0, slot.time))
    return owned


def lines_of(hole: Hole) -> list[bytes] | None:
    """Return the damaged lines in a hole, without their newlines; None where its bytes are not where they were."""
    if hole.bytes_at is None or hole.size > _MOST_BYTES:
        return None
    path, at = hole.bytes_at
    with path.open("rb") as file:
        file.seek(at)
        data = file.read(hole.size)
    if len(data) < hole.size or not data.endswith(b"\n"):
        return data.split(b"\n")[:-1] if data else None
    return data[:-1].split(b"\n")

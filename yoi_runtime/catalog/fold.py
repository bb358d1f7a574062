"""Folding records into a ledger: what a reader learns of Workers from the log's bytes. No I/O."""

from __future__ import annotations

import re
from typing import Protocol

from yoi_runtime.catalog.ledger import LIFECYCLE_EVENT_NAMES, Ledger
from yoi_runtime.catalog.places import Places
from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events import Event, decode_payload
from yoi_runtime.events.envelope import HEAD_PATTERN, parse_head, payload_bytes
from yoi_runtime.segment_log.position import Position

__all__ = ["fold_and_place", "fold_chunk"]

_LIFECYCLE_NAMES = frozenset(name.encode("ascii") for name in LIFECYCLE_EVENT_NAMES)
# Of a line that a reader has checked already: what stands before the seq is known to be right.
_OWNER = re.compile(
    rb'[^,]*,"envelope":\{[^,]*,[^,]*,"seq":[0-9]+,"worker_id":(?:null|"([^"]*)"),"worker_seq":(?:null|([0-9]+))'
    rb',"time":"[^"]*","payload":\{"event":"([^"]*)"'
)


class _Records(Protocol):
    """Whole, checked records of one segment, as ``Chunk`` holds them."""

    @property
    def data(self) -> bytes: ...
    @property
    def start(self) -> Position: ...
    @property
    def end(self) -> Position: ...


def fold_chunk(ledger: Ledger, data: bytes) -> None:
    """Fold the whole records in ``data`` into ``ledger`` (2.6 µs a record; only lifecycle events are decoded)."""
    for found in HEAD_PATTERN.finditer(data):
        _, _, seq, worker_id, worker_seq, time, name = found.groups()
        event = _lifecycle_event(found[0]) if name in _LIFECYCLE_NAMES else None
        ledger.apply(
            int(seq),
            None if worker_id is None else worker_id.decode("ascii"),
            0 if worker_seq is None else int(worker_seq),
            time.decode("ascii"),
            event,
        )


def fold_and_place(ledger: Ledger, chunk: _Records, places: Places) -> set[str]:
    """Fold checked records into a ledger that keeps no tallies, and note where they stand (0.45 of ``fold_chunk``).

    ``chunk`` begins at the end of ``places``. Returns the Workers that changed.
    """
    if chunk.start.seq < ledger.seq:
        # Some of it is known to the ledger and must not be counted twice: what follows is for the places alone.
        fold_chunk(ledger, chunk.data)
        ledger.changed.clear()
        ledger = Ledger()
    newest: dict[bytes, tuple[int, bytes]] = {}
    seq, offset = chunk.start.seq, chunk.start.offset
    match = _OWNER.match
    for line in chunk.data[:-1].split(b"\n"):
        seq += 1
        length = len(line) + 1
        found = match(line)
        if found is not None:
            worker_id, worker_seq, name = found.groups()
            if worker_id is not None:
                newest[worker_id] = seq, worker_seq
                places.add(worker_id.decode("ascii"), offset, length)
            if name in _LIFECYCLE_NAMES:
                fold_chunk(ledger, line)
        offset += length
    places.end = chunk.end
    ledger.take_newest(
        {worker_id.decode("ascii"): (at, int(number)) for worker_id, (at, number) in newest.items()}, seq
    )
    changed, ledger.changed = ledger.changed, set()
    return changed


def _lifecycle_event(line: bytes) -> Event | None:
    head = parse_head(line)
    try:
        return decode_payload(payload_bytes(line, head)) if head is not None else None
    except EventInvalidError:
        # A newer vocabulary's: what this one does not understand changes nothing.
        return None

r"""Records that stand where others were: ``{"event":"lost"}``, made up to the length of what they replace.

A filler has the cursor, event id and seq of the lost event, so that the places around it stay where they are, and where
it is known its Worker and worker_seq. The rest of its length is spaces inside the payload, which JSON does not see.
The name is short because the shortest event has to have room for it. Decision: docs/decisions/0021-repair-fills.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from yoi_runtime.events import Lost
from yoi_runtime.segment_log.cursor import NO_WORKER, worker_tag
from yoi_runtime.segment_log.record import RecordEncoder

__all__ = ["LOST", "LostEvent", "fill", "share_out", "smallest_sizes"]

LOST = Lost.event_name
# What a Runtime cuts its records to: a filler is no larger than a record could be.
_LARGEST_BYTES = 256 << 10


class LostEvent(NamedTuple):
    """An event that cannot be read. ``worker_id`` is None for the Runtime's, and where nobody knows whose it was."""

    seq: int
    worker_id: str | None
    worker_seq: int
    time: str


def _encode(encoder: RecordEncoder, start: int, event: LostEvent, spaces: int) -> bytes:
    who = (
        '"worker_id":null,"worker_seq":null'
        if event.worker_id is None
        else f'"worker_id":"{event.worker_id}","worker_seq":{event.worker_seq}'
    )
    head = f'{who},"time":"{event.time}","payload":{{"event":"{LOST}"{" " * spaces}}}'
    tag = worker_tag(event.worker_id) if event.worker_id is not None else NO_WORKER
    return encoder.encode(start, event.seq, head, b"", tag, event.worker_seq)[1]


def smallest_sizes(events: Sequence[LostEvent]) -> list[int]:
    """Return how many bytes the filler of each event needs at least."""
    encoder = RecordEncoder("0" * 16, 0, 0)
    return [len(_encode(encoder, 0, event, 0)) for event in events]


def share_out(smallest: Sequence[int], total: int, wanted: Sequence[int] | None = None) -> list[int] | None:
    """Return a size for each filler, ``total`` together; those ``wanted`` when each is enough. None: it cannot be."""
    if wanted is not None and sum(wanted) == total and all(a <= b for a, b in zip(smallest, wanted, strict=True)):
        return list(wanted)
    spare = total - sum(smallest)
    if spare < 0 or total > _LARGEST_BYTES * len(smallest):
        return None
    sizes, left = [], spare
    for index, size in enumerate(smallest):
        share = min(left // (len(smallest) - index), _LARGEST_BYTES - size)
        sizes.append(size + share)
        left -= share
    # What the last ones had no room for goes to whoever has.
    for index, size in enumerate(sizes):
        more = min(left, _LARGEST_BYTES - size)
        sizes[index] += more
        left -= more
    return sizes


def fill(log_id: str, segment: int, nonce: int, start: int, events: Sequence[LostEvent], sizes: Sequence[int]) -> bytes:
    """Return the fillers of ``events`` as they stand in the segment from the offset ``start`` on."""
    encoder = RecordEncoder(log_id, segment, nonce)
    records = []
    for event, size, smallest in zip(events, sizes, smallest_sizes(events), strict=True):
        records.append(_encode(encoder, start, event, size - smallest))
        start += size
    return b"".join(records)

"""Where in a segment each Worker's records stand: what lets its stream be read without the others' records. No I/O."""

from __future__ import annotations

from array import array
from bisect import bisect_left

from yoi_runtime.segment_log.position import Position

__all__ = ["PLACE_LENGTH_BITS", "Places", "places_after"]

# A place is one number of 64 bits: offset above, length below. A record is at most 16 MiB, an offset below 2^40.
PLACE_LENGTH_BITS = 24
_NOTHING = array("Q")


class Places:
    """The places of all records of one segment between ``start`` and ``end``, by Worker; 8 bytes a record."""

    __slots__ = ("_of", "count", "end", "start")

    def __init__(self, start: Position) -> None:
        self.start = start
        self.end = start
        self.count = 0
        self._of: dict[str, array[int]] = {}

    def add(self, worker_id: str, offset: int, length: int) -> None:
        """Add the next record of a Worker; ``length`` with its newline. The caller moves ``end``."""
        places = self._of.get(worker_id)
        if places is None:
            places = self._of[worker_id] = array("Q")
        places.append(offset << PLACE_LENGTH_BITS | length)
        self.count += 1

    def after(self, worker_id: str, offset: int, most: int) -> list[tuple[int, int]]:
        """Return (offset, length) of a Worker's next records at or after ``offset``, at most so many."""
        return places_after(self._of.get(worker_id, _NOTHING), offset, most)

    def workers(self) -> dict[str, array[int]]:
        """Return every Worker's places, as they are kept."""
        return self._of


def places_after(places: array[int], offset: int, most: int) -> list[tuple[int, int]]:
    """Return (offset, length) of the first of ``places`` at or after ``offset``, at most so many."""
    first = bisect_left(places, offset << PLACE_LENGTH_BITS)
    mask = (1 << PLACE_LENGTH_BITS) - 1
    return [(place >> PLACE_LENGTH_BITS, place & mask) for place in places[first : first + most]]

from __future__ import annotations

from bisect import bisect_left
from random import Random

from yoi_runtime.catalog.places import Places
from yoi_runtime.segment_log.position import Position

START = Position(3, 9, 400, 50)


def test_a_workers_places_are_found_from_any_offset_and_no_others():
    random, places = Random(3), Places(START)
    expected: dict[str, list[tuple[int, int]]] = {}
    offset = START.offset
    for _ in range(3000):
        worker_id, length = random.choice("abcdefg"), random.randrange(150, 1 << 20)
        places.add(worker_id, offset, length)
        expected.setdefault(worker_id, []).append((offset, length))
        offset += length
    assert offset > 1 << 30
    for worker_id, known in expected.items():
        offsets = [at for at, _ in known]
        for _ in range(200):
            after, most = random.randrange(0, offset + 100), random.randrange(1, 50)
            first = bisect_left(offsets, after)
            assert places.after(worker_id, after, most) == known[first : first + most]
    assert places.after("nobody", 0, 10) == []
    assert places.count == 3000


def test_the_largest_offset_and_length_there_are_fit_into_a_place():
    places = Places(START)
    places.add("a", (1 << 40) - 1, (16 << 20) - 1)
    assert places.after("a", (1 << 40) - 1, 1) == [((1 << 40) - 1, (16 << 20) - 1)]

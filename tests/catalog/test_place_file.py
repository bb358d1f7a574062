"""Place files as they are written, read, damaged and taken for another's."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from yoi_runtime.catalog.place_file import BLOCK_BYTES, Block, PlaceFile, bytes_to_grid, place_path, write_places
from yoi_runtime.catalog.places import Places, places_after
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.position import Position

START = Position(3, 0x9234_5678_9ABC_DEF0, 400, 50)


def sample(workers: int, records: int = 500) -> tuple[Places, list[Block]]:
    """Return made-up places of a segment, and its blocks of ten records each."""
    random, places, blocks = Random(workers), Places(START), list[Block]()
    offset, names = START.offset, [f"worker-{number}"[:64] for number in range(workers)]
    for number in range(1, records + 1):
        length = random.randrange(150, 70_000)
        places.add(random.choice(names), offset, length)
        offset += length
        places.end = START._replace(offset=offset, seq=START.seq + number)
        if number % 10 == 0:
            blocks.append(Block(places.end, random.getrandbits(32)))
    return places, blocks


@pytest.mark.parametrize("workers", [1, 3, 40, 500])
def test_every_workers_places_and_all_blocks_come_back(tmp_path: Path, workers: int):
    places, blocks = sample(workers)
    write_places(tmp_path, places, blocks, REAL_PLATFORM)
    opened = PlaceFile.open(tmp_path, 3, REAL_PLATFORM)
    assert opened is not None
    assert opened.is_sound(REAL_PLATFORM)
    assert (opened.start, opened.end) == (START, places.end)
    assert list(opened.blocks.values()) == blocks
    assert list(opened.blocks) == [START.offset, *(block.end.offset for block in blocks[:-1])]
    for worker_id, numbers in places.workers().items():
        assert opened.places_of(worker_id, REAL_PLATFORM) == numbers
        assert places_after(numbers, 0, 3) == places.after(worker_id, 0, 3)
    nobody = opened.places_of("nobody", REAL_PLATFORM)
    assert nobody is not None
    assert len(nobody) == 0


def test_a_lookup_reads_a_little_however_many_workers_there_are(tmp_path: Path):
    places, blocks = sample(2000, 20_000)
    write_places(tmp_path, places, blocks, REAL_PLATFORM)
    opened = PlaceFile.open(tmp_path, 3, REAL_PLATFORM)
    assert opened is not None
    read = 0

    class Counting(type(REAL_PLATFORM.files)):  # type: ignore[misc]
        def pread(self, fd: int, size: int, offset: int) -> bytes:
            nonlocal read
            data: bytes = super().pread(fd, size, offset)
            read += len(data)
            return data

    platform = type(REAL_PLATFORM)(files=Counting())
    assert len(opened.places_of("worker-7", platform) or ()) > 0
    assert read < 4096 < place_path(tmp_path, 3).stat().st_size


def test_a_damaged_file_is_never_believed(tmp_path: Path, record_property):
    """Every byte, flipped by itself: an answer is the right one or none."""
    places, blocks = sample(12, 60)
    write_places(tmp_path, places, blocks, REAL_PLATFORM)
    path = place_path(tmp_path, 3)
    whole, refused = path.read_bytes(), 0
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 0x11]) + whole[index + 1 :])
        opened = PlaceFile.open(tmp_path, 3, REAL_PLATFORM)
        if opened is None:
            refused += 1
            continue
        assert (opened.start, opened.end, list(opened.blocks.values())) == (START, places.end, blocks)
        assert not opened.is_sound(REAL_PLATFORM)
        for worker_id, numbers in places.workers().items():
            found = opened.places_of(worker_id, REAL_PLATFORM)
            refused += found is None
            assert found in (None, numbers)
    record_property("bytes of a place file flipped", len(whole))
    assert refused > len(whole)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        opened = PlaceFile.open(tmp_path, 3, REAL_PLATFORM)
        assert opened is None or not opened.is_sound(REAL_PLATFORM)


def test_another_segments_file_and_none_are_no_file(tmp_path: Path):
    places, blocks = sample(2)
    assert PlaceFile.open(tmp_path, 3, REAL_PLATFORM) is None
    write_places(tmp_path, places, blocks, REAL_PLATFORM)
    place_path(tmp_path, 3).rename(place_path(tmp_path, 4))
    assert PlaceFile.open(tmp_path, 4, REAL_PLATFORM) is None


def test_reading_to_the_grid_makes_blocks_of_a_size_and_ends_at_the_same_lines():
    for offset in (0, 1, 400, BLOCK_BYTES // 2, BLOCK_BYTES - 1, BLOCK_BYTES, 5 * BLOCK_BYTES - 300):
        size = bytes_to_grid(offset)
        assert (offset + size) % BLOCK_BYTES == 0
        assert BLOCK_BYTES // 2 <= size < BLOCK_BYTES * 3 // 2

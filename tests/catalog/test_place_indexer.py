"""Which segments get a place file, when, and that a damaged segment gets none."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.faults.clocks import ManualClock
from tests.faults.failing_files import FailingFiles
from tests.runtime.emitting import emit
from tests.support.damage import damage
from tests.support.deadline import wait_until
from yoi_runtime.catalog import place_indexer
from yoi_runtime.catalog.place_file import PlaceFile, place_path
from yoi_runtime.catalog.place_indexer import SMALLEST_INDEXED_BYTES, PlaceIndexer, index_segment
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform
from yoi_runtime.segment_log.writer import SealedSegment

SMALL = RuntimeOptions(segment_bytes=8192)
LARGE = RuntimeOptions(segment_bytes=SMALLEST_INDEXED_BYTES + 300_000, retain_segments=4, durability="written")


def fill(runtime: Runtime, segments: int, size: int) -> None:
    worker = runtime.create_worker(f"w{segments}")
    while len(runtime._log.sealed_segments()) < segments:
        worker.emit(TextDelta(text="x" * size))


def test_a_running_runtime_makes_them_in_the_background_and_deletes_them_with_their_segments(tmp_path: Path):
    with Runtime.open(tmp_path, LARGE) as runtime:
        fill(runtime, 2, 5000)
        first, second = (segment.number for segment in runtime._log.sealed_segments())
        wait_until(lambda: place_path(runtime.log_directory, first).exists(), 15, "indexed")
        opened = PlaceFile.open(runtime.log_directory, first, REAL_PLATFORM)
        assert opened is not None
        assert opened.is_sound(REAL_PLATFORM)
        worker = runtime.create_worker("more")
        while runtime._log.sealed_segments()[0].number <= second:
            worker.emit(TextDelta(text="x" * 5000))
        assert not place_path(runtime.log_directory, first).exists()


def test_a_missing_and_a_damaged_one_are_made_again_and_a_sound_one_is_left_alone(tmp_path: Path):
    with Runtime.open(tmp_path, SMALL) as runtime:
        fill(runtime, 2, 300)
        segment = runtime._log.sealed_segments()[0]
        path = place_path(runtime.log_directory, segment.number)
        assert index_segment(runtime.log_directory, segment, REAL_PLATFORM)
        whole, made = path.read_bytes(), path.stat().st_ino
        assert index_segment(runtime.log_directory, segment, REAL_PLATFORM)
        assert path.stat().st_ino == made
        damage(path, lambda data: data.__setitem__(-9, data[-9] ^ 1))
        assert index_segment(runtime.log_directory, segment, REAL_PLATFORM)
        assert path.read_bytes() == whole


def test_a_segment_with_a_damaged_record_gets_none(tmp_path: Path):
    with Runtime.open(tmp_path, SMALL) as runtime:
        emit(runtime.create_worker("a"), 3)
        fill(runtime, 1, 300)
        segment = runtime._log.sealed_segments()[0]
        damage(min(runtime.log_directory.glob("*.jsonl")), lambda data: data.__setitem__(data.index(b"xxxx"), 0x79))
        assert not index_segment(runtime.log_directory, segment, REAL_PLATFORM)
        assert not place_path(runtime.log_directory, segment.number).exists()


def test_it_stops_when_it_is_told_to(tmp_path: Path):
    with Runtime.open(tmp_path, SMALL) as runtime:
        fill(runtime, 1, 300)
        segment = runtime._log.sealed_segments()[0]
        assert not index_segment(runtime.log_directory, segment, REAL_PLATFORM, lambda: False)
        assert not place_path(runtime.log_directory, segment.number).exists()


def test_a_look_that_fails_is_not_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log: ExpectLog):
    expect_log("yoi_runtime.catalog", "no place files are made for now.*too many open files")
    monkeypatch.setattr(place_indexer, "_LOOK_SECONDS", 0.001)
    looks: list[int] = []

    def sealed() -> list[SealedSegment]:
        looks.append(len(looks))
        if len(looks) == 1:
            raise OSError(errno.EMFILE, "too many open files")
        return []

    indexer = PlaceIndexer(tmp_path, sealed, REAL_PLATFORM)
    wait_until(lambda: len(looks) > 2, 10, "it looks again")
    indexer.stop()


def test_a_file_that_could_not_be_made_is_made_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log: ExpectLog
):
    expect_log("yoi_runtime.catalog", "segment 1 has no place file.*again in 60 s.*No space left")
    expect_log("yoi_runtime.catalog", "segment 1 has no place file.*again in 120 s.*No space left")
    with Runtime.open(tmp_path, SMALL) as runtime:
        fill(runtime, 2, 300)
        segments = runtime._log.sealed_segments()[:2]
    path, newer = (place_path(runtime.log_directory, segment.number) for segment in segments)
    monkeypatch.setattr(place_indexer, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(place_indexer, "SMALLEST_INDEXED_BYTES", 1)
    files, clock = FailingFiles(), ManualClock()
    files.fail(errno.ENOSPC, "create", name=f"{path.name}.tmp", for_ever=True)
    indexer = PlaceIndexer(runtime.log_directory, lambda: segments, Platform(files=files, clock=clock))
    wait_until(lambda: 1 in indexer._failed, 10, "it fails")
    assert newer.exists()
    clock.pass_seconds(60)
    wait_until(lambda: indexer._failed[1] == (clock.monotonic() + 120, 240), 10, "it is tried again")
    files.heal()
    clock.pass_seconds(119)
    assert not path.exists()
    clock.pass_seconds(1)
    wait_until(path.exists, 10, "it is made")
    indexer.stop()
    assert files.struck == 2


def test_what_belongs_to_no_segment_is_deleted_at_the_next_start(tmp_path: Path):
    with Runtime.open(tmp_path, SMALL) as runtime:
        log_directory = runtime.log_directory
    orphan = place_path(log_directory, 99)
    orphan.write_bytes(b"left over")
    Runtime.open(tmp_path, SMALL).close()
    assert not orphan.exists()

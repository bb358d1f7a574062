"""What a writer finds when it opens a log, one function at a time. The whole opening is tested in test_recovery."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.clocks import ManualClock
from tests.faults.failing_files import FailingFiles
from tests.segment_log.sample_log import SMALL, append_many, damage, open_log, platform_of
from yoi_runtime.errors import LogPlacementError, LogVersionError
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.lock import LOCK
from yoi_runtime.segment_log.opening import (
    last_watermark,
    log_id_of,
    make_reserve,
    newest_time_us,
    refuse_network_filesystem,
    remove_leftovers,
)
from yoi_runtime.segment_log.options import LogOptions
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.record import seal_object
from yoi_runtime.segment_log.recovery import RESERVE
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.watermark import COMMITTED
from yoi_runtime.segment_log.writer import LogWriter


class PlacedFiles(FailingFiles):
    """Lies on a file system of the given type."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def filesystem_type(self, path: Path) -> str:
        return self.kind


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    """A log of three segments, a minute each, closed in good order; the first record is seq 1, the last seq 9."""
    log = open_log(tmp_path / "log", platform_of(clock=clock))
    for _ in range(2):
        append_many(log, 3)
        clock.pass_seconds(60)
        log.roll()
    append_many(log, 3)
    log.close()
    return tmp_path / "log"


@pytest.fixture
def segments(directory: Path) -> SegmentDirectory:
    return SegmentDirectory(directory, platform_of())


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "9p", "cifs", "fuse.sshfs"])
def test_a_network_file_system_is_refused_before_anything_is_made(tmp_path: Path, kind: str):
    platform = platform_of(PlacedFiles(kind))
    with pytest.raises(LogPlacementError) as caught:
        LogWriter(tmp_path / "log", SMALL, platform)
    assert caught.value.filesystem == kind
    assert list(tmp_path.iterdir()) == []
    allowed = LogWriter(tmp_path / "log", LogOptions(allow_network_filesystem=True), platform, background=False)
    allowed.close()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "apfs", ""])
def test_a_disk_of_this_machine_is_accepted(tmp_path: Path, kind: str):
    refuse_network_filesystem(tmp_path, platform_of(PlacedFiles(kind)))


def test_only_temporary_files_are_removed(directory: Path):
    for name in ("a.tmp", "00000000000000000009.tmp", "a.tmp.keep", "tmp"):
        (directory / name).touch()
    before = {path.name for path in directory.iterdir()}
    remove_leftovers(directory, platform_of())
    assert before - {path.name for path in directory.iterdir()} == {"a.tmp", "00000000000000000009.tmp"}


def test_an_unreadable_watermark_is_none(directory: Path):
    mark = last_watermark(directory, platform_of())
    assert mark is not None
    assert (mark.shown.seq, mark.clean) == (9, True)
    (directory / COMMITTED).write_bytes(bytes(1024))
    assert last_watermark(directory, platform_of()) is None
    (directory / COMMITTED).unlink()
    assert last_watermark(directory, platform_of()) is None


def test_a_disk_that_fails_is_not_taken_for_a_missing_watermark(directory: Path):
    files = FailingFiles()
    for method in ("open_read", "pread"):
        files.fail(errno.EIO, method, name=COMMITTED)
        with pytest.raises(OSError, match="error"):
            last_watermark(directory, platform_of(files))
    assert files.open_files == []


def test_the_log_id_comes_from_headers_then_the_watermark_then_chance(directory: Path):
    mark = last_watermark(directory, platform_of())
    assert mark is not None
    for number in (3, 2):
        damage(directory / segment_name(number), lambda data: data.__setitem__(3, 0))
        assert log_id_of(SegmentDirectory(directory, platform_of()), [1, 2, 3], None, platform_of()) == mark.log_id
    damage(directory / segment_name(1), lambda data: data.__setitem__(3, 0))
    segments = SegmentDirectory(directory, platform_of())
    assert log_id_of(segments, [1, 2, 3], mark, platform_of()) == mark.log_id
    made = {log_id_of(segments, [1, 2, 3], None, platform_of(seed=seed)) for seed in range(10, 15)}
    assert len(made) == 5
    assert mark.log_id not in made
    assert all(len(bytes.fromhex(log_id)) == 8 for log_id in made)


def test_only_the_newest_headers_are_read_for_the_log_id(directory: Path):
    mark, files = last_watermark(directory, platform_of()), FailingFiles()
    segments = SegmentDirectory(directory, platform_of(files))
    assert mark is not None
    assert log_id_of(segments, [1, 2, 3], mark, platform_of()) == mark.log_id
    assert files.count("open_read") == 1
    damage(directory / segment_name(3), lambda data: data.__setitem__(3, 0))
    assert log_id_of(SegmentDirectory(directory, platform_of()), [1, 2, 3], mark, platform_of()) == mark.log_id
    other = replace(mark, log_id="0123456789abcdef")
    assert log_id_of(segments, [1, 2, 3], other, platform_of()) == mark.log_id, "no segment bears the watermark's"


def test_a_newer_format_version_is_not_passed_over(directory: Path):
    path = directory / segment_name(3)
    line, _, rest = path.read_bytes().partition(b"\n")
    fields = json.loads(line) | {"format": 2}
    del fields["crc"]
    path.write_bytes(seal_object(json.dumps(fields).encode()) + b"\n" + rest)
    with pytest.raises(LogVersionError, match="version 2"):
        log_id_of(SegmentDirectory(directory, platform_of()), [1, 2, 3], None, platform_of())


def test_a_watermark_of_a_newer_format_version_stops_a_writer_before_it_has_changed_a_thing(directory: Path):
    path = directory / COMMITTED
    fields = json.loads(path.read_bytes().split(b"\n")[0]) | {"format": 2, "generation": 10_000}
    del fields["crc"]
    path.write_bytes(seal_object(json.dumps(fields).encode()).ljust(511) + b"\n" + bytes(512))
    before = {file.name: file.read_bytes() for file in directory.iterdir() if file.name != LOCK}
    with pytest.raises(LogVersionError, match=r"COMMITTED.*version 2"):
        open_log(directory)
    assert {file.name: file.read_bytes() for file in directory.iterdir() if file.name != LOCK} == before
    with pytest.raises(LogVersionError, match=r"COMMITTED.*version 2"):
        LogReader(directory)


def test_the_newest_time_is_that_of_the_newest_readable_header(directory: Path, clock: ManualClock):
    def newest() -> int | None:
        return newest_time_us(SegmentDirectory(directory, platform_of()), [1, 2, 3])

    assert newest() == clock.now_us()
    damage(directory / segment_name(3), lambda data: data.__setitem__(3, 0))
    assert newest() == clock.now_us() - 60_000_000
    for number in (1, 2):
        damage(directory / segment_name(number), lambda data: data.__setitem__(3, 0))
    assert newest() is None


def test_a_reserve_is_made_once_and_grows_when_asked(directory: Path):
    path, files = directory / RESERVE, FailingFiles()
    assert path.stat().st_size == 4096
    make_reserve(directory, 4096, platform_of(files))
    assert files.count("allocate") == 0
    make_reserve(directory, 8192, platform_of(files))
    assert path.stat().st_size == 8192
    for method in ("open_write", "allocate", "fdatasync", "stat"):
        path.unlink(missing_ok=True)
        files.fail(errno.ENOSPC, method)
        make_reserve(directory, 16_384, platform_of(files))
        assert not path.exists(), "half a reserve holds nothing back"
    assert files.open_files == []

"""yoi_runtime.catalog.durable_file: whatever fails, the file is the old one or the new one."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from tests.faults.failing_files import Call, FailingFiles
from tests.faults.memory_files import MemoryFiles, PowerCutError
from yoi_runtime.catalog.durable_file import replace_file
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform

OLD, NEW = b"old " * 500, b"new and longer " * 500


def test_a_file_is_made_and_replaced(tmp_path: Path):
    path = tmp_path / "file.json"
    replace_file(path, OLD, REAL_PLATFORM)
    assert path.read_bytes() == OLD
    replace_file(path, b"", REAL_PLATFORM)
    assert path.read_bytes() == b""
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]


def test_it_is_synced_before_it_gets_its_name_and_the_directory_after(tmp_path: Path):
    files = FailingFiles()
    replace_file(tmp_path / "file", NEW, Platform(files=files))
    assert files.calls == [
        Call("create", "file.tmp"),
        Call("pwrite", "file.tmp"),
        Call("fdatasync", "file.tmp"),
        Call("close", "file.tmp"),
        Call("rename", "file"),
        Call("sync_directory", tmp_path.name),
    ]


@pytest.mark.parametrize("at", range(1, 7))
def test_after_any_failed_call_the_file_is_whole_and_nothing_is_open(tmp_path: Path, at: int):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    files = FailingFiles()
    files.fail(errno.EIO, at=at)
    with pytest.raises(OSError, match="Input/output"):
        replace_file(path, NEW, Platform(files=files))
    assert files.struck == 1
    assert path.read_bytes() == (NEW if at == 6 else OLD)
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "what it wrote so far is not left to fill the disk"
    assert files.open_files == []
    replace_file(path, NEW, Platform(files=files))
    assert path.read_bytes() == NEW


def test_a_write_that_ends_midway_is_finished(tmp_path: Path):
    files = FailingFiles()
    files.write_short(100)
    files.write_short(100, at=2)
    replace_file(tmp_path / "file", NEW, Platform(files=files))
    assert (tmp_path / "file").read_bytes() == NEW


def test_a_disk_that_takes_nothing_is_full(tmp_path: Path):
    files = FailingFiles()
    files.write_short(0, for_ever=True)
    with pytest.raises(OSError, match="short write") as refused:
        replace_file(tmp_path / "file", NEW, Platform(files=files))
    assert refused.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_after_a_power_cut_at_any_call_it_is_the_old_one_or_the_new_one():
    directory = Path("/data")
    path = directory / "file"
    outcomes = set()
    for at in range(1, 7):
        for seed in range(20):
            files = MemoryFiles()
            platform = Platform(files=files)
            files.make_directory(directory)
            files.sync_directory(directory.parent)
            replace_file(path, OLD, platform)
            files.cut_power_at(files.calls + at)
            with pytest.raises(PowerCutError):
                replace_file(path, NEW, platform)
            found = files.cut_power(Random(seed)).read_bytes(path)
            assert found in (OLD, NEW)
            outcomes.add((at, found == NEW))
    assert outcomes >= {(6, True), (6, False)}, "the directory is not synced yet: both are possible"

"""tests.faults.failing_files: a fault that does not strike where it should would prove nothing."""

from __future__ import annotations

import errno
import inspect
import os
from pathlib import Path

import pytest

from tests.faults.failing_files import METHODS, READING, Call, FailingFiles
from yoi_runtime.segment_log.platform import FileOps


def test_it_knows_every_method_of_the_seam():
    names = {name for name, _ in inspect.getmembers(FileOps, inspect.isfunction) if not name.startswith("_")}
    assert set(METHODS) == names
    assert names > READING
    checked: FileOps = FailingFiles()
    assert all(callable(getattr(checked, name)) for name in METHODS)


def test_calls_go_through_and_are_recorded_by_name(tmp_path: Path):
    files = FailingFiles()
    fd = files.create(tmp_path / "a.tmp")
    assert files.pwrite(fd, b"hello", 0) == 5
    files.fdatasync(fd)
    files.rename(tmp_path / "a.tmp", tmp_path / "a")
    files.ftruncate(fd, 4)
    assert files.open_files == ["a"]
    assert files.pread(fd, 99, 1) == b"ell"
    files.close(fd)
    assert (tmp_path / "a").read_bytes() == b"hell"
    assert files.calls == [
        Call("create", "a.tmp"),
        Call("pwrite", "a.tmp"),
        Call("fdatasync", "a.tmp"),
        Call("rename", "a"),
        Call("ftruncate", "a"),
        Call("pread", "a"),
        Call("close", "a"),
    ]
    assert (files.count("pwrite"), files.count("pwrite", "a.tmp"), files.count("pwrite", "b")) == (1, 1, 0)
    assert (files.open_files, files.struck) == ([], 0)


def test_the_kth_call_fails_once(tmp_path: Path):
    files = FailingFiles()
    files.fail(errno.EIO, "pwrite", at=2)
    fd = files.create(tmp_path / "a")
    assert files.pwrite(fd, b"1", 0) == 1
    with pytest.raises(OSError, match="error") as caught:
        files.pwrite(fd, b"2", 1)
    assert caught.value.errno == errno.EIO
    assert files.pwrite(fd, b"3", 1) == 1
    files.close(fd)
    assert (tmp_path / "a").read_bytes() == b"13"
    assert files.struck == 1


def test_the_kth_call_of_any_kind_and_all_after_it_fail(tmp_path: Path):
    files = FailingFiles()
    files.fail(errno.EROFS, at=3, for_ever=True)
    fd = files.create(tmp_path / "a")
    files.stat(fd)
    for _ in range(3):
        with pytest.raises(OSError, match="Read-only"):
            files.unlink(tmp_path / "a")
    with pytest.raises(OSError, match="Read-only"):
        files.close(fd)
    assert (tmp_path / "a").exists()
    assert files.struck == 4
    files.heal()
    files.unlink(tmp_path / "a")


def test_a_fault_may_wait_for_one_file(tmp_path: Path):
    files = FailingFiles()
    files.fail(errno.ENOSPC, "pwrite", name="b")
    a, b = files.create(tmp_path / "a"), files.create(tmp_path / "b")
    assert files.pwrite(a, b"1", 0) == 1
    with pytest.raises(OSError, match="space"):
        files.pwrite(b, b"1", 0)
    files.close(a)
    files.close(b)


def test_a_short_write_writes_what_it_says(tmp_path: Path):
    files = FailingFiles()
    files.write_short(3, at=2)
    files.write_short(0, at=3)
    fd = files.create(tmp_path / "a")
    assert [files.pwrite(fd, b"hello", 0) for _ in range(4)] == [5, 3, 0, 5]
    files.close(fd)


def test_a_failed_close_closes_all_the_same(tmp_path: Path):
    files = FailingFiles()
    fd = files.create(tmp_path / "a")
    files.fail(errno.EIO, "close")
    with pytest.raises(OSError, match="error"):
        files.close(fd)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(fd)
    assert files.open_files == []


def test_a_misspelt_method_is_refused():
    with pytest.raises(ValueError, match="fsync"):
        FailingFiles().fail(errno.EIO, "fsync")

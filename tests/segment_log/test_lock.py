"""One writer per directory, whoever it is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.faults.failing_files import FailingFiles
from tests.faults.small_disk import SmallDisk
from tests.segment_log.sample_log import platform_of
from yoi_runtime.errors import LogHeldError
from yoi_runtime.segment_log.lock import LOCK, WriterLock


def test_the_second_writer_is_told_who_the_first_is(tmp_path: Path):
    held = WriterLock(tmp_path, platform_of(pid=123_456))
    with pytest.raises(LogHeldError) as caught:
        WriterLock(tmp_path, platform_of(pid=7))
    assert caught.value.pid == 123_456
    held.release()
    held = WriterLock(tmp_path, platform_of(pid=7))
    with pytest.raises(LogHeldError) as caught:
        WriterLock(tmp_path, platform_of(pid=8))
    assert caught.value.pid == 7, "nothing is left of the longer number before"
    held.release()
    assert (tmp_path / LOCK).exists()


@pytest.mark.parametrize("content", [b"", b"not a number\n"])
def test_a_holder_that_wrote_no_pid_is_just_another_process(tmp_path: Path, content: bytes):
    held = WriterLock(tmp_path, platform_of())
    (tmp_path / LOCK).write_bytes(content)
    with pytest.raises(LogHeldError, match="another process") as caught:
        WriterLock(tmp_path, platform_of())
    assert caught.value.pid is None
    held.release()


def test_a_refused_writer_and_a_failed_one_leave_no_descriptor(tmp_path: Path):
    files = FailingFiles()
    held = WriterLock(tmp_path, platform_of())
    with pytest.raises(LogHeldError):
        WriterLock(tmp_path, platform_of(files))
    held.release()
    files.fail(errno.EIO, "lock")
    with pytest.raises(OSError, match="error"):
        WriterLock(tmp_path, platform_of(files))
    assert files.open_files == []
    WriterLock(tmp_path, platform_of()).release()


def test_a_full_disk_keeps_nobody_from_the_lock(tmp_path: Path):
    # The pid is for people; the lock is the flock.
    disk = SmallDisk(room_bytes=0)
    held = WriterLock(tmp_path, platform_of(disk))
    with pytest.raises(LogHeldError):
        WriterLock(tmp_path, platform_of())
    assert disk.refused
    held.release()


def test_a_child_that_only_inherits_the_process_does_not_hold_the_lock(tmp_path: Path):
    held = WriterLock(tmp_path, platform_of())
    descriptors = [int(path.name) for path in Path("/proc/self/fd").iterdir()] if Path("/proc").exists() else []
    inheritable = []
    for fd in descriptors:
        try:
            if fd > 2 and os.get_inheritable(fd) and os.fstat(fd).st_ino == (tmp_path / LOCK).stat().st_ino:
                inheritable.append(fd)
        except OSError:  # the descriptor of the listing itself
            continue
    assert inheritable == []
    held.release()


def test_a_lock_that_protects_nothing_any_more_says_why(tmp_path: Path):
    files = FailingFiles()
    directory = tmp_path / "log"
    directory.mkdir()
    (directory / "00000000000000000001.jsonl").touch()
    held = WriterLock(directory, platform_of(files))
    assert held.lost_because() is None
    (directory / LOCK).unlink()
    assert held.lost_because() == "its file LOCK was deleted: nothing would keep a second writer out"
    other = WriterLock(directory, platform_of())
    replaced = "the log's directory was removed or replaced, or its file LOCK: another one stands there"
    assert held.lost_because() == replaced
    assert other.lost_because() is None
    directory.rename(tmp_path / "moved")
    assert held.lost_because() == "the log's directory was removed or replaced"
    directory.touch()
    assert held.lost_because() == "the log's directory was removed or replaced"
    directory.unlink()
    directory.mkdir()
    assert held.lost_because() == "the log's directory was removed or replaced"
    assert files.open_files == [LOCK]
    other.release()
    held.release()

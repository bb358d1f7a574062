"""tests.faults.small_disk."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.faults.small_disk import SmallDisk


def test_what_does_not_fit_is_cut_short_and_then_refused(tmp_path: Path):
    disk = SmallDisk(room_bytes=7)
    fd = disk.create(tmp_path / "a")
    assert disk.pwrite(fd, b"12345", 0) == 5
    assert disk.pwrite(fd, b"12345", 5) == 2
    with pytest.raises(OSError, match="space") as caught:
        disk.pwrite(fd, b"345", 7)
    assert caught.value.errno == errno.ENOSPC
    assert disk.pwrite(fd, b"54321", 0) == 5, "writing over existing bytes takes no room"
    assert disk.refused == 2
    disk.close(fd)
    assert (tmp_path / "a").read_bytes() == b"5432112"


def test_cutting_replacing_and_deleting_give_room_back(tmp_path: Path):
    disk = SmallDisk(room_bytes=10)
    a, b = disk.create(tmp_path / "a"), disk.create(tmp_path / "b")
    disk.pwrite(a, b"12345", 0)
    disk.allocate(b, 5)
    with pytest.raises(OSError, match="space"):
        disk.allocate(b, 6)
    disk.ftruncate(a, 4)
    assert disk.room_bytes == 1
    disk.rename(tmp_path / "a", tmp_path / "b")
    assert disk.room_bytes == 6
    disk.unlink(tmp_path / "b")
    assert disk.room_bytes == 10
    disk.close(a)
    disk.close(b)

"""tests.faults.memory_files: what a power cut may leave, and what it may not."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from tests.faults.memory_files import SECTOR_BYTES, MemoryFiles, PowerCutError
from yoi_runtime.segment_log.platform import FileOps, FileStat, RealFileOps

HOME = Path("/home")


def at_home() -> MemoryFiles:
    files = MemoryFiles()
    files.make_directory(HOME)
    return files


def write(files: FileOps, name: str, data: bytes, *, sync: bool = True) -> None:
    fd = files.create(HOME / name)
    assert files.pwrite(fd, data, 0) == len(data)
    if sync:
        files.fdatasync(fd)
        files.sync_directory(HOME)
    files.close(fd)


def outcomes(files: MemoryFiles, name: str, count: int = 400) -> set[bytes | None]:
    """Return what ``name`` held after each of many power cuts, None where it was not there."""
    found: set[bytes | None] = set()
    for seed in range(count):
        survivor = files.cut_power(Random(seed))
        try:
            found.add(survivor.read_bytes(HOME / name))
        except FileNotFoundError:
            found.add(None)
    return found


@pytest.mark.parametrize("make", [RealFileOps, MemoryFiles], ids=["real", "memory"])
def test_without_a_power_cut_it_does_as_the_real_one(make, tmp_path: Path):
    files: FileOps = make()
    home = tmp_path / "x" / "y"
    with pytest.raises(FileNotFoundError):
        files.list_directory(home)
    files.make_directory(home)
    files.make_directory(home)
    with pytest.raises(FileNotFoundError):
        files.open_read(home / "a")
    fd = files.open_write(home / "a")
    assert files.pwrite(fd, b"abc", 2) == 3
    assert files.pread(fd, 99, 0) == b"\0\0abc"
    files.ftruncate(fd, 4)
    files.fdatasync(fd)
    assert files.pread(fd, 2, 1) == b"\0a"
    assert files.pread(fd, 2, 9) == b""
    files.close(fd)
    fd = files.open_write(home / "a")
    assert files.stat(fd).size == 4
    files.allocate(fd, 6)
    assert (files.stat(fd).size, files.stat(fd).links) == (6, 1)
    files.rename(home / "a", home / "b")
    assert files.list_directory(home) == ["b"]
    inode = files.stat(fd).inode
    other = files.create(home / "c")
    files.rename(home / "c", home / "b")
    assert files.stat(fd) == FileStat(6, inode, 0)
    assert files.stat(other).links == 1
    assert files.pread(fd, 99, 0) == b"\0\0ab\0\0"
    files.close(fd)
    files.unlink(home / "b")
    with pytest.raises(FileNotFoundError):
        files.unlink(home / "b")
    with pytest.raises(FileNotFoundError):
        files.rename(home / "b", home / "c")
    files.sync_directory(home)
    assert files.stat(other).links == 0
    files.close(other)
    with pytest.raises(OSError, match="descriptor"):
        files.close(other)
    fd = files.create(home / "b")
    reading = files.open_read(home / "b")
    with pytest.raises(OSError, match="descriptor"):
        files.pwrite(reading, b"x", 0)
    again = files.open_write(home / "b")
    assert files.lock(fd)
    assert files.lock(fd)
    assert not files.lock(again)
    files.close(fd)
    assert files.lock(again)
    files.close(again)
    files.close(reading)
    with pytest.raises(NotADirectoryError):
        files.list_directory(home / "b")
    with pytest.raises(FileNotFoundError):
        files.create(tmp_path / "nowhere" / "b")


def test_what_is_synced_survives_and_nothing_else_can_be_there():
    files = at_home()
    write(files, "a", b"one")
    fd = files.open_write(HOME / "a")
    files.pwrite(fd, b"two", 0)
    assert outcomes(files, "a") == {b"one", b"two"}
    files.fdatasync(fd)
    assert outcomes(files, "a") == {b"two"}


def test_an_append_that_was_not_synced_is_lost_torn_zeroed_or_there():
    files = at_home()
    write(files, "a", b"s" * 100)
    fd = files.open_write(HOME / "a")
    files.pwrite(fd, b"x" * 1400, 100)
    found = outcomes(files, "a")
    whole = b"s" * 100 + b"x" * 1400
    assert {b"s" * 100, whole, b"s" * 100 + bytes(1400)} <= found
    for data in found:
        assert data is not None
        assert data[:100] == b"s" * 100
        for at in range(0, len(data), SECTOR_BYTES):
            sector = data[at : at + SECTOR_BYTES]
            states = (whole[at:], whole[:100].ljust(SECTOR_BYTES, b"\0")[at:], bytes(SECTOR_BYTES))
            assert sector in [state[: len(sector)] for state in states]
    # A later sector may be there without an earlier one.
    assert any(data is not None and data[600:1024] == bytes(424) and data[1024:] == b"x" * 476 for data in found)


def test_two_writes_may_reach_the_disk_in_either_order():
    files = at_home()
    write(files, "a", b"a" * 512 + b"b" * 512)
    fd = files.open_write(HOME / "a")
    files.pwrite(fd, b"A" * 512, 0)
    files.pwrite(fd, b"B" * 512, 512)
    found = outcomes(files, "a")
    assert found == {first * 512 + second * 512 for first in (b"a", b"A") for second in (b"b", b"B")}


def test_a_cut_that_was_not_synced_may_not_have_happened():
    files = at_home()
    write(files, "a", b"s" * 300)
    fd = files.open_write(HOME / "a")
    files.ftruncate(fd, 100)
    files.pwrite(fd, b"n" * 50, 100)
    found = outcomes(files, "a")
    assert {b"s" * 300, b"s" * 100, b"s" * 100 + b"n" * 50} <= found


def test_names_survive_by_the_sync_of_their_directory_alone():
    files = at_home()
    write(files, "a", b"one", sync=False)
    fd = files.open_write(HOME / "a")
    files.fdatasync(fd)
    assert outcomes(files, "a") == {None, b"one"}
    files.sync_directory(HOME)
    assert outcomes(files, "a") == {b"one"}
    files.unlink(HOME / "a")
    assert outcomes(files, "a") == {None, b"one"}
    files.sync_directory(HOME)
    assert outcomes(files, "a") == {None}


def test_a_rename_is_lost_done_or_half_done_but_the_target_is_old_or_new():
    files = at_home()
    write(files, "a", b"old")
    write(files, "b", b"new")
    files.rename(HOME / "b", HOME / "a")
    assert outcomes(files, "a") == {b"old", b"new"}
    assert outcomes(files, "b") == {b"new", None}


def test_a_directory_and_its_parents_are_there_for_good_once_made():
    files = MemoryFiles()
    files.make_directory(Path("/x/y/z"))
    for seed in range(50):
        assert files.cut_power(Random(seed)).list_directory(Path("/x/y/z")) == []


def test_the_same_seed_leaves_the_same_and_the_original_stays():
    files = at_home()
    write(files, "a", b"x" * 5000, sync=False)
    first, second = files.cut_power(Random(3)), files.cut_power(Random(3))
    assert first.list_directory(HOME) == second.list_directory(HOME)
    assert files.read_bytes(HOME / "a") == b"x" * 5000


def test_the_power_goes_at_the_chosen_call_and_stays_away():
    files = at_home()
    write(files, "a", b"one")
    files.cut_power_at(files.calls + 2)
    fd = files.open_write(HOME / "a")
    for _ in range(2):
        with pytest.raises(PowerCutError):
            files.pwrite(fd, b"two", 0)
    with pytest.raises(PowerCutError):
        files.close(fd)
    assert files.cut_power(Random(1)).read_bytes(HOME / "a") == b"one"


def test_killing_the_process_loses_its_locks_and_no_byte():
    files = at_home()
    write(files, "a", b"one")
    fd = files.open_write(HOME / "a")
    files.pwrite(fd, b"two", 0)
    assert files.lock(fd)
    files.kill()
    assert (files.read_bytes(HOME / "a"), files.open_files) == (b"two", 0)
    with pytest.raises(OSError, match="descriptor"):
        files.pread(fd, 1, 0)
    assert files.lock(files.open_write(HOME / "a"))
    assert outcomes(files, "a") == {b"one", b"two"}


def test_pages_lost_by_a_failed_sync_are_seen_but_never_written():
    files = at_home()
    write(files, "a", b"")
    fd = files.open_write(HOME / "a")
    files.pwrite(fd, b"lost", 0)
    files.lose_unsynced_pages(HOME / "a")
    files.pwrite(fd, b"kept", 4)
    files.fdatasync(fd)
    assert files.read_bytes(HOME / "a") == b"lostkept"
    assert outcomes(files, "a") == {b"\0\0\0\0kept"}


def test_damage_from_outside_is_durable():
    files = at_home()
    write(files, "a", b"one", sync=False)
    files.sync_directory(HOME)
    files.write_bytes(HOME / "a", b"bad")
    assert outcomes(files, "a") == {b"bad"}
    with pytest.raises(OSError, match="directory") as caught:
        files.read_bytes(HOME)
    assert caught.value.errno == errno.EISDIR

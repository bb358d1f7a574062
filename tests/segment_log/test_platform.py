"""The seam does to the machine what it says. Its file calls are compared with the memory ones in tests/faults."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from yoi_runtime.segment_log import platform as seam
from yoi_runtime.segment_log.platform import REAL_PLATFORM, RealClock, RealFileOps


def test_files_are_private_to_user_and_group(tmp_path: Path):
    files = RealFileOps()
    files.make_directory(tmp_path / "a" / "b")
    for name, make in (("c", files.create), ("w", files.open_write)):
        files.close(make(tmp_path / "a" / "b" / name))
        assert (tmp_path / "a" / "b" / name).stat().st_mode & 0o007 == 0
    assert (tmp_path / "a" / "b").stat().st_mode & 0o007 == 0


def test_no_descriptor_goes_to_a_child_process(tmp_path: Path):
    files = RealFileOps()
    fds = [files.create(tmp_path / "a"), files.open_write(tmp_path / "a"), files.open_read(tmp_path / "a")]
    try:
        assert not any(os.get_inheritable(fd) for fd in fds)
    finally:
        for fd in fds:
            files.close(fd)


def test_create_cuts_what_was_there_and_open_write_does_not(tmp_path: Path):
    files = RealFileOps()
    (tmp_path / "a").write_bytes(b"before")
    files.close(files.open_write(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b"before"
    files.close(files.create(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b""


def test_allocation_takes_real_blocks_and_does_without_where_there_are_none(tmp_path: Path, monkeypatch):
    files = RealFileOps()
    fd = files.create(tmp_path / "a")
    files.allocate(fd, 65_536)
    assert files.stat(fd).size in (0, 65_536)

    def refuse(number: int):
        def fallocate(fd: int, offset: int, size: int) -> None:
            raise OSError(number, os.strerror(number))

        return fallocate

    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.EOPNOTSUPP), raising=False)
    files.allocate(fd, 131_072)
    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.ENOSPC), raising=False)
    with pytest.raises(OSError, match="space"):
        files.allocate(fd, 131_072)
    monkeypatch.delattr(os, "posix_fallocate")
    files.allocate(fd, 131_072)
    files.close(fd)


def test_a_new_directory_is_synced_into_each_parent_that_learns_of_it(tmp_path: Path, monkeypatch):
    synced = []
    monkeypatch.setattr(RealFileOps, "sync_directory", lambda self, path: synced.append(path))
    RealFileOps().make_directory(tmp_path / "a" / "b" / "c")
    assert sorted(synced) == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    synced.clear()
    RealFileOps().make_directory(tmp_path / "a" / "b" / "c")
    assert synced == []


def test_a_file_in_the_place_of_the_directory_is_an_error(tmp_path: Path):
    (tmp_path / "a").touch()
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(OSError):
            RealFileOps().make_directory(path)


def test_the_lock_is_the_files_and_outlives_other_descriptors(tmp_path: Path):
    # flock, not lockf: closing any other descriptor of the file would drop a POSIX lock.
    files = RealFileOps()
    held = files.open_write(tmp_path / "LOCK")
    assert files.lock(held)
    files.close(files.open_read(tmp_path / "LOCK"))
    other = files.open_write(tmp_path / "LOCK")
    assert not files.lock(other)
    script = "import sys, pathlib; from yoi_runtime.segment_log.platform import RealFileOps as R; r = R(); "
    script += "print(r.lock(r.open_write(pathlib.Path(sys.argv[1]))))"
    root = Path(seam.__file__).parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "LOCK")], cwd=root, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"
    files.close(held)
    assert files.lock(other)
    files.close(other)


def test_the_clocks_go_forward():
    clock = RealClock()
    assert clock.monotonic() <= clock.monotonic()
    assert clock.now_us() > 1_700_000_000_000_000


def test_the_real_platform_knows_its_process_and_boot(monkeypatch):
    assert REAL_PLATFORM.pid() == os.getpid()
    assert len(REAL_PLATFORM.random_bytes(8)) == 8
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    assert REAL_PLATFORM.boot_id() == (boot_id.read_text().strip() if boot_id.exists() else "")

    def missing(*args: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert REAL_PLATFORM.boot_id() == ""


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:5 / /data rw - xfs /dev/sdb1 rw
31 30 0:6 / /data/net rw - nfs4 server:/x rw
32 30 0:7 / /data/with\\040space rw - btrfs /dev/sdc1 rw
33 22 0:8 / /covered rw - nfs server:/y rw
34 22 0:9 / /covered rw - tmpfs none rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/home/x", "ext4"),
        ("/data", "xfs"),
        ("/data/log", "xfs"),
        ("/database", "ext4"),
        ("/data/net", "nfs4"),
        ("/data/net/deep/log", "nfs4"),
        ("/data/network", "xfs"),
        ("/data/with space/log", "btrfs"),
        ("/covered/log", "tmpfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda *args, **kwargs: MOUNTS)
    monkeypatch.setattr(os.path, "realpath", str)
    assert RealFileOps().filesystem_type(Path(path)) == kind


def test_where_there_is_no_mount_table_the_file_system_is_unknown(monkeypatch):
    def missing(*args: object, **kwargs: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert RealFileOps().filesystem_type(Path("/")) == ""


def test_a_directory_that_is_still_to_be_made_is_on_the_file_system_of_its_parent(tmp_path: Path):
    files = RealFileOps()
    assert files.filesystem_type(tmp_path / "a" / "b") == files.filesystem_type(tmp_path)

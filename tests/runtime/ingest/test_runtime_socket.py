from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.codebase.tree import ROOT
from yoi_runtime.runtime.ingest import runtime_socket
from yoi_runtime.runtime.ingest.runtime_socket import SOCKET_NAME, connect, is_welcome, listen, peer_uid, remove

NOBODY = 65534


def talk(data_dir: Path, listener: socket.socket) -> None:
    """Connect, and see that it is this listener that answers."""
    listener.setblocking(True)
    listener.settimeout(10)
    with connect(data_dir) as near:
        far, _ = listener.accept()
        with far:
            far.sendall(b"x")
            near.settimeout(10)
            assert near.recv(1) == b"x"
            assert peer_uid(near) == peer_uid(far) == os.geteuid()


def mode_of(data_dir: Path) -> int:
    return stat.S_IMODE((data_dir / SOCKET_NAME).lstat().st_mode)


def test_it_is_its_owners_alone_whatever_the_umask(tmp_path: Path):
    before = os.umask(0)
    try:
        with listen(tmp_path) as listener:
            assert mode_of(tmp_path) == 0o600
            talk(tmp_path, listener)
    finally:
        os.umask(before)


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the mode is set after the bind, and before anybody can connect"
)
def test_the_mode_is_right_from_the_first_instant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []
    chmod = Path.chmod

    def look_first(path: Path, mode: int) -> None:
        seen.append(stat.S_IMODE(path.lstat().st_mode))
        chmod(path, mode)

    monkeypatch.setattr(Path, "chmod", look_first)
    before = os.umask(0)
    try:
        listen(tmp_path).close()
    finally:
        os.umask(before)
    assert seen == [0o600]


def test_a_socket_that_was_left_behind_is_replaced_and_nothing_else_stays(tmp_path: Path):
    listen(tmp_path).close()
    with pytest.raises(ConnectionRefusedError):
        connect(tmp_path)
    with listen(tmp_path) as listener:
        talk(tmp_path, listener)
    assert [path.name for path in tmp_path.iterdir()] == [SOCKET_NAME]


def test_there_is_a_socket_at_every_moment_while_one_takes_the_place_of_another(tmp_path: Path):
    listeners = [listen(tmp_path)]
    stop, missing, looks = threading.Event(), 0, 0

    def look() -> None:
        nonlocal missing, looks
        while not stop.is_set():
            looks += 1
            missing += not (tmp_path / SOCKET_NAME).exists()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        listeners += [listen(tmp_path) for _ in range(50)]
    finally:
        stop.set()
        thread.join()
        for listener in listeners:
            listener.close()
    print(f"{looks} looks during 50 replacements")  # noqa: T201  shown by -rA
    assert missing == 0
    assert looks > 0


def test_something_that_is_no_socket_is_not_removed(tmp_path: Path):
    (tmp_path / SOCKET_NAME).write_text("mine")
    remove(tmp_path)
    assert (tmp_path / SOCKET_NAME).read_text() == "mine"
    (tmp_path / SOCKET_NAME).unlink()
    remove(tmp_path)
    listen(tmp_path).close()
    remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs a directory of open files, as Linux has it")
@pytest.mark.parametrize("length", [60, 100, 108, 120, 200, 250])
def test_a_long_path_is_reached(tmp_path: Path, length: int):
    data_dir = tmp_path / ("d" * length)
    data_dir.mkdir()
    with listen(data_dir) as listener:
        assert (data_dir / SOCKET_NAME).is_socket()
        talk(data_dir, listener)


def test_every_length_of_a_path_around_the_limit_is_reached(tmp_path: Path):
    room = 107 - len(os.fsencode(tmp_path)) - len(SOCKET_NAME) - 2
    if room < 10:
        pytest.skip("the directory for tests is too long itself")
    for length in range(room - 8, room + 9):
        data_dir = tmp_path / ("d" * length)
        data_dir.mkdir()
        with listen(data_dir) as listener:
            talk(data_dir, listener)


def test_where_open_files_have_no_directory_a_long_path_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runtime_socket, "_DESCRIPTORS", tmp_path / "none")
    data_dir = tmp_path / ("d" * 150)
    data_dir.mkdir()
    for reach in (listen, connect):
        with pytest.raises(OSError, match="choose a shorter data directory") as caught:
            reach(data_dir)
        assert caught.value.errno == errno.ENAMETOOLONG
    assert list(data_dir.iterdir()) == []


def test_without_a_directory_there_is_no_socket(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        listen(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        connect(tmp_path / "none")


def test_no_descriptor_is_left_open_by_what_fails(tmp_path: Path):
    (tmp_path / "file").touch()
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
    for _ in range(20):
        for reach in (listen, connect):
            with pytest.raises(OSError):
                reach(tmp_path / "file")
    after = len(list(Path("/proc/self/fd").iterdir())) if before else 0
    assert after == before


@pytest.mark.parametrize(
    ("uid", "welcome"), [(0, True), (1000, True), (1001, True), (1002, False), (NOBODY, False), (None, True)]
)
def test_who_is_welcome(uid: int | None, welcome: bool):
    assert is_welcome(uid, 1000, 1001) is welcome


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_socket_that_another_user_put_there_is_not_spoken_with(tmp_path: Path):
    """In a directory of root's, a process of nobody's that was let in takes the place of the Runtime."""
    tmp_path.chmod(0o777)
    code = (
        "import os, sys, pathlib; from yoi_runtime.runtime.ingest.runtime_socket import listen;"
        "os.setgid(65534); os.setuid(65534); listener = listen(pathlib.Path('.')); print('listens', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listens\n"
        with pytest.raises(PermissionError, match="another user"):
            connect(tmp_path)
        process.communicate()

"""The listener around a real Runtime: who may connect, how many, and what becomes of the socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.codebase.tree import ROOT
from tests.conftest import ExpectLog
from tests.event_log.written_events import by_worker, check_numbers, envelopes_in
from tests.runtime.ingest.peer import Peer, peer_of, refuse_none, text
from tests.runtime.ingest.test_connection import END, LISTENING, listening
from tests.runtime.sample_runtime import SMALL, open_runtime
from tests.support.deadline import wait_until
from yoi_runtime.errors import LogClosedError, LogHeldError
from yoi_runtime.events import TextDone
from yoi_runtime.runtime.ingest import listener
from yoi_runtime.runtime.ingest.runtime_socket import SOCKET_NAME


def test_the_socket_is_there_as_long_as_the_runtime(tmp_path: Path):
    with open_runtime(tmp_path, LISTENING):
        assert (tmp_path / SOCKET_NAME).is_socket()
    assert not (tmp_path / SOCKET_NAME).exists()
    with pytest.raises(FileNotFoundError):
        Peer(tmp_path)


def test_a_runtime_listens_when_it_is_told_to_and_not_before(tmp_path: Path):
    with open_runtime(tmp_path, SMALL) as runtime:
        assert not (tmp_path / SOCKET_NAME).exists()
        runtime.listen()
        runtime.listen()
        with peer_of(tmp_path) as peer:
            assert peer.hello()["kind"] == "hello"
            peer.ask(END)
    with pytest.raises(LogClosedError):
        runtime.listen()


def test_who_cannot_have_the_log_leaves_the_socket_alone(tmp_path: Path):
    with listening(tmp_path), peer_of(tmp_path) as peer:
        before = (tmp_path / SOCKET_NAME).stat().st_ino
        with pytest.raises(LogHeldError):
            open_runtime(tmp_path, LISTENING)
        assert (tmp_path / SOCKET_NAME).stat().st_ino == before
        assert peer.hello()["kind"] == "hello"
        peer.ask(END)


def test_without_a_place_for_the_socket_a_runtime_that_must_listen_is_not_opened(tmp_path: Path):
    (tmp_path / SOCKET_NAME).mkdir()
    with pytest.raises(IsADirectoryError):
        open_runtime(tmp_path, LISTENING)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    # It has let go of the log.
    with open_runtime(tmp_path, SMALL) as runtime:
        with pytest.raises(IsADirectoryError):
            runtime.listen()
        runtime.create_worker("goes-on").end()


def test_many_at_once_each_in_its_own_order(tmp_path: Path):
    workers, count = 20, 300

    def work(number: int) -> None:
        with peer_of(tmp_path) as peer:
            peer.hello(f"w{number}", durable=number % 2 == 0)
            for begin in range(0, count, 50):
                refuse_none(peer.ask(*(text(n, f"k{n}") for n in range(begin, begin + 50))))
            assert peer.ask(END)[0]["kind"] == "ended"

    with listening(tmp_path) as runtime:
        threads = [threading.Thread(target=work, args=[number]) for number in range(workers)]
        for thread in threads:
            thread.start()
        with runtime.create_worker("embedded") as embedded:
            for _ in range(count):
                embedded.emit(TextDone(text="beside them"))
        for thread in threads:
            thread.join()
    envelopes = envelopes_in(tmp_path / "log")
    check_numbers(envelopes)
    found = by_worker(envelopes)
    assert len(found) == workers + 1
    for number in range(workers):
        texts = [e.payload.text for e in found[f"w{number}"] if isinstance(e.payload, TextDone)]
        assert texts == [f"number {n}" for n in range(count)]


def test_one_too_many_is_told_and_let_in_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listener, "MOST_CONNECTIONS", 2)
    with listening(tmp_path), peer_of(tmp_path) as first, peer_of(tmp_path) as second:
        first.hello("first")
        second.hello("second")
        with peer_of(tmp_path) as third:
            (answer,) = third.rest()
            assert (answer["code"], answer["fatal"]) == ("too_many_connections", True)
            assert "line" not in answer
        first.ask(END)
        first.close()

        def is_let_in() -> bool:
            with peer_of(tmp_path) as later:
                try:
                    return later.hello("later")["kind"] == "hello"
                except BrokenPipeError:  # turned away before it had said a word
                    return False

        wait_until(is_let_in)
        second.ask(END)


def test_another_users_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listener, "is_welcome", lambda *_: False)
    with listening(tmp_path), peer_of(tmp_path) as peer:
        assert [answer["code"] for answer in peer.rest()] == ["forbidden"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_kept_out_by_the_mode_and_without_it_by_the_kernels_word(tmp_path: Path):
    """As ``nobody``, from a directory it may enter."""
    code = (
        "import os, socket; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX)\n"
        "try:\n    s.connect('runtime.sock'); print(s.makefile().readline())\n"
        "except PermissionError: print('kept out')"
    )

    def as_nobody() -> str:
        found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        return found.stdout.strip()

    with listening(tmp_path):
        tmp_path.chmod(0o777)
        assert as_nobody() == "kept out"
        (tmp_path / SOCKET_NAME).chmod(0o777)
        assert json.loads(as_nobody())["code"] == "forbidden"


def test_a_listener_without_descriptors_goes_on_when_there_are_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log: ExpectLog
):
    expect_log("yoi_runtime.runtime", "no local program can connect at present: .*Too many open files")
    monkeypatch.setattr(listener, "_ACCEPT_RETRY_SECONDS", 0.01)
    failures = iter([True, True])
    accept = socket.socket.accept

    def fail_twice(self: socket.socket) -> tuple[socket.socket, object]:
        if next(failures, False):
            raise OSError(24, "Too many open files")
        return accept(self)

    with listening(tmp_path):
        monkeypatch.setattr(socket.socket, "accept", fail_twice)
        with peer_of(tmp_path) as peer:
            assert peer.hello()["kind"] == "hello"
            peer.ask(END)


def test_a_killed_runtimes_socket_is_replaced(tmp_path: Path):
    code = (
        "import os, sys, signal; from yoi_runtime import Runtime, RuntimeOptions\n"
        "Runtime.open(sys.argv[1], RuntimeOptions(ingest=True)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / SOCKET_NAME).is_socket()
    with pytest.raises(ConnectionRefusedError):
        Peer(tmp_path)
    with listening(tmp_path), peer_of(tmp_path) as peer:
        assert peer.hello()["kind"] == "hello"
        peer.ask(END)


def test_a_forked_child_does_not_keep_the_sockets_open(tmp_path: Path):
    """The parent is killed while its child lives on: its peer notices, and nobody can connect."""
    code = (
        "import os, sys, time, warnings; from yoi_runtime import Runtime, RuntimeOptions\n"
        "warnings.simplefilter('ignore')\n"
        "runtime = Runtime.open(sys.argv[1], RuntimeOptions(ingest=True))\n"
        "print('open', flush=True); sys.stdin.readline()\n"
        "child = os.fork()\n"
        "if child == 0:\n    print('child', flush=True); sys.stdin.read(); os._exit(0)\n"
        "os.waitpid(child, 0)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "open\n"
        with peer_of(tmp_path) as peer:
            assert peer.hello()["kind"] == "hello"
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "child\n"
            # The child has let go of its copies, and the parent goes on with its own.
            refuse_none(peer.ask({"text": "a"}))
            process.kill()
            process.wait()
            assert peer.rest() == []
            with pytest.raises(ConnectionRefusedError):
                Peer(tmp_path)
        process.stdin.close()


def test_stopping_twice_and_while_many_are_connected_is_harmless(tmp_path: Path):
    with listening(tmp_path) as runtime:
        peers = [Peer(tmp_path) for _ in range(10)]
        for number, peer in enumerate(peers[:5]):
            peer.hello(f"w{number}")
        assert runtime._ingest is not None
        ingest = runtime._ingest
        runtime.close()
        ingest.stop()
        for peer in peers:
            assert [answer["code"] for answer in peer.rest()] in ([], ["shutting_down"])
            peer.close()

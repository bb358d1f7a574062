"""A Runtime with 64 descriptors, and more peers than that: the log is written on, and nothing turns on the spot."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.real_program import DEADLINE_SECONDS, environment, python_command
from tests.support.deadline import wait_until
from yoi_runtime.server.token_file import add_token

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

_COUNTS = "import itertools, time\nfor n in itertools.count():\n    print(n, flush=True)\n    time.sleep(0.05)"
_REQUEST = (
    b"GET /v1/events/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Limited:
    """``yoi-runtime serve`` under ``ulimit -n``."""

    def __init__(self, directory: Path, descriptors: int, *options: str) -> None:
        self.data = directory / "data"
        self.stderr_file = directory / "stderr"
        self.request = _REQUEST
        worker = shlex.join(python_command(_COUNTS))
        command = [*(sys.executable, "-m", "yoi_runtime", "serve", "--data-dir", str(self.data)), "--bind", ":0"]
        # Small segments: the log has to open new files all the time.
        command += ["--segment-bytes", "4096", "--retain-bytes", "64KiB", "--worker", f"a={worker}", *options]
        with self.stderr_file.open("wb") as stderr:
            self.process = subprocess.Popen(
                ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh", *command],
                cwd=directory,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    @property
    def stderr(self) -> str:
        return self.stderr_file.read_text("utf-8")

    @property
    def port(self) -> int:
        url = json.loads((self.data / "server.json").read_bytes())["url"]
        return urlsplit(url).port or 0

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def newest_segment(self) -> int:
        return max(int(path.name[:20]) for path in (self.data / "log").glob("*.jsonl"))

    def subscribes(self) -> str:
        """Ask for a stream and return the status line, or "" when the connection was closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS) as peer:
            try:
                peer.sendall(self.request)
                return peer.recv(65536).partition(b"\r\n")[0].decode()
            except ConnectionError:
                return ""


def test_with_64_descriptors_and_300_peers_the_log_goes_on_and_the_processor_rests(tmp_path: Path):
    limited = Limited(tmp_path, 64)
    process = limited.process
    peers: list[socket.socket] = []
    try:
        wait_until((limited.data / "server.json").exists, DEADLINE_SECONDS, "serves")
        assert "only 64 files and sockets may be open" in limited.stderr
        for number in range(300):
            peer = socket.socket()
            peer.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                peer.connect(("127.0.0.1", limited.port))
            peers.append(peer)
            if number % 2:
                with contextlib.suppress(OSError):
                    peer.send(_REQUEST)
        # The log rolls on: descriptors were kept for it.
        before, cpu, began = limited.newest_segment, limited.cpu_seconds, time.monotonic()
        wait_until(lambda: limited.newest_segment >= before + 5, 2 * DEADLINE_SECONDS, "five more segments")
        took, used = time.monotonic() - began, limited.cpu_seconds - cpu
        sys.stdout.write(f"\n300 peers at 64 descriptors: 5 segments in {took:.1f} s, {used:.2f} s of processor\n")
        # A loop that turns on the spot uses all of it.
        assert used < 0.5 * took + 0.5
        assert len(list(Path(f"/proc/{process.pid}/fd").iterdir())) < 64
        for peer in peers:
            peer.close()
        peers.clear()
        wait_until(lambda: "101" in limited.subscribes(), DEADLINE_SECONDS, "a fresh subscriber")
        lines = limited.stderr.splitlines()
        assert len(lines) < 30, limited.stderr
        assert "Traceback" not in limited.stderr
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 143
    finally:
        for peer in peers:
            peer.close()
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize("with_tokens", [True, False])
def test_who_asks_after_its_health_again_and_again_holds_no_door_shut(tmp_path: Path, with_tokens: bool):
    options: list[str] = []
    if with_tokens:
        token_file = tmp_path / "tokens.json"
        token, _ = add_token(token_file, label="", workers=[], expires_at=None)
        options = ["--token-file", str(token_file)]
    limited = Limited(tmp_path, 96, *options)
    if with_tokens:
        limited.request = _REQUEST.replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    done, asked = threading.Event(), 0
    peers: list[socket.socket] = []

    def ask_on() -> None:
        nonlocal asked
        while not done.wait(0.1):
            while len(peers) < 50:
                peer = socket.socket()
                peer.setblocking(False)
                peer.connect_ex(("127.0.0.1", limited.port))
                peers.append(peer)
            for peer in list(peers):
                try:
                    peer.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    answer = peer.recv(65536)
                    asked += answer.count(b"200 OK")
                except BlockingIOError:
                    continue
                except OSError:
                    answer = b""
                if not answer:
                    peer.close()
                    peers.remove(peer)

    thread = threading.Thread(target=ask_on)
    try:
        wait_until((limited.data / "server.json").exists, DEADLINE_SECONDS, "serves")
        thread.start()
        wait_until(lambda: asked > 300, DEADLINE_SECONDS, "they ask")
        assert "101" in limited.subscribes()
        sys.stdout.write(f"\n50 peers asked {asked} times meanwhile\n")
    finally:
        done.set()
        if thread.ident is not None:
            thread.join()
        for peer in peers:
            peer.close()
        limited.process.kill()
        limited.process.wait()


def test_who_is_one_too_many_is_told_to_come_back(tmp_path: Path):
    limited = Limited(tmp_path, 256, "--max-subscribers", "3")
    try:
        wait_until((limited.data / "server.json").exists, DEADLINE_SECONDS, "serves")
        inside = [socket.create_connection(("127.0.0.1", limited.port), timeout=DEADLINE_SECONDS) for _ in range(3)]
        for peer in inside:
            peer.sendall(_REQUEST)
            assert b" 101 " in peer.recv(100)
        with socket.create_connection(("127.0.0.1", limited.port), timeout=DEADLINE_SECONDS) as peer:
            peer.sendall(_REQUEST)
            answer = peer.recv(65536).decode()
        assert answer.startswith("HTTP/1.1 429 ")
        assert "Retry-After: 5" in answer
        assert '"code":"runtime.too_many_subscribers"' in answer
        inside.pop().close()
        wait_until(lambda: "101" in limited.subscribes(), DEADLINE_SECONDS, "a place is free again")
        for peer in inside:
            peer.close()
    finally:
        limited.process.kill()
        limited.process.wait()


@pytest.mark.parametrize(
    "descriptors, options, words",
    [(64, ["--max-subscribers", "100"], "and 64 allowed: raise the limit"), (24, [], "24 allowed: raise the limit")],
)
def test_what_cannot_be_served_is_refused_at_the_start(
    tmp_path: Path, descriptors: int, options: list[str], words: str
):
    limited = Limited(tmp_path, descriptors, *options)
    assert limited.process.wait(DEADLINE_SECONDS) == 1
    assert words in limited.stderr
    assert "Traceback" not in limited.stderr

"""What happens between SIGTERM and the end of the program, with everybody in the way."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import socket
import ssl
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.real_program import DEADLINE_SECONDS, Program, eventually, python_command, server_url, start_program
from tests.server.certificates import Authority, needs_openssl
from tests.server.raw_peer import RawPeer
from tests.server.scraping import Scraped
from tests.server.serving import EVERYTHING, http_get
from tests.support.deadline import wait_until_async
from yoi_runtime.server.token_file import add_token

# Ignores SIGTERM, and says much first.
STUBBORN = shlex.join(
    python_command(
        "import signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for n in range(6000): print('x' * 1000)\n"
        "print('done', flush=True)\n"
        "while True: signal.pause()"
    )
)
# What the promise is, and what is added for a machine that does other things meanwhile.
PROMISED_SECONDS, BUSY_SECONDS = 10.0, 10.0


def is_ready(url: str) -> bool:
    return http_get(url, "/readyz").status == 200


def readiness(url: str) -> list[float]:
    """Return whether each process lets somebody in, whichever of them answers."""
    return [one.value for one in Scraped(http_get(url, "/metrics").body.decode()).samples if one.name == "yoi_ready"]


@pytest.mark.parametrize("more", [(), ("--processes", "2")])
async def test_stubborn_workers_and_stalled_subscribers_do_not_delay_the_end(tmp_path: Path, more: tuple[str, ...]):
    data = tmp_path / "data"
    options = ["--data-dir", str(data), "--bind", "127.0.0.1:0", "--worker", f"a={STUBBORN}", *more]
    with start_program(tmp_path, "serve", *options) as program, ExitStack() as peers:
        url = await asyncio.to_thread(server_url, data, program)
        await asyncio.to_thread(eventually, lambda: http_get(url, "/v1/events/status").json["events"] > 6000)
        processes = 2 if more else 1
        await asyncio.to_thread(eventually, lambda: readiness(url) == [1.0] * processes)
        for _ in range(6):
            peers.enter_context(await RawPeer.connect(url, f"{EVERYTHING}?from=oldest", receive_buffer=4096))
        reading = peers.enter_context(await RawPeer.connect(url, EVERYTHING, subprotocol="yoi.events.v1"))
        assert (await reading.json())["kind"] == "hello"
        began = time.monotonic()
        program.signal(signal.SIGTERM)
        await wait_until_async(lambda: not is_ready(url), message="/readyz answers 503")
        await wait_until_async(lambda: readiness(url) == [0.0] * processes, message="and of every process")
        assert http_get(url, "/v1/workers/a").json["worker"].get("outcome") is None, "the Worker has time yet"
        answer = http_get(url, EVERYTHING, headers=UPGRADE)
        assert (answer.status, answer.json["diagnostic"]["code"]) == (503, "runtime.unavailable")
        frames = [await reading.json()]
        while frames[-1].get("diagnostic", {}).get("code") != "runtime.shutting_down":
            frames.append(await reading.json())
        assert frames[-2]["kind"] == "bookmark"
        opcode, payload = await reading.frame()
        assert (opcode, int.from_bytes(payload[:2])) == (8, 1001)
        assert await asyncio.to_thread(program.wait) == 143
        assert time.monotonic() - began < PROMISED_SECONDS + BUSY_SECONDS
    names = [json.loads(line) for line in (data / "log" / "00000000000000000001.jsonl").read_bytes().splitlines()[1:]]
    assert names[-1]["envelope"]["payload"]["event"] == "runtime_stopping"


@needs_openssl
@pytest.mark.parametrize("processes", ["1", "2"])
def test_nor_do_all_others(tmp_path: Path, processes: str):
    """A Worker of a local program, one that waits for its next run, and, with TLS and tokens, stalled subscribers."""
    data, tls = tmp_path / "data", Authority.make(tmp_path / "ca").issue("server")
    token, _ = add_token(tmp_path / "tokens.json", label="", workers=(), expires_at=None)
    options = [
        *("--data-dir", str(data), "--bind", "127.0.0.1:0", "--processes", processes),
        *("--token-file", "tokens.json", "--tls-cert", str(tls.certificate), "--tls-key", str(tls.key)),
        *("--restart", "on-failure", "--worker", f"a={STUBBORN}", "--worker", "b=sh -c 'exit 1'"),
    ]
    with start_program(tmp_path, "serve", *options) as program, ExitStack() as peers:
        port = urlsplit(server_url(data, program)).port
        assert port is not None
        head = f"Host: localhost\r\nAuthorization: Bearer {token}\r\n"

        def connected(path: str, more: str = "") -> ssl.SSLSocket:
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.settimeout(DEADLINE_SECONDS)
            plain.connect(("127.0.0.1", port))
            secured = ssl._create_unverified_context().wrap_socket(plain)
            secured.sendall(f"GET {path} HTTP/1.1\r\n{head}{more}\r\n".encode())
            return secured

        def answer(path: str) -> bytes:
            with connected(path, "Connection: close\r\n") as connection, connection.makefile("rb") as stream:
                return stream.read()

        eventually(lambda: b'"worker_seq":6' in answer("/v1/workers/a"))
        for _ in range(6):
            upgrade = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
            peer = peers.enter_context(connected(f"{EVERYTHING}?from=oldest", upgrade))
            assert peer.recv(12) == b"HTTP/1.1 101"
        local = peers.enter_context(socket.socket(socket.AF_UNIX))
        local.settimeout(DEADLINE_SECONDS)
        local.connect(str(data / "runtime.sock"))
        local.sendall(b'{"kind":"hello","protocol":"yoi.ingest.v1","worker_id":"c"}\n{"text":"x"}\n')
        eventually(lambda: b'"worker_id":"c"' in answer("/v1/workers/c"))
        # Its delays double: in the end it waits when it is looked at.
        eventually(lambda: b'"restart_pending":true' in answer("/v1/workers/b"))
        began = time.monotonic()
        program.signal(signal.SIGTERM)
        eventually(lambda: answer("/readyz").startswith(b"HTTP/1.1 503"))
        assert program.wait() == 143
        took = time.monotonic() - began
        assert took < PROMISED_SECONDS + BUSY_SECONDS
        with local.makefile("rb") as stream:
            assert json.loads(stream.read().splitlines()[-1])["code"] == "shutting_down"
    records = [
        json.loads(line) for file in sorted((data / "log").glob("*.jsonl")) for line in file.read_bytes().splitlines()
    ]
    ends = {}
    for record in records:
        payload = record.get("envelope", {}).get("payload", {})
        if payload.get("event") == "worker_ended":
            ends[payload["data"]["worker_id"]] = (payload["data"]["outcome"], payload["data"].get("restart_pending"))
    assert ends == {"a": ("cancelled", None), "b": ("cancelled", None), "c": ("cancelled", None)}
    assert records[-1]["envelope"]["payload"]["event"] == "runtime_stopping"


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version": "13",
}


def stop_twice(program: Program) -> float:
    began = time.monotonic()
    program.signal(signal.SIGTERM)
    program.wait_for_stderr("stopping")
    program.signal(signal.SIGINT)
    assert program.wait() == 130
    return time.monotonic() - began


def test_the_second_signal_ends_it_now(tmp_path: Path):
    data = tmp_path / "data"
    options = ["--data-dir", str(data), "--bind", "127.0.0.1:0", "--log-level", "info", "--worker", f"a={STUBBORN}"]
    with start_program(tmp_path, "serve", *options) as program:
        url = server_url(data, program)
        # Not before the Worker ignores the first one.
        eventually(lambda: http_get(url, "/v1/events/status").json["events"] > 100)
        stop_twice(program)
        assert "event=stopped" not in program.stderr
        assert "stopped: stopped" not in program.stderr
    assert (data / "server.json").exists(), "nothing was cleaned up"


def test_a_server_that_only_reads_says_goodbye_too(tmp_path: Path):
    data = tmp_path / "data"
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", "127.0.0.1:0") as writer:
        server_url(data, writer)
        with start_program(tmp_path, "serve", "--read-only", "--data-dir", str(data), "--bind", ":0") as reader:
            reader.wait_for_stdout("read-only")
            url = reader.stdout.split()[2]

            async def goodbye() -> str:
                with await RawPeer.connect(url, EVERYTHING) as peer:
                    await peer.json()
                    reader.signal(signal.SIGTERM)
                    return (await peer.json())["diagnostic"]["code"]

            assert asyncio.run(goodbye()) == "runtime.shutting_down"
            assert reader.wait(DEADLINE_SECONDS) == 143
        assert is_ready(server_url(data, writer))

"""The adapter alone, against real sockets."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import WebSocketClientConnection
from websockets.asyncio.server import ServerConnection

from tests.client.client_tasks import client_tasks
from tests.client.scripted_runtime import Refusal, ScriptedRuntime, closing, drop, fall_silent, problem, until
from tests.support.deadline import wait_until_async
from yoi_runtime.client.backend_client import BackendConnection, connect, connect_failed
from yoi_runtime.client.resume import Answered, ConnectFailed, ConnectFault, Silence
from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.protocol.diagnostics import DiagnosticCode
from yoi_runtime.protocol.versions import ProtocolVersion

# Far apart from any deadline here: these tests end because something happened, not because time passed.
PATIENT = ClientSettings(close_timeout_seconds=30, ping_interval_seconds=3600, ping_timeout_seconds=3600)
V1 = ProtocolVersion.V1
EAGER = ClientSettings(close_timeout_seconds=30, ping_interval_seconds=0.02, ping_timeout_seconds=0.2)


def ws(runtime: ScriptedRuntime) -> str:
    return f"ws://127.0.0.1:{runtime.port}/v1/events/ws?cursor=c1"


@asynccontextmanager
async def connected(
    runtime: ScriptedRuntime, settings: ClientSettings = PATIENT, token: str | None = None
) -> AsyncIterator[BackendConnection]:
    connection = await connect(ws(runtime), V1, token, settings)
    assert isinstance(connection, BackendConnection)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def plain_server(answer: bytes, stays: bool = False) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Serve ``answer`` to every request, whatever it is; the event says that a client has gone."""
    gone = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        if stays:
            await reader.read()
            gone.set()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", gone


async def test_messages_come_in_order_then_the_close_code():
    async with (
        ScriptedRuntime(["one", "two", closing(4410, "runtime.cursor_expired")]) as runtime,
        connected(runtime) as connection,
    ):
        assert [await connection.receive() for _ in range(4)] == ["one", "two", None, None]
        assert (connection.close_code, connection.silence) == (4410, None)


async def test_a_broken_connection_has_no_close_code():
    async with ScriptedRuntime(["one", drop]) as runtime, connected(runtime) as connection:
        assert [await connection.receive() for _ in range(2)] == ["one", None]
        assert connection.close_code is None


async def test_the_token_goes_into_the_header_and_nowhere_else():
    async with ScriptedRuntime([], []) as runtime:
        async with connected(runtime, token="s3cret"):
            pass
        async with connected(runtime):
            pass
        with_token, without = runtime.asked
        assert with_token.headers["Authorization"] == "Bearer s3cret"
        assert "s3cret" not in with_token.target
        assert "Authorization" not in without.headers


async def test_it_looks_like_no_browser_and_offers_what_it_is_told():
    async with ScriptedRuntime([], []) as runtime:
        for version in ProtocolVersion:
            connection = await connect(ws(runtime), version, None, PATIENT)
            assert isinstance(connection, BackendConnection)
            await connection.close()
        headers = [{name.lower(): value for name, value in asked.headers.items()} for asked in runtime.asked]
        offered = [fields.get("sec-websocket-protocol") for fields in headers]
        assert offered == [None, "yoi.events.v1"]
        names = {name for fields in headers for name in fields}
        assert not names & {"origin", "cookie", "sec-websocket-extensions"}
        assert not {name for name in names if name.startswith("sec-fetch")}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_a_refusal_before_the_upgrade_brings_its_diagnostic(status: int):
    sent = problem(DiagnosticCode.UNAVAILABLE, retry_after_ms=1234)
    async with ScriptedRuntime(Refusal(status, sent, {"Retry-After": "7"})) as runtime:
        outcome = await connect(ws(runtime), V1, None, PATIENT)
    assert isinstance(outcome, Answered)
    assert outcome.diagnostic is not None
    assert (outcome.status, outcome.retry_after_ms) == (status, 7000)
    assert (outcome.diagnostic.code, outcome.diagnostic.retry_after_ms) == ("runtime.unavailable", 1234)


async def test_a_proxys_page_is_an_answer_without_a_diagnostic():
    async with ScriptedRuntime(Refusal(502, b"<html>Bad Gateway</html>")) as runtime:
        assert await connect(ws(runtime), V1, None, PATIENT) == Answered(502)


async def test_a_redirect_is_not_followed():
    async with ScriptedRuntime(Refusal(302, headers={"Location": "/elsewhere"})) as runtime:
        assert await connect(ws(runtime), V1, "s3cret", PATIENT) == Answered(302)
        assert len(runtime.asked) == 1


async def test_a_success_that_is_no_upgrade_is_an_answer():
    async with ScriptedRuntime(Refusal(204)) as runtime:
        assert await connect(ws(runtime), V1, None, PATIENT) == Answered(200)


async def test_nobody_there_is_a_failure_with_a_reason():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert await connect(f"ws://127.0.0.1:{port}/", V1, None, PATIENT) == ConnectFailed(
            "Connection refused", ConnectFault.REFUSED
        )


async def test_a_peer_that_hangs_up_is_a_failure():
    async with plain_server(b"") as (url, _):
        assert isinstance(await connect(url, V1, None, PATIENT), ConnectFailed)


async def test_a_peer_that_breaks_off_in_its_answer_is_a_failure_with_a_reason():
    async with plain_server(b"HTTP/1.1 503 No\r\nContent-Length: 200\r\n\r\nhalf of") as (url, _):
        assert await connect(url, V1, None, PATIENT) == ConnectFailed(
            "the peer broke off during the handshake", ConnectFault.HANDSHAKE
        )


async def test_a_peer_that_does_not_speak_http_is_a_failure():
    # Tornado 6.5 notices only at the timeout.
    settings = ClientSettings(connect_timeout_seconds=1)
    for babble in (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"x" * 70_000 + b"\r\n\r\n"):
        async with plain_server(babble) as (url, _):
            assert isinstance(await connect(url, V1, None, settings), ConnectFailed)


async def test_a_peer_without_tls_is_a_failure(expect_log):
    expect_log("tornado.general", "SSL Error")
    async with plain_server(b"HTTP/1.1 400 No\r\n\r\n") as (url, _):
        settings = ClientSettings(connect_timeout_seconds=10, ssl_context=ssl.create_default_context())
        assert isinstance(await connect(url.replace("ws:", "wss:"), V1, None, settings), ConnectFailed)


async def test_a_handshake_that_takes_too_long_is_a_failure():
    async with plain_server(b"", stays=True) as (url, gone):
        outcome = await connect(url, V1, None, ClientSettings(connect_timeout_seconds=0.1))
        assert isinstance(outcome, ConnectFailed)
        assert "imeout" in outcome.reason
        await asyncio.wait_for(gone.wait(), 10)


async def test_a_handshake_can_be_cancelled_and_leaves_nothing_behind():
    async with plain_server(b"", stays=True) as (url, gone):
        connecting = asyncio.create_task(
            connect(url, V1, None, ClientSettings(connect_timeout_seconds=0.5, close_timeout_seconds=0.05))
        )
        await wait_until_async(lambda: any(name.endswith("run") for name in client_tasks()))
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert not any(name.endswith("run") for name in client_tasks())
        # The socket is Tornado's, which closes it at the connect timeout.
        await asyncio.wait_for(gone.wait(), 10)


async def test_cancelling_in_any_turn_of_connecting_leaves_no_connection_open():
    """However far it had come: a connection that was made is closed in order."""
    connection, turns = None, 0
    while connection is None:
        # A name is looked up in a thread, which may take any number of turns.
        turns += 1 + turns // 20
        async with ScriptedRuntime([]) as runtime:
            connecting = asyncio.create_task(connect(ws(runtime), V1, None, PATIENT))
            for _ in range(turns):
                await asyncio.sleep(0)
            connecting.cancel()
            try:
                connection = await connecting
            except asyncio.CancelledError:
                pass
            if isinstance(connection, BackendConnection):
                await connection.close()
            assert client_tasks() == set()
            await wait_until_async(lambda: len(runtime.close_codes) == len(runtime.asked))
            assert runtime.close_codes in ([1000], [])


async def test_closing_says_1000_and_leaves_no_task():
    async with ScriptedRuntime(["one"]) as runtime:
        async with connected(runtime) as connection:
            await connection.receive()
        assert client_tasks() == set()
        await wait_until_async(lambda: runtime.close_codes == [1000])


async def test_closing_with_a_backlog_that_nobody_reads_says_1000_and_leaves_no_task():
    async with ScriptedRuntime(["x" * 1000] * 500) as runtime:
        async with connected(runtime) as connection:
            assert await connection.receive() is not None
        assert client_tasks() == set()
        await wait_until_async(lambda: runtime.close_codes == [1000])


async def test_closing_that_is_cancelled_in_any_turn_leaves_no_task():
    for turns in range(12):
        async with ScriptedRuntime(["x" * 1000] * 500) as runtime:
            connection = await connect(ws(runtime), V1, None, PATIENT)
            assert isinstance(connection, BackendConnection)
            await connection.receive()
            closing = asyncio.create_task(connection.close())
            for _ in range(turns):
                await asyncio.sleep(0)
            if not closing.cancel():
                break
            await asyncio.wait({closing})
            if turns == 0:  # it had not begun
                await connection.close()
            assert client_tasks() == set()
            await wait_until_async(lambda: runtime.close_codes == [1000])


async def test_closing_twice_is_closing_once():
    async with ScriptedRuntime([]) as runtime, connected(runtime) as connection:
        await connection.close()


async def test_a_peer_that_does_not_answer_the_close_is_left_after_the_close_timeout():
    async with ScriptedRuntime([fall_silent, "one"]) as runtime:
        settings = ClientSettings(close_timeout_seconds=0.05)
        async with connected(runtime, settings) as connection:
            assert await connection.receive() == "one"
        assert client_tasks() == set()
        runtime.connections[0].transport.abort()


async def test_closing_waits_until_the_peer_has_agreed():
    async with ScriptedRuntime([fall_silent, "one"]) as runtime:
        connection = await connect(ws(runtime), V1, None, PATIENT)
        assert isinstance(connection, BackendConnection)
        assert await connection.receive() == "one"
        closing = asyncio.create_task(connection.close())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not closing.done()
        runtime.connections[0].transport.resume_reading()
        await closing
        await wait_until_async(lambda: runtime.close_codes == [1000])


async def test_a_peer_that_talks_on_is_left_after_the_close_timeout():
    async def talk(connection: ServerConnection) -> None:
        while True:
            await connection.send("x" * 1000)

    async with ScriptedRuntime([fall_silent, talk]) as runtime:
        async with connected(runtime, ClientSettings(close_timeout_seconds=0.1)) as connection:
            await connection.receive()
        assert client_tasks() == set()
        runtime.connections[0].transport.abort()


async def test_a_peer_that_falls_silent_is_noticed():
    async with ScriptedRuntime([fall_silent, "one"]) as runtime:
        async with connected(runtime, EAGER) as connection:
            assert [await connection.receive() for _ in range(2)] == ["one", None]
            assert (connection.close_code, connection.silence) == (None, Silence.NO_PONG)
        assert client_tasks() == set()
        runtime.connections[0].transport.abort()


@pytest.fixture
def pings(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return a list that grows with every ping of the client."""
    sent: list[None] = []
    ping = WebSocketClientConnection.ping

    def counted(self: WebSocketClientConnection, data: bytes = b"") -> None:
        sent.append(None)
        ping(self, data)

    monkeypatch.setattr(WebSocketClientConnection, "ping", counted)
    return sent


async def test_a_quiet_peer_that_answers_pings_is_kept(pings: list[None]):
    gate = asyncio.Event()
    async with ScriptedRuntime([until(gate), "late"]) as runtime, connected(runtime, EAGER) as connection:
        receiving = asyncio.create_task(connection.receive())
        await wait_until_async(lambda: len(pings) >= 3)
        gate.set()
        assert await receiving == "late"
        assert connection.silence is None


async def test_a_reader_that_is_busy_elsewhere_does_not_take_the_peer_for_dead(pings: list[None]):
    """Three messages wait, so Tornado reads no further and sees no pong."""
    settings = ClientSettings(close_timeout_seconds=30, ping_interval_seconds=0.01, ping_timeout_seconds=0.01)
    async with ScriptedRuntime(["x"] * 1000) as runtime, connected(runtime, settings) as connection:
        await wait_until_async(lambda: len(pings) >= 5)
        assert [await connection.receive() for _ in range(1000)] == ["x"] * 1000
        assert connection.silence is None


async def test_the_peers_pings_are_answered():
    answered = asyncio.Event()

    async def ping(connection: ServerConnection) -> None:
        await (await connection.ping())
        answered.set()

    async with ScriptedRuntime([ping, "done"]) as runtime, connected(runtime) as connection:
        assert await connection.receive() == "done"
        assert answered.is_set()


async def test_a_frame_of_a_mebibyte_passes_and_a_larger_than_allowed_ends_the_connection():
    mebibyte = "x" * 1024 * 1024
    async with ScriptedRuntime([mebibyte], [mebibyte]) as runtime:
        async with connected(runtime) as connection:
            assert await connection.receive() == mebibyte
        async with connected(runtime, ClientSettings(max_frame_bytes=1024 * 1024 - 1)) as connection:
            assert await connection.receive() is None


async def test_a_peer_is_held_back_while_nobody_receives():
    """TCP's own flow control: what is under way is what the kernels hold, never what the peer has."""
    megabyte, total = "x" * 1_000_000, 100
    sent = 0

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        for _ in range(total):
            await connection.send(megabyte)
            sent += 1

    async with ScriptedRuntime([flood]) as runtime, connected(runtime) as connection:
        await connection.receive()
        still = _Still(lambda: sent)
        await wait_until_async(still, 30)
        assert sent < total / 2
        for _ in range(total - 1):
            assert await connection.receive() == megabyte
        await wait_until_async(lambda: sent == total)


class _Still:
    """True once ``value`` has been the same, and more than nothing, for forty looks in a row (0.2 s)."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self._last: int | None = None
        self._looks = 0

    def __call__(self) -> bool:
        value = self._value()
        self._looks = self._looks + 1 if value == self._last else 0
        self._last = value
        return self._looks >= 40 and bool(value)


async def test_a_peer_whose_close_reason_is_no_text_ends_the_connection(expect_log):
    """Tornado's reading task dies of it; 6.5 tells nobody, and the next ping finds out."""
    expect_log("tornado.application", "Exception in callback")

    async def bad_close(connection: ServerConnection) -> None:
        connection.transport.write(b"\x88\x04\x03\xe8\xff\xff")
        await connection.wait_closed()

    async with ScriptedRuntime([bad_close]) as runtime, connected(runtime, EAGER) as connection:
        assert await connection.receive() is None


@pytest.mark.parametrize(("chosen", "version"), [(None, ProtocolVersion.V0), ("yoi.events.v1", ProtocolVersion.V1)])
async def test_the_runtime_chooses_the_version(chosen: str | None, version: ProtocolVersion):
    async with ScriptedRuntime([], version=chosen) as runtime, connected(runtime) as connection:
        assert connection.version is version


async def test_a_heartbeat_that_stays_away_ends_the_connection_after_a_warning():
    """Pongs come all the while: the program behind the socket has stopped, not the machine."""
    warned = asyncio.Event()
    async with ScriptedRuntime(["one"]) as runtime, connected(runtime) as connection:
        connection.expect_heartbeat(0.04, warned.set)
        assert [await connection.receive() for _ in range(2)] == ["one", None]
        assert warned.is_set()
        assert (connection.silence, connection.close_code) == (Silence.NO_HEARTBEAT, None)
    assert client_tasks() == set()


async def test_a_heartbeat_that_comes_keeps_the_connection():
    async def beat(connection: ServerConnection) -> None:
        for _ in range(20):
            await connection.send("beat")
            await asyncio.sleep(0.02)

    async with ScriptedRuntime([beat]) as runtime, connected(runtime) as connection:
        connection.expect_heartbeat(0.2, lambda: None)
        assert [await connection.receive() for _ in range(20)] == ["beat"] * 20
        assert connection.silence is None


async def test_an_abandoned_connection_wakes_who_receives():
    async with ScriptedRuntime([]) as runtime, connected(runtime) as connection:
        receiving = asyncio.create_task(connection.receive())
        await asyncio.sleep(0)
        connection.abandon()
        assert await receiving is None
        assert connection.silence is None


async def test_a_name_that_nobody_knows_is_a_failure_of_its_own_kind():
    outcome = await connect("ws://no-such-host.invalid/", V1, None, PATIENT)
    assert isinstance(outcome, ConnectFailed)
    assert outcome.fault is ConnectFault.DNS


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ConnectionRefusedError(111, "refused"), ConnectFault.REFUSED),
        (TimeoutError(110, "timed out"), ConnectFault.TIMEOUT),
        (socket.gaierror(-2, "unknown"), ConnectFault.DNS),
        (ssl.SSLError(1, "handshake failure"), ConnectFault.TLS),
        (OSError(113, "no route"), ConnectFault.FAILED),
    ],
)
def test_each_failure_has_its_kind(error: OSError, fault: ConnectFault):
    assert connect_failed(error) == ConnectFailed(error.strerror or "", fault)


def certificate(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server's context with a certificate that nobody has signed but itself, and its file."""
    key, chain = directory / "key.pem", directory / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(chain)]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context, chain


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
async def test_a_certificate_that_nobody_vouches_for_is_not_tried_again(tmp_path: Path, expect_log):
    expect_log("tornado.general", "SSL")
    server_context, chain = certificate(tmp_path)
    async with ScriptedRuntime([], ssl_context=server_context) as runtime:
        url = f"wss://localhost:{runtime.port}/v1/events/ws"
        outcome = await connect(url, V1, None, PATIENT)
        assert isinstance(outcome, ConnectFailed)
        assert (outcome.fault, outcome.for_good) == (ConnectFault.TLS, True)
        assert outcome.reason.startswith("the certificate is not good")
        trusting = ClientSettings(ssl_context=ssl.create_default_context(cafile=str(chain)))
        connection = await connect(url, V1, None, trusting)
        assert isinstance(connection, BackendConnection)
        await connection.close()

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.runtime.emitting import emit
from tests.server.foreign_client import Peer, subscribed
from tests.server.raw_peer import RawPeer
from tests.server.serving import EVERYTHING, http_get, serving, stream_path
from tests.support.deadline import wait_until_async
from yoi_runtime.errors import DescriptorLimitError, LogFormatError, LogNotFoundError, OpenToAllError, SecretFileError
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.runtime import LOG_DIRECTORY, Runtime
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.watermark import COMMITTED
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.descriptors import open_descriptors
from yoi_runtime.server.doorway import Doorway
from yoi_runtime.server.event_server import DEFAULT_HOST, DEFAULT_PORT, EventServer
from yoi_runtime.server.limits import Limits
from yoi_runtime.server.tls_files import TlsFiles
from yoi_runtime.server.token_file import add_token, revoke_token


def test_it_is_for_this_machine_unless_told_otherwise():
    assert (DEFAULT_HOST, DEFAULT_PORT) == ("127.0.0.1", 38800)
    ServerAccess().check_bind(DEFAULT_HOST)


async def test_port_zero_is_a_free_port_and_the_url_leads_there(tmp_path: Path):
    async with serving(tmp_path) as served:
        assert served.server.port > 0
        assert served.server.url == f"http://127.0.0.1:{served.server.port}"
        assert (await served.get("/readyz")).status == 200


async def test_an_ipv6_address_is_served_and_shown_in_brackets(tmp_path: Path):
    with Runtime.open(tmp_path):
        try:
            server = await EventServer.start(tmp_path, "::1", 0)
        except OSError:
            pytest.skip("no IPv6 here")
        try:
            assert server.url == f"http://[::1]:{server.port}"
            async with subscribed(server.url, EVERYTHING) as peer:
                await peer.opened()
        finally:
            await server.stop()


# Tornado leaves the socket that it could not bind to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
async def test_a_port_in_use_is_refused_and_never_shared(tmp_path: Path):
    async with serving(tmp_path) as served:
        with pytest.raises(OSError, match="in use"):
            await EventServer.start(tmp_path, "127.0.0.1", served.server.port)
        assert (await served.get("/readyz")).status == 200


async def test_without_a_log_nothing_is_served_and_the_port_is_free_again(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(LogNotFoundError):
        await EventServer.start(tmp_path, "127.0.0.1", port)
    gc.collect()  # a socket or file left open would speak up here
    with Runtime.open(tmp_path):
        server = await EventServer.start(tmp_path, "127.0.0.1", port)
        await server.stop()


async def test_a_log_that_cannot_be_read_is_an_error_and_leaves_nothing_open(tmp_path: Path):
    with Runtime.open(tmp_path):
        pass
    (tmp_path / LOG_DIRECTORY / COMMITTED).write_bytes(b"x" * 1024)
    with pytest.raises(LogFormatError):
        await EventServer.start(tmp_path, "127.0.0.1", 0)
    gc.collect()


async def test_subscribers_are_counted(tmp_path: Path):
    async with serving(tmp_path) as served:
        assert served.server.subscribers == 0
        async with served.subscribed() as one, served.subscribed() as two:
            await one.opened()
            await two.opened()
            assert served.server.subscribers == 2
        await wait_until_async(lambda: served.server.subscribers == 0)


async def test_a_stop_gives_everybody_the_last_events_and_a_goodbye(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        async with served.subscribed("a") as scoped, served.subscribed() as everything:
            await scoped.snapshot()
            await everything.opened()
            worker.emit(TextDelta(text="last words"))
            served.runtime.close("test")
            stopping = asyncio.ensure_future(served.server.stop())
            assert await scoped.texts(1) == ["last words"]
            events = await everything.until(lambda event: event["payload"]["event"] == "runtime_stopping")
            assert [event["payload"]["event"] for event in events] == ["text_delta", "worker_ended", "runtime_stopping"]
            for peer in (scoped, everything):
                problem = await peer.refused()
                assert (problem["code"], problem["close_code"]) == ("runtime.shutting_down", 1001)
                assert problem["recovery"] == "reconnect"
                # Where to go on: after all that came, which in v0 no bookmark says.
                assert decode_token(problem["resume_cursor"]).seq == events[-1]["seq"]
                assert problem.get("worker_id") == ("a" if peer is scoped else None)
            await stopping
        assert served.server.subscribers == 0
        await served.server.stop()


async def test_while_it_stops_it_says_so_and_lets_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yoi_runtime.server.event_server._DRAIN_SECONDS", 60.0)
    async with serving(tmp_path) as served:
        await served.worker("a")
        with await RawPeer.connect(served.server.url, stream_path("a")) as peer:
            await peer.json()
            stopping = asyncio.ensure_future(served.server.stop())
            assert (await peer.json())["diagnostic"]["code"] == "runtime.shutting_down"
            # The peer has not answered the close: the server still waits for it.
            assert (await served.get("/readyz")).status == 503
            assert (await served.get("/healthz")).status == 200
            refused = await served.refusal(stream_path("a"))
            assert (refused.status, refused.code) == (503, "runtime.unavailable")
            assert refused.headers["retry-after"] == "1"
            assert not stopping.done()
            assert (await peer.frame())[0] == 8
            await peer.send(8, (1001).to_bytes(2, "big"))
            async with asyncio.timeout(20):
                await stopping
        with pytest.raises(OSError, match="refused"):
            await asyncio.to_thread(http_get, served.server.url, "/readyz")


async def test_a_stop_waits_for_nobody_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One takes nothing, one never answers the close frame, one is far behind and reads on."""
    monkeypatch.setattr("yoi_runtime.server.event_server._DRAIN_SECONDS", 0.6)
    monkeypatch.setattr("yoi_runtime.server.event_server._LAST_EVENTS_SECONDS", 0.3)
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        await served.shown(emit(worker, 8000, size=700)[-1])
        with (
            await RawPeer.connect(served.server.url, f"{EVERYTHING}?from=oldest", receive_buffer=4096) as stalled,
            await RawPeer.connect(served.server.url, EVERYTHING) as mute,
        ):
            await mute.json()
            await wait_until_async(lambda: any(socket.is_writing() for socket in served.server._state.sockets))
            async with asyncio.timeout(20):
                await served.server.stop()
            assert served.server.subscribers == 0
            assert (await mute.json())["diagnostic"]["code"] == "runtime.shutting_down"
            assert await stalled.ended()


async def test_who_is_far_behind_at_a_stop_gets_a_goodbye_that_leads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("yoi_runtime.server.event_server._LAST_EVENTS_SECONDS", 0.0)
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        last = emit(worker, 8000, size=700)[-1]
        await served.shown(last)
        with await RawPeer.connect(served.server.url, f"{EVERYTHING}?from=oldest", receive_buffer=4096) as behind:
            await wait_until_async(lambda: any(socket.is_writing() for socket in served.server._state.sockets))
            stopping = asyncio.ensure_future(served.server.stop())
            frames = [await behind.json(), await behind.json()]
            while frames[-1]["kind"] == "event":
                frames.append(await behind.json())
            assert frames[-1]["diagnostic"]["code"] == "runtime.shutting_down"
            assert frames[-2]["envelope"]["cursor"] != last
            stood = decode_token(frames[-1]["diagnostic"]["resume_cursor"])
            assert stood.seq == frames[-2]["envelope"]["seq"]
            assert (await behind.frame())[0] == 8
            await behind.send(8, (1001).to_bytes(2, "big"))
            await stopping
        server = await EventServer.start(tmp_path, "127.0.0.1", 0)
        try:
            async with subscribed(server.url, EVERYTHING, cursor=frames[-2]["envelope"]["cursor"]) as peer:
                await peer.opened()
                assert (await peer.event())["seq"] == frames[-2]["envelope"]["seq"] + 1
        finally:
            await server.stop()


async def test_two_servers_on_one_log_in_one_process_show_the_same(tmp_path: Path):
    async with serving(tmp_path) as served:
        other = await EventServer.start(tmp_path, "127.0.0.1", 0)
        try:
            worker = await served.worker("a")
            async with served.subscribed() as one, subscribed(other.url, EVERYTHING) as two:
                await one.opened()
                await two.opened()
                emit(worker, 5)
                assert await _until_text(one) == await _until_text(two)
        finally:
            await other.stop()


async def _until_text(peer: Peer) -> str:
    await peer.until(lambda event: event["payload"]["event"] == "text_delta")
    return await peer.text()


async def test_stalled_subscribers_are_cut_off_and_others_notice_nothing(
    tmp_path: Path, expect_log: ExpectLog, monkeypatch: pytest.MonkeyPatch
):
    expect_log("yoi_runtime.server", "4508")
    monkeypatch.setattr("yoi_runtime.server.websocket_outlet._GRACE_SECONDS", 0.5)
    with ExitStack() as peers:
        async with serving(tmp_path, stall_seconds=0.3) as served:
            worker = await served.worker("a")
            await served.shown(emit(worker, 8000, size=700)[-1])
            async with served.subscribed("a") as well:
                await well.snapshot()
                stalled = [
                    peers.enter_context(
                        await RawPeer.connect(served.server.url, f"{EVERYTHING}?from=oldest", receive_buffer=4096)
                    )
                    for _ in range(5)
                ]
                loop = asyncio.get_running_loop()
                delays = []
                while served.server.subscribers > 1:
                    # What each of them holds in this process: a chunk and its frame headers, never a queue.
                    held = [_unwritten_bytes(socket) for socket in served.server._state.sockets]
                    assert max(held) < 300 << 10
                    begun = loop.time()
                    worker.emit(TextDelta(text="x"))
                    await well.event()
                    delays.append(loop.time() - begun)
                    await wait_until_async(lambda at=begun: loop.time() > at + 0.01)  # type: ignore[misc]
                assert len(delays) > 5
                assert sorted(delays)[len(delays) // 2] < 0.1
                for peer in stalled:
                    assert await _ended_without_everything(peer)


def _unwritten_bytes(event_socket: object) -> int:
    stream = event_socket._outlet._stream  # type: ignore[attr-defined]
    return len(stream._write_buffer or b"")  # None: closed


async def _ended_without_everything(peer: RawPeer) -> bool:
    """Read what the kernels still held for a peer; it is less than the log has."""
    frames = 0
    try:
        while True:
            await peer.frame()
            frames += 1
    except (EOFError, ConnectionError):
        return frames < 8000


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
async def test_an_address_that_others_reach_is_not_even_bound_without_tokens(tmp_path: Path, host: str):
    Runtime.open(tmp_path).close()
    with pytest.raises(OpenToAllError):
        await EventServer.start(tmp_path, host, 0)


async def test_what_cannot_be_served_as_it_was_asked_for_leaves_nothing_open(tmp_path: Path):
    Runtime.open(tmp_path).close()
    before = open_descriptors()
    none = tmp_path / "none"
    for access in (ServerAccess(token_file=none), ServerAccess(tls=TlsFiles(none, none))):
        with pytest.raises(SecretFileError):
            await EventServer.start(tmp_path, "127.0.0.1", 0, access=access)
        # Sockets that were handed over are the server's to close.
        listening = EventServer.bind("127.0.0.1", 0)
        with pytest.raises(SecretFileError):
            await EventServer.start(tmp_path, "127.0.0.1", 0, access=access, listening=listening)
        assert listening[0].fileno() == -1
    with pytest.raises(DescriptorLimitError):
        await EventServer.start(tmp_path, "127.0.0.1", 0, limits=Limits(subscribers=1 << 40))
    gc.collect()
    assert open_descriptors() == before


async def test_places_are_bounded_in_all_by_token_and_by_worker(tmp_path: Path, expect_log: ExpectLog):
    token_file = tmp_path / "tokens.json"
    one, two = (add_token(token_file, label="", workers=[], expires_at=None)[0] for _ in range(2))
    limits = Limits(subscribers=4, subscribers_per_token=3, subscribers_per_worker=2)
    for reason in ("subscribers", "subscribers_per_token", "subscribers_per_worker"):
        expect_log("yoi_runtime.server", f"because of {reason}:")
    async with serving(tmp_path / "data", access=ServerAccess(token_file=token_file), limits=limits) as served:
        await served.worker("a")
        url, scoped = served.server.url, stream_path("a")

        async def refused(path: str, token: str) -> str:
            problem = await served.refusal(path, headers={"Authorization": f"Bearer {token}"})
            assert (problem.status, problem.code) == (429, "runtime.too_many_subscribers")
            assert problem.headers["retry-after"] == "5"
            assert problem.diagnostic["recovery"] == "reconnect"
            return problem.diagnostic["message"].partition(": ")[2]

        with ExitStack() as inside:
            for path in (scoped, scoped, EVERYTHING):
                inside.enter_context(await RawPeer.connect(url, path, token=one))
            assert await refused(scoped, two) == "this Worker has as many as it may"
            assert await refused(EVERYTHING, one) == "this token has as many as it may"
            inside.enter_context(await RawPeer.connect(url, EVERYTHING, token=two))
            assert await refused(EVERYTHING, two) == "this server has as many as it takes"
            assert served.server.counters.active == 4
        await wait_until_async(lambda: served.server.counters.active == 0)
        # 50 at once for 4 places: none too many, whatever comes in between.
        peers = await asyncio.gather(
            *(RawPeer.connect(url, EVERYTHING, token=(one, two)[n % 2]) for n in range(50)), return_exceptions=True
        )
        let_in = [peer for peer in peers if isinstance(peer, RawPeer)]
        assert len(let_in) == served.server.counters.active == 4
        for peer in let_in:
            peer.close()


async def test_a_stream_ends_when_its_token_does_and_says_where_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("yoi_runtime.server.event_server._LOOK_SECONDS", 0.02)
    token_file = tmp_path / "tokens.json"
    one, entry = add_token(token_file, label="", workers=["a"], expires_at=None)
    two, _ = add_token(token_file, label="", workers=["a"], expires_at=None)
    async with serving(tmp_path / "data", access=ServerAccess(token_file=token_file)) as served:
        worker = await served.worker("a")
        url = served.server.url
        with (
            await RawPeer.connect(url, stream_path("a"), token=one) as ends,
            await RawPeer.connect(url, stream_path("a"), token=two) as stays,
        ):
            await ends.json()
            await stays.json()
            cursor = worker.emit(TextDelta(text="x"))
            assert (await ends.json())["envelope"]["cursor"] == cursor
            revoke_token(token_file, entry.id)
            problem = (await ends.json())["diagnostic"]
            assert (problem["code"], problem["recovery"]) == ("runtime.unauthenticated", "give_up")
            assert problem["resume_cursor"] == cursor
            opcode, payload = await ends.frame()
            assert (opcode, int.from_bytes(payload[:2], "big")) == (8, 4401)
            assert (await stays.json())["envelope"]["cursor"] == cursor
            worker.emit(TextDelta(text="y"))
            assert (await stays.json())["envelope"]["payload"]["data"] == {"text": "y"}
            # Elsewhere its cursor is as good as before.
            with await RawPeer.connect(url, f"{stream_path('a')}?cursor={cursor}", token=two) as goes_on:
                await goes_on.json()
                assert (await goes_on.json())["envelope"]["payload"]["data"] == {"text": "y"}


async def test_a_bug_in_the_guard_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log: ExpectLog
):
    expect_log("yoi_runtime.server", "the guard failed, and goes on")
    monkeypatch.setattr("yoi_runtime.server.event_server._LOOK_SECONDS", 0.02)
    sweeps = 0

    def sweep(door: Doorway) -> None:
        nonlocal sweeps
        sweeps += 1
        if sweeps == 1:
            raise ZeroDivisionError

    monkeypatch.setattr(Doorway, "sweep", sweep)
    async with serving(tmp_path):
        await wait_until_async(lambda: sweeps > 2)

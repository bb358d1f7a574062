from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.server.raw_peer import RawPeer
from tests.server.serving import EVERYTHING, Serving, serving, stream_path
from tests.server.test_http_views import HOSTILE_IDS
from tests.server.viewing import emit
from tests.support.deadline import wait_until_async
from yoi_runtime.events import TextDelta
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.subscriber import Subscriber

BOTH = (None, "a")

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@pytest.fixture
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the keepalive look twenty times a second."""
    monkeypatch.setattr("yoi_runtime.server.keepalive._TICK_SECONDS", 0.05)


# Before the upgrade.


async def test_a_request_without_upgrade_is_told_to_upgrade(tmp_path: Path):
    async with serving(tmp_path) as served:
        await served.worker("a")
        for worker_id in BOTH:
            for headers in ({}, {"Upgrade": "h2c", "Connection": "Upgrade"}):
                answer = await served.get(stream_path(worker_id), headers=headers)
                assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")
                assert answer.json["diagnostic"]["code"] == "runtime.invalid_request"


async def test_a_bad_request_is_400_and_says_what_is_wrong(tmp_path: Path):
    queries = {
        "cursor=a&from=oldest": "cursor",
        "cursor=a&from=now": "cursor",
        "cursor=a&last_event_id=b": "cursor",
        "last_event_id=a&from=oldest": "last_event_id",
        "cursor=a&cursor=a": "cursor",
        "from=oldest&from=oldest": "from",
        "from=yesterday": "from",
        "from=": "from",
        "events=status": "events",
        "batch=1": "batch",
        "batch=0": "batch",
    }
    async with serving(tmp_path) as served:
        await served.worker("a")
        for worker_id in BOTH:
            for query, parameter in queries.items():
                refused = await served.refusal(f"{stream_path(worker_id)}?{query}")
                assert (query, refused.status, refused.code) == (query, 400, "runtime.invalid_request")
                assert f"'{parameter}'" in refused.diagnostic["message"]
                assert refused.diagnostic["recovery"] == "fix_request"
                assert refused.diagnostic["retryable"] is False


async def test_unknown_parameters_are_ignored(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        await served.shown(emit(worker, 2)[-1])
        for worker_id, frames in (("a", 3), (None, 1)):
            async with served.subscribed(worker_id, from_="oldest", limit="3", x="", since="0", Cursor="y") as peer:
                for _ in range(frames):
                    await peer.frame()


async def test_a_subprotocol_that_is_not_ours_is_400(tmp_path: Path):
    async with serving(tmp_path) as served:
        await served.worker("a")
        for worker_id in BOTH:
            for offer in (["yoi.events.v2"], ["other", "yoi.events.v0"], ["graphql-ws"]):
                refused = await served.refusal(stream_path(worker_id), subprotocols=offer)
                assert (offer, refused.status, refused.code) == (offer, 400, "runtime.invalid_request")
                assert "Sec-WebSocket-Protocol" in refused.diagnostic["message"]


async def test_the_version_is_agreed_in_the_handshake_and_v0_agrees_to_none(tmp_path: Path):
    async with serving(tmp_path) as served:
        await served.worker("a")
        for worker_id in BOTH:
            async with served.subscribed(worker_id) as peer:
                assert peer.connection.subprotocol is None
            for offer in ("yoi.events.v1", "other,yoi.events.v1"):
                async with served.subscribed(worker_id, subprotocols=offer) as peer:
                    assert peer.connection.subprotocol == "yoi.events.v1"
                    assert (await peer.frame())["kind"] == "hello"


async def test_what_cannot_be_a_worker_id_is_400(tmp_path: Path):
    async with serving(tmp_path) as served:
        for worker_id in HOSTILE_IDS:
            refused = await served.refusal(f"/v1/workers/{worker_id}/events/ws")
            assert (worker_id, refused.status, refused.code) == (worker_id, 400, "runtime.invalid_request")


async def test_a_worker_that_there_is_not_is_404_with_retry_after(tmp_path: Path):
    async with serving(tmp_path) as served:
        refused = await served.refusal(stream_path("nobody"))
        assert (refused.status, refused.code) == (404, "runtime.worker_not_found")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/json; charset=utf-8"
        assert refused.diagnostic["worker_id"] == "nobody"
        assert (refused.diagnostic["recovery"], refused.diagnostic["retry_after_ms"]) == ("reconnect", 1000)
        # The same request succeeds once there is such a Worker.
        await served.worker("nobody")
        async with served.subscribed("nobody") as peer:
            await peer.snapshot()


async def test_browsers_are_refused_and_programs_are_not(tmp_path: Path):
    async with serving(tmp_path) as served:
        await served.worker("a")
        host = served.server.url.removeprefix("http://")
        for worker_id in BOTH:
            for headers in (
                {"Origin": f"http://{host}"},
                {"Origin": "https://evil.example"},
                {"Cookie": "session=1"},
                {"Sec-Fetch-Site": "cross-site"},
                {"Sec-Fetch-Site": "same-origin"},
            ):
                refused = await served.refusal(stream_path(worker_id), headers=headers)
                assert (headers, refused.status, refused.code) == (headers, 403, "runtime.origin_refused")
                assert refused.diagnostic["recovery"] == "give_up"
            for headers in ({"Sec-Fetch-Mode": "websocket"}, {"Sec-Fetch-Site": "none"}):
                # Let in up to the question of the parameter.
                refused = await served.refusal(f"{stream_path(worker_id)}?from=x", headers=headers)
                assert (headers, refused.status) == (headers, 400)
        handshake = {"Upgrade": "websocket", "Connection": "Upgrade", "Host": "rebound.example"}
        assert (await served.get(EVERYTHING, headers=handshake)).status == 403


async def test_the_checks_come_in_the_order_of_the_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each request breaks all rules from one on; the first decides."""
    everything_wrong = "/v1/workers/%00/events/ws?from=x"
    async with serving(tmp_path) as served:
        monkeypatch.setattr(LogView, "_reopen", lambda view: asyncio.sleep(0))
        served.view._caught_up = False
        statuses = [
            (await served.get(everything_wrong, headers={"Origin": "x"})).status,
            (await served.get(everything_wrong)).status,
        ]
        messages = [
            (await served.refusal(everything_wrong)).diagnostic["message"],
            (await served.refusal("/v1/workers/%00/events/ws")).diagnostic["message"],
        ]
        unavailable = await served.refusal(stream_path("nobody"))
        served.view._caught_up = True
        assert statuses == [403, 426]
        assert "'from'" in messages[0]
        assert "Worker id" in messages[1]
        assert (unavailable.status, unavailable.code, unavailable.headers["retry-after"]) == (
            503,
            "runtime.unavailable",
            "1",
        )
        assert (await served.refusal(stream_path("nobody") + "?cursor=x")).status == 404


async def test_a_broken_handshake_opens_nothing(tmp_path: Path):
    async with serving(tmp_path) as served:
        for headers in (
            {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
            {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "12", "Sec-WebSocket-Key": "x"},
            {"Upgrade": "websocket"},
        ):
            answer = await served.get(EVERYTHING, headers=headers)
            assert 400 <= answer.status < 500
        assert served.server.subscribers == 0


async def test_compression_is_never_agreed_to(tmp_path: Path):
    async with serving(tmp_path) as served, served.subscribed() as peer:
        assert peer.connection.request is not None
        assert "permessage-deflate" in peer.connection.request.headers["Sec-WebSocket-Extensions"]
        assert peer.connection.response is not None
        assert "Sec-WebSocket-Extensions" not in peer.connection.response.headers
        assert "Server" not in peer.connection.response.headers


async def test_the_log_names_no_query(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    async with serving(tmp_path) as served:
        await served.refusal(f"{EVERYTHING}?from=x&token=SECRET")
        async with served.subscribed(token="SECRET", cursor="SECRET") as peer:
            await peer.refused()
        await served.get("/healthz?token=SECRET")
        await served.get("/nothing/SECRET")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("yoi_runtime", "tornado"))]
    assert ours
    assert not [message for message in ours if "SECRET" in message]


# In the stream.


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_who_sends_data_is_told_that_this_is_for_observation_only(opcode: int, tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        for worker_id in BOTH:
            with await RawPeer.connect(served.server.url, stream_path(worker_id)) as peer:
                await peer.json()
                await peer.send(opcode, b"hello")
                problem = (await peer.json())["diagnostic"]
                assert (problem["code"], problem["recovery"]) == ("runtime.observation_only", "fix_request")
                assert await peer.frame() == (CLOSE, (4408).to_bytes(2, "big") + b"runtime.observation_only")
                emit(worker, 1)
                await peer.send(CLOSE, (4408).to_bytes(2, "big"))
                with pytest.raises(EOFError):
                    await peer.frame()
        await wait_until_async(lambda: served.server.subscribers == 0)


async def test_who_sends_data_and_vanishes_leaves_nothing_behind(tmp_path: Path):
    async with serving(tmp_path) as served:
        await served.worker("a")
        for times in (1, 3):
            peer = await RawPeer.connect(served.server.url, stream_path("a"))
            await peer.send(TEXT, b"hello", times=times)
            peer.vanish()
        await wait_until_async(lambda: served.server.subscribers == 0)


async def test_a_bug_of_ours_ends_the_stream_with_word_to_peer_and_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log: ExpectLog
):
    expect_log("yoi_runtime.server", "a subscriber failed")

    async def run(subscriber: Subscriber) -> None:
        raise ZeroDivisionError("secret reason")

    async with serving(tmp_path) as served:
        monkeypatch.setattr(Subscriber, "run", run)
        async with served.subscribed() as peer:
            problem = await peer.refused()
    assert (problem["code"], problem["close_code"]) == ("runtime.internal", 4500)
    assert "secret" not in json.dumps(problem)


async def test_pings_are_answered(tmp_path: Path):
    async with serving(tmp_path) as served:
        with await RawPeer.connect(served.server.url, EVERYTHING) as peer:
            await peer.json()
            await peer.send(PING, b"are you there")
            assert await peer.frame() == (PONG, b"are you there")


async def test_a_flood_of_pings_is_cut_off_and_others_notice_nothing(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "pings in a second")
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        async with served.subscribed("a") as well:
            await well.snapshot()
            with await RawPeer.connect(served.server.url, stream_path("a")) as flood:
                try:
                    await flood.send(PING, b"x" * 100, times=200)
                except ConnectionError:
                    pass
                assert await flood.ended()
            worker.emit(TextDelta(text="still here"))
            assert await well.texts(1) == ["still here"]
            await wait_until_async(lambda: served.server.subscribers == 1)


@pytest.mark.parametrize("opcode, final", [(0, False), (PONG, True)], ids=["fragments", "pongs"])
async def test_a_flood_that_no_handler_sees_is_cut_off(opcode: int, final: bool, tmp_path: Path, expect_log: ExpectLog):
    """Empty fragments of a message that never ends, and answers to pings that were never sent."""
    expect_log("yoi_runtime.server", "far more than answers")
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        async with served.subscribed("a") as well:
            await well.snapshot()
            with await RawPeer.connect(served.server.url, stream_path("a")) as flood:
                await flood.send(TEXT, b"", final=False)
                async with asyncio.timeout(20):
                    with pytest.raises(ConnectionError):
                        await _flood(flood, opcode, final)
            worker.emit(TextDelta(text="still here"))
            assert await well.texts(1) == ["still here"]
            await wait_until_async(lambda: served.server.subscribers == 1)


async def test_a_few_pings_at_once_are_no_flood(tmp_path: Path):
    async with serving(tmp_path) as served:
        with await RawPeer.connect(served.server.url, EVERYTHING) as peer:
            await peer.json()
            await peer.send(PING, b"x", times=20)
            await served.worker("a")
            frames = [await peer.frame()]
            while frames[-1][0] != TEXT:
                frames.append(await peer.frame())
            assert {opcode for opcode, _ in frames[:-1]} <= {PONG}


async def test_a_half_open_peer_is_found_and_a_well_one_kept(tmp_path: Path, quick_ticks: None):
    """Nothing is written to either: only the ping tells them apart."""
    async with serving(tmp_path, ping_seconds=0.1, pong_seconds=0.1) as served:
        worker = await served.worker("a")
        async with served.subscribed("a") as well:
            await well.snapshot()
            with await RawPeer.connect(served.server.url, stream_path("a")) as mute:
                await mute.json()
                assert served.server.subscribers == 2
                assert await mute.frame() == (PING, b"")
                await wait_until_async(lambda: served.server.subscribers == 1)
                assert await mute.ended()
            worker.emit(TextDelta(text="still here"))
            assert await well.texts(1) == ["still here"]


async def test_a_pong_keeps_a_peer(tmp_path: Path, quick_ticks: None):
    async with serving(tmp_path, ping_seconds=0.1, pong_seconds=1.0) as served:
        with await RawPeer.connect(served.server.url, EVERYTHING) as peer:
            await peer.json()
            for _ in range(5):
                assert await peer.frame() == (PING, b"")
                await peer.send(PONG)
            assert served.server.subscribers == 1


async def test_a_peer_that_leaves_is_forgotten_whatever_way_it_leaves(tmp_path: Path):
    async with serving(tmp_path) as served:
        await served.worker("a")
        for leave in (RawPeer.close, RawPeer.vanish):
            peer = await RawPeer.connect(served.server.url, stream_path("a"))
            await peer.json()
            assert served.server.subscribers == 1
            leave(peer)
            await wait_until_async(lambda: served.server.subscribers == 0)
        async with served.subscribed("a") as well:
            await well.snapshot()
        await wait_until_async(lambda: served.server.subscribers == 0)
        assert not _subscriber_tasks()
        assert not served.server._state.keepalive._pulses


async def test_a_peer_that_never_answers_a_close_is_dropped_when_told_to(tmp_path: Path):
    async with serving(tmp_path) as served:
        with await RawPeer.connect(served.server.url, f"{EVERYTHING}?cursor=x") as peer:
            assert (await peer.json())["diagnostic"]["code"] == "runtime.cursor_malformed"
            assert (await peer.frame())[0] == CLOSE
            (socket,) = served.server._state.sockets
            socket.drop()
            await wait_until_async(lambda: served.server.subscribers == 0, 3)


async def test_many_subscribers_get_the_same_and_each_its_own(tmp_path: Path):
    async with serving(tmp_path) as served:
        workers = {name: await served.worker(name) for name in "abc"}
        async with asyncio.TaskGroup() as group:
            readings = {
                (name, number): group.create_task(_texts_of(served, name, 10))
                for name in workers
                for number in range(5)
            }
            await wait_until_async(lambda: served.server.subscribers == 15)
            for number in range(10):
                for name, worker in workers.items():
                    worker.emit(TextDelta(text=f"{name}{number}"))
        for (name, _), reading in readings.items():
            assert reading.result() == [f"{name}{number}" for number in range(10)]


async def _flood(peer: RawPeer, opcode: int, final: bool) -> None:
    while True:
        await peer.send(opcode, final=final, times=2000)
        await asyncio.sleep(0)


async def _texts_of(served: Serving, worker_id: str, count: int) -> list[str]:
    async with served.subscribed(worker_id, from_="oldest") as peer:
        await peer.snapshot()
        return await peer.texts(count)


def _subscriber_tasks() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "subscriber" and not task.done()]

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.runtime.emitting import emit
from tests.server.raw_peer import RawPeer
from tests.server.serving import EVERYTHING, SMALL, Serving, rotate_out_all_before_now, serving, stream_path
from tests.server.test_http_views import HOSTILE_IDS
from tests.support.deadline import wait_until_async
from yoi_runtime.events import TextDelta
from yoi_runtime.segment_log.cursor import decode_token, encode_token
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.limits import RefusedBecause
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.subscriber import Subscriber
from yoi_runtime.server.token_file import add_token

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


HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@dataclass(frozen=True)
class Fault:
    """What can be wrong with a request, or with the server when it comes; ``answer``: status, code, words."""

    name: str
    answer: tuple[int, str, str]
    headers: dict[str, str | None] = field(default_factory=dict)
    method: str = "GET"
    worker: str | None = None
    query: str = ""
    state: str = ""


# In the order in which they are looked at: docs/protocol.md, "Connecting".
FAULTS = [
    Fault("browser", (403, "runtime.origin_refused", "browser"), {"Origin": "https://evil.example"}),
    Fault("host", (403, "runtime.origin_refused", "Host"), {"Host": "rebound.example"}),
    Fault("credential", (400, "runtime.invalid_request", "Authorization: Bearer"), query="token=x"),
    Fault("token", (401, "runtime.unauthenticated", "unknown"), {"Authorization": "Bearer yoi_wrong"}),
    Fault("method", (405, "runtime.invalid_request", "405"), method="POST"),
    Fault("upgrade", (426, "runtime.invalid_request", "Upgrade"), {"Upgrade": None}),
    Fault("connection", (426, "runtime.invalid_request", "Connection"), {"Connection": "keep-alive"}),
    Fault("version", (426, "runtime.invalid_request", "Sec-WebSocket-Version"), {"Sec-WebSocket-Version": "12"}),
    Fault("key", (400, "runtime.invalid_request", "Sec-WebSocket-Key"), {"Sec-WebSocket-Key": "short"}),
    Fault("subprotocol", (400, "runtime.invalid_request", "Protocol"), {"Sec-WebSocket-Protocol": "other"}),
    Fault("query", (400, "runtime.invalid_request", "'batch'"), query="batch=1"),
    Fault("worker id", (400, "runtime.invalid_request", "Worker id"), worker="%00"),
    Fault("another worker", (403, "runtime.forbidden", "not for this"), worker="b"),
    Fault("closing", (503, "runtime.unavailable", "shutting down"), state="closing"),
    Fault("starting", (503, "runtime.unavailable", "still reading"), state="starting"),
    Fault("no such worker", (404, "runtime.worker_not_found", "nobody"), worker="nobody"),
    Fault("no place", (429, "runtime.too_many_subscribers", "as many as it takes"), state="full"),
    Fault("cursor", (101, "runtime.cursor_malformed", "cursor"), query="cursor=x"),
]


async def answer_to(
    served: Serving, token: str, faults: Sequence[Fault], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    """Send a request that is right but for ``faults``; returns status, code and message of the answer."""
    headers: dict[str, str | None] = {**HANDSHAKE, "Authorization": f"Bearer {token}"}
    for fault in faults:
        headers |= fault.headers
    worker = next((fault.worker for fault in faults if fault.worker), "a")
    query = "&".join(fault.query for fault in faults if fault.query)
    path = stream_path(worker) + (f"?{query}" if query else "")
    states = {fault.state for fault in faults}
    with monkeypatch.context() as patch:
        patch.setattr(served.server._state, "closing", "closing" in states)
        if "starting" in states:
            patch.setattr(LogView, "_reopen", lambda view: asyncio.sleep(0))
            patch.setattr(served.view, "_caught_up", False)
        if "full" in states:
            patch.setattr(served.server._state.places, "full", lambda *_: RefusedBecause.SUBSCRIBERS)
        if [fault.name for fault in faults] == ["cursor"]:
            with await RawPeer.connect(served.server.url, path, token=token) as peer:
                problem = (await peer.json())["diagnostic"]
                return 101, problem["code"], problem["message"]
        method = next((fault.method for fault in faults if fault.method != "GET"), "GET")
        sent = {name: value for name, value in headers.items() if value is not None}
        answer = await served.get(path, method=method, headers=sent)
        problem = answer.json["diagnostic"]
        return answer.status, problem["code"], problem["message"]


async def test_of_each_two_faults_the_one_that_is_looked_at_earlier_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log: ExpectLog
):
    expect_log("yoi_runtime.server", "because of subscribers")
    pairs = 0
    token_file = tmp_path / "tokens.json"
    token, _ = add_token(token_file, label="", workers=["a", "nobody"], expires_at=None)
    async with serving(tmp_path, access=ServerAccess(token_file=token_file)) as served:
        await served.worker("a")
        for index, earlier in enumerate(FAULTS):
            for later in (None, *FAULTS[index + 1 :]):
                faults = [earlier] if later is None else [earlier, later]
                if later is not None and earlier.worker and later.worker:
                    continue  # one path names one Worker
                status, code, message = await answer_to(served, token, faults, monkeypatch)
                names = [fault.name for fault in faults]
                assert (names, status, code) == (names, *earlier.answer[:2])
                assert earlier.answer[2] in message, names
                pairs += later is not None
        # Three name a Worker, of which one path names one.
        assert pairs == len(FAULTS) * (len(FAULTS) - 1) // 2 - 3
        assert served.server.subscribers <= 1


async def test_of_each_two_faults_of_a_cursor_the_one_that_is_looked_at_earlier_is_answered(tmp_path: Path):
    """Malformed, foreign, expired, unknown, ahead."""
    async with serving(tmp_path / "one", SMALL) as served, serving(tmp_path / "two") as other:
        worker = await served.worker("a")
        gone = decode_token(emit(worker, 2)[0])
        rotate_out_all_before_now(served.runtime, worker)
        here = decode_token(emit(worker, 1)[0])
        await served.shown(encode_token(here))
        foreign = other.runtime.log_id
        past = here.offset + 1_000_000
        faults = {
            "foreign": {
                "and expired": gone._replace(log_id=foreign),
                "and unknown": here._replace(log_id=foreign, nonce_prefix=1),
                "and ahead": here._replace(log_id=foreign, segment=here.segment + 5),
                "alone": here._replace(log_id=foreign),
            },
            "expired": {
                "and unknown": gone._replace(nonce_prefix=1),
                "and ahead": gone._replace(offset=past),
                "alone": gone,
            },
            "unknown": {
                "and ahead": here._replace(nonce_prefix=1, offset=past),
                "alone": here._replace(nonce_prefix=1),
            },
            "ahead": {"alone": here._replace(offset=past)},
        }
        for answer, cursors in faults.items():
            for others, cursor in cursors.items():
                token = encode_token(cursor)
                async with served.subscribed(cursor=token) as peer:
                    assert (others, (await peer.refused())["code"]) == (others, f"runtime.cursor_{answer}")
                # With a wrong checksum nothing of it is believed.
                async with served.subscribed(cursor=token[:-1] + ("A" if token[-1] != "A" else "B")) as peer:
                    assert (await peer.refused())["code"] == "runtime.cursor_malformed"


async def test_a_broken_handshake_opens_nothing_and_is_told_what_is_missing(tmp_path: Path):
    async with serving(tmp_path) as served:
        for change, status in (
            ({"Sec-WebSocket-Key": None}, 400),
            ({"Sec-WebSocket-Key": "x"}, 400),
            ({"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAAA"}, 400),
            ({"Sec-WebSocket-Version": "12"}, 426),
            ({"Sec-WebSocket-Version": None}, 426),
            ({"Connection": None}, 426),
            ({"Upgrade": "h2c"}, 426),
        ):
            headers = {name: value for name, value in {**HANDSHAKE, **change}.items() if value is not None}
            answer = await served.get(EVERYTHING, headers=headers)
            assert (change, answer.status) == (change, status)
            assert next(iter(change)) in answer.json["diagnostic"]["message"]
            if status == 426:
                assert (answer.headers["upgrade"], answer.headers["sec-websocket-version"]) == ("websocket", "13")
        # Browsers and proxies name more than one option.
        for connection in ("keep-alive, Upgrade", "upgrade"):
            answer = await served.get(EVERYTHING + "?from=x", headers={**HANDSHAKE, "Connection": connection})
            assert "'from'" in answer.json["diagnostic"]["message"]
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
        async with served.subscribed(cursor="SECRET") as peer:
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
                await served.shown(emit(worker, 1)[0])
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
    expect_log("yoi_runtime.server", "because of flood")
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
    expect_log("yoi_runtime.server", "because of flood")
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
        assert not any(served.server._state.keepalive._parts)


async def test_a_peer_that_never_answers_a_close_is_dropped_when_told_to(tmp_path: Path):
    async with serving(tmp_path) as served:
        with await RawPeer.connect(served.server.url, f"{EVERYTHING}?cursor=x") as peer:
            assert (await peer.json())["diagnostic"]["code"] == "runtime.cursor_malformed"
            assert (await peer.frame())[0] == CLOSE
            (socket,) = served.server._state.sockets
            socket.drop()
            await wait_until_async(lambda: served.server.subscribers == 0)


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

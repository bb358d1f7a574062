"""Whatever a real server sends over a real socket, in both versions and on both endpoints, is what the schemas say."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.events.examples import FULL, MINIMAL
from tests.schemas.wire_judge import WireJudge
from tests.server.serving import EVERYTHING, SMALL, Serving, serving, stream_path
from tests.support.deadline import wait_until_async
from yoi_runtime.events import RESERVED_EVENT_NAMES, TextDelta, UnknownEvent
from yoi_runtime.protocol.diagnostics import DiagnosticCode, code_spec
from yoi_runtime.protocol.versions import ProtocolVersion

V0, V1 = ProtocolVersion.V0, ProtocolVersion.V1
_DEADLINE_SECONDS = 30.0
ROWS = [row for row in (*FULL, *MINIMAL) if row.event.event_name not in RESERVED_EVENT_NAMES]


class Listener:
    """Reads one stream to its end and has every message judged. ``kinds`` and ``names`` say what came."""

    def __init__(self, served: Serving, version: ProtocolVersion, worker_id: str | None, query: str) -> None:
        self.judge = WireJudge()
        self.kinds: Counter[str] = Counter()
        self.names: Counter[str] = Counter()
        self.codes: list[str] = []
        self.closed: tuple[int, str] | None = None
        self._version, self._worker_id = version, worker_id
        self.url = f"ws://127.0.0.1:{served.server.port}{stream_path(worker_id)}?{query}"

    def connected(self) -> connect:
        offered = [Subprotocol("yoi.events.v1")] if self._version is V1 else None
        return connect(self.url, proxy=None, subprotocols=offered, close_timeout=2, max_size=None, ping_interval=None)

    async def read(self, connection: ClientConnection) -> None:
        """Read one message. Raises ``ConnectionClosed``."""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            message = await connection.recv()
        assert isinstance(message, str), "frames are text messages"
        self.judge.frame(message, self._version, self._worker_id)
        self._count(json.loads(message))

    def _count(self, frame: dict[str, Any]) -> None:
        self.kinds[frame["kind"]] += 1
        if frame["kind"] == "event":
            payload = frame["envelope"]["payload"]
            item = payload["data"]["item"] if payload["event"] == "system_item" else None
            self.names[item["event"] if item and item.get("kind") == "yoi.event" else payload["event"]] += 1
        for single in frame.get("frames", ()):
            self._count(single)
        if frame["kind"] == "diagnostic":
            self.codes.append(frame["diagnostic"]["code"])

    async def to_the_end(self) -> None:
        """Connect, and read until the server closes."""
        async with self.connected() as connection:
            while not self.closed:
                try:
                    await self.read(connection)
                except ConnectionClosed as end:
                    self.closed = (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")


async def test_every_frame_of_every_stream_meets_its_schema(tmp_path: Path):
    combinations = [
        (V0, None, "from=oldest"),
        (V0, "agent", "from=oldest"),
        (V1, None, "from=oldest"),
        (V1, None, "from=oldest&batch=1"),
        (V1, "agent", "from=oldest"),
        (V1, "agent", "from=oldest&batch=1"),
        (V1, "agent", "from=oldest&events=status,text_delta"),
    ]
    async with serving(tmp_path) as served:
        worker = await served.worker("agent")
        for row in ROWS:
            worker.emit(row.event)
        worker.emit(UnknownEvent(name="brain_wave", data={"hz": 40}))
        await served.shown(worker.emit(UnknownEvent(name="brain_silence")))
        listeners = [Listener(served, *combination) for combination in combinations]
        reading = [asyncio.create_task(listener.to_the_end()) for listener in listeners]
        emitted = len(ROWS) + 2
        await wait_until_async(
            # One that found a fault has ended, and says so below.
            lambda: (
                all(sum(listener.names.values()) >= emitted for listener in listeners[:-1])
                or any(task.done() for task in reading)
            ),
            _DEADLINE_SECONDS,
        )
        stopping = asyncio.create_task(served.server.stop())
        await asyncio.gather(*reading, stopping)
    names = {row.event.event_name for row in ROWS} | {"brain_wave", "brain_silence"}
    for listener, (version, worker_id, query) in zip(listeners, combinations, strict=True):
        where = f"{version} {worker_id} {query}"
        assert listener.closed == (1001, "runtime.shutting_down"), where
        if "events=" in query:
            assert set(listener.names) == {"status", "text_delta"}, where
        else:
            assert names <= set(listener.names), where
        if version is V1:
            assert listener.kinds["hello"] == listener.kinds["caught_up"] == 1, where
            assert listener.kinds["bookmark"] >= 1, where
            assert bool(listener.kinds["batch"]) == ("batch" in query), where
    judged = sum(listener.judge.judged for listener in listeners)
    sys.stdout.write(f"{judged} messages judged in {len(combinations)} streams; {len(names)} event names\n")
    assert judged > 6 * len(names)


async def test_an_ended_worker_a_cursor_that_is_refused_and_data_from_the_peer(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        worker = await served.worker("agent")
        old = worker.emit(TextDelta(text="old"))
        served.rotate_out_all_before_now(worker)
        await served.shown(worker.emit(TextDelta(text="new")))
        for version in (V0, V1):
            for worker_id in (None, "agent"):
                for query, code in (
                    (f"cursor={old}", "runtime.cursor_expired"),
                    ("cursor=nonsense", "runtime.cursor_malformed"),
                    ("cursor=%F0%9F%A6%8A%FF" * 30, "runtime.cursor_malformed"),
                    ("last_event_id=AAAAAAAAAAA-1", "runtime.cursor_unknown"),
                ):
                    listener = Listener(served, version, worker_id, query)
                    await listener.to_the_end()
                    assert listener.codes == [code]
                    assert listener.closed == (code_spec(DiagnosticCode(code)).close_code, code)
                    assert listener.judge.judged == 1, "nothing comes before the answer to a cursor"
                listener = Listener(served, version, worker_id, "from=now")
                async with listener.connected() as connection:
                    await listener.read(connection)
                    await connection.send("hello?")
                    while "runtime.observation_only" not in listener.codes:
                        await listener.read(connection)
                assert listener.codes[-1] == "runtime.observation_only"
        worker.end("failed", exit_code=3)
        ended = Listener(served, V1, "agent", "from=oldest")
        await ended.to_the_end()
        assert ended.kinds["end"] == 1
        assert ended.closed == (1000, "the Worker has ended")


async def test_every_http_body_meets_its_schema(tmp_path: Path):
    judge = WireJudge()
    async with serving(tmp_path) as served:
        worker = await served.worker("agent")
        await served.worker("helper")
        await served.shown(worker.emit(TextDelta(text="x")))
        worker.end("failed", exit_code=3)
        for path, definition in (
            ("/v1/runtime", "RuntimeAnswer"),
            ("/v1/workers", "WorkersAnswer"),
            ("/v1/workers/agent", "WorkerAnswer"),
            ("/v1/workers/helper", "WorkerAnswer"),
            ("/v1/events/status", "EventsStatus"),
            ("/healthz", "HealthAnswer"),
            ("/readyz", "ReadyAnswer"),
        ):
            answer = await served.get(path)
            assert answer.status == 200, path
            judge.content(answer.json, definition)
        for path, headers, status in (
            ("/nowhere", {}, 404),
            (EVERYTHING, {}, 426),
            ("/v1/workers/nobody", {}, 404),
            ("/v1/workers/a.b", {}, 400),
            ("/v1/runtime", {"Origin": "null"}, 403),
        ):
            answer = await served.get(path, headers=headers)
            assert answer.status == status, path
            judge.content(answer.json, "DiagnosticFrame")
        for path, offered, status in (
            (EVERYTHING + "?from=here", (), 400),
            (EVERYTHING, ("graphql-ws",), 400),
            (stream_path("nobody"), (), 404),
        ):
            refused = await served.refusal(path, subprotocols=offered)
            assert refused.status == status, path
            judge.content(refused.body, "DiagnosticFrame")
    assert judge.judged == 15

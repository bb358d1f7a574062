"""v0's messages, without a socket; over sockets they are tested in test_event_socket and test_subscriber."""

from __future__ import annotations

import json
from pathlib import Path

from tests.runtime.emitting import emit
from tests.server.frames import messages_in
from tests.server.viewing import viewing
from yoi_runtime.events import Status, UnknownEvent
from yoi_runtime.server.dialect import Progress
from yoi_runtime.server.dialect_v0 import DialectV0
from yoi_runtime.server.starting_place import place_of_oldest


async def test_a_workers_stream_opens_with_its_snapshot_and_wraps_what_upstream_does_not_know(tmp_path: Path):
    async with viewing(tmp_path) as seen:
        worker = seen.runtime.create_worker("a")
        emit(seen.runtime.create_worker("b"), 3)
        worker.emit(Status(status="paused"))
        await seen.shown(worker.emit(UnknownEvent(name="mine")))
        dialect = DialectV0(seen.view, "a")
        place = await place_of_oldest(seen.view, "a")
        (first,) = dialect.opening(place, place)
        assert json.loads(first)["envelope"]["payload"]["data"]["status"] == "paused"
        payloads, worker_seq, position, events = [], place.worker_seq, place.position, 0
        while (chunk := seen.view.read(position)) is not None:
            selection = dialect.select(chunk, worker_seq)
            payloads += [json.loads(message)["envelope"]["payload"] for message in messages_in(selection.frames)]
            worker_seq, position, events = selection.worker_seq, chunk.end, events + selection.events
        assert payloads == [
            {"event": "status", "data": {"status": "paused"}},
            {"event": "system_item", "data": {"item": {"kind": "yoi.event", "event": "mine", "data": None}}},
        ]
        assert (events, worker_seq) == (2, 2)


async def test_the_stream_of_everything_passes_the_records_on_as_they_are(tmp_path: Path):
    async with viewing(tmp_path) as seen:
        await seen.shown(emit(seen.runtime.create_worker("a"), 3)[-1])
        dialect = DialectV0(seen.view, None)
        place = await place_of_oldest(seen.view, None)
        assert json.loads(dialect.opening(place, place)[0])["diagnostic"]["code"] == "runtime.stream_opened"
        chunk = seen.view.read(place.position)
        assert chunk is not None
        frames = dialect.select(chunk, None).frames
        assert b"\n".join(messages_in(frames)) + b"\n" == chunk.data
        assert DialectV0(seen.view, None).select(chunk, None).frames is frames, "another peer gets the same bytes"


async def test_v0_says_nothing_besides(tmp_path: Path):
    async with viewing(tmp_path) as seen:
        dialect = DialectV0(seen.view, "a")
        progress = Progress(seen.view.end, 0, 0.0, passed_over=10_000)
        assert dialect.aside(progress, 1e9) == []
        assert dialect.at_end(progress) == ([], False)
        assert dialect.farewell(progress) == []
        assert dialect.heartbeat_seconds is None

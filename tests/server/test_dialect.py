"""Choosing a peer's own lines out of a chunk."""

from __future__ import annotations

import json
from pathlib import Path

from tests.runtime.emitting import emit
from tests.server.viewing import viewing
from yoi_runtime.events import Status, TextDelta
from yoi_runtime.server.dialect import own_lines


async def test_lines_are_chosen_by_worker_and_by_event_name_and_never_by_what_a_payload_says(tmp_path: Path):
    async with viewing(tmp_path) as seen:
        a, b = seen.runtime.create_worker("a"), seen.runtime.create_worker("b")
        b.emit(TextDelta(text='","worker_id":"a","worker_seq":1,"time":"x","payload":{"event":"status"'))
        emit(a, 2)
        await seen.shown(a.emit(Status(status="running")))
        data, position = b"", seen.view.floor()
        while (chunk := seen.view.read(position)) is not None:
            data, position = data + chunk.data, chunk.end

        def chosen(worker: bytes | None, names: frozenset[bytes] | None) -> list[tuple[object, object, object]]:
            found: list[tuple[object, object, object]] = []
            for line, number in own_lines(data, worker, names):
                envelope = json.loads(line)["envelope"]
                assert envelope["worker_seq"] == number
                found.append((envelope["worker_id"], number, envelope["payload"]["event"]))
            return found

        assert chosen(b"a", None) == [("a", 1, "text_delta"), ("a", 2, "text_delta"), ("a", 3, "status")]
        assert chosen(b"b", None) == [("b", 1, "text_delta")]
        assert chosen(None, frozenset({b"status"})) == [("a", 3, "status")]
        assert chosen(b"a", frozenset({b"worker_started"})) == []
        assert len(chosen(None, None)) == data.count(b"\n")

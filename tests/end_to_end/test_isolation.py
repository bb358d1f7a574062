"""A cursor grants nothing: whatever it was issued for, the URL decides what is sent."""

from __future__ import annotations

from pathlib import Path

from tests.server.foreign_client import Peer
from tests.server.serving import SMALL, Serving, records_of, serving
from yoi_runtime.events import Status, TextDelta, UnknownEvent

SECRET = "for nobody but a"


async def filled(served: Serving) -> dict[str, list[str]]:
    """Let three Workers and the Runtime speak in turn; returns cursors by who they are of."""
    workers = {name: await served.worker(name) for name in ("a", "b", "aa")}
    cursors: dict[str, list[str]] = {name: [] for name in workers}
    for number in range(6):
        for name, worker in workers.items():
            text = f"{SECRET} {number}" if name == "a" else f"of {name}: {number}"
            cursors[name] += [
                worker.emit(TextDelta(text=text)),
                worker.emit(UnknownEvent(name="x_new", data={"whose": name})),
            ]
    await served.shown(workers["aa"].emit(Status(status="running")))
    cursors["runtime"] = [record["cursor"] for record in records_of(served.runtime.data_dir) if not record["worker_id"]]
    return cursors


async def raw_until_marker(peer: Peer) -> list[str]:
    texts = [await peer.text()]
    while "the marker" not in texts[-1]:
        texts.append(await peer.text())
    return texts


async def test_a_workers_stream_holds_nobody_elses_events_whatever_cursor_opens_it(tmp_path: Path):
    async with serving(tmp_path) as served:
        cursors = await filled(served)
        marker = served.runtime.create_worker("z")
        tokens = [cursor for found in cursors.values() for cursor in found]
        tokens += [(await served.get("/v1/workers/a")).json["worker"]["cursor"]]
        tokens += [(await served.get("/v1/events/status")).json["oldest_cursor"]]
        for token in tokens:
            for victim in ("b", "aa"):
                async with served.subscribed(victim, cursor=token) as peer:
                    await peer.snapshot()
                    served_b = served.runtime._workers[victim]
                    marker.emit(TextDelta(text="not for this stream"))
                    served_b.emit(TextDelta(text="the marker"))
                    for text in await raw_until_marker(peer):
                        assert SECRET not in text
                        assert "not for this stream" not in text
                        assert f'"worker_id":"{victim}"' in text


async def test_an_event_id_of_another_worker_grants_nothing_either(tmp_path: Path):
    async with serving(tmp_path) as served:
        await filled(served)
        for record in records_of(tmp_path):
            async with served.subscribed("b", last_event_id=record["event_id"]) as peer:
                await peer.snapshot()
                served.runtime._workers["b"].emit(TextDelta(text="the marker"))
                for text in await raw_until_marker(peer):
                    assert SECRET not in text


async def test_answers_to_another_workers_cursor_tell_nothing_of_its_events(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        cursors = await filled(served)
        served.rotate_out_all_before_now(served.runtime._workers["aa"])
        await served.shown(served.runtime._workers["b"].emit(TextDelta(text="x")))
        async with served.subscribed("b", cursor=cursors["a"][0]) as peer:
            problem = await peer.refused()
        assert problem["worker_id"] == "b"
        assert problem["lost"]["exact"] is False
        assert SECRET not in str(problem)

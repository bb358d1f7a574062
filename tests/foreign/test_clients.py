"""Clients that are not ours, in four libraries and three languages: each reads everything, drops, resumes, misses nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.events.examples import FULL, MINIMAL
from tests.foreign.foreign_clients import BUILD_VARIABLE, CLIENTS, NotReadyError
from tests.server.serving import records_of, serving, stream_path
from yoi_runtime.events import RESERVED_EVENT_NAMES, UPSTREAM_EVENT_NAMES, TextDelta, UnknownEvent

_DEADLINE_SECONDS = 60.0
# Prime, so that the connection drops at ever other places.
_DROP_AFTER = 7


@cache
def command_of(client: str) -> list[str]:
    """Return the client's command; made ready once, however many tests it runs in. Skips, with the reason."""
    try:
        return CLIENTS[client]()
    except NotReadyError as error:
        pytest.skip(f"{client}: {error}")


def tasks() -> Iterator[tuple[str, str | None, str, bool]]:
    for client in CLIENTS:
        yield client, "agent", "v0", False
        if client != "rust_tungstenite":  # upstream has no type for the stream of everything, and no v1
            yield client, None, "v0", False
            for worker_id in ("agent", None):
                yield client, worker_id, "v1", False
                yield client, worker_id, "v1", True


async def run(client: str, **task: Any) -> list[dict[str, Any]]:
    """Run the client on its task, and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command_of(client),
        json.dumps(task),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode(errors="replace")[-2000:]
    assert not errors, errors.decode(errors="replace")[-2000:]
    return [json.loads(line) for line in output.split(b"\n")[:-1]]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("client", "worker_id", "version", "batch"), [*tasks()])
async def test_it_reads_every_event_and_resumes_without_a_gap(
    client: str, worker_id: str | None, version: str, batch: bool, tmp_path: Path
):
    command_of(client)
    async with serving(tmp_path) as served:
        worker = await served.worker("agent")
        other = await served.worker("other")
        for row in (*FULL, *MINIMAL):
            if row.event.event_name not in RESERVED_EVENT_NAMES:
                worker.emit(row.event)
                other.emit(TextDelta(text="somebody else's"))
        worker.emit(UnknownEvent(name="brain_wave", data={"hz": 40}))
        # Keys stand beside event and data: for clients to pass over.
        worker.offer_many([TextDelta(text="keyed"), UnknownEvent(name="brain_rest")], ["key-1", "key-2"])
        await served.shown(worker.emit(UnknownEvent(name="brain_silence")))
        expected = [record for record in records_of(tmp_path) if worker_id in (None, record["worker_id"])]
        url = f"ws://127.0.0.1:{served.server.port}{stream_path(worker_id)}"
        began = time.monotonic()
        *events, refusal = await run(
            client, url=url, version=version, batch=batch, events=len(expected), drop_after=_DROP_AFTER
        )
        seconds = time.monotonic() - began
    wrapping = version == "v0" and worker_id is not None
    for record in expected:
        name = record.pop("payload")["event"]
        record["event"] = "system_item" if wrapping and name not in UPSTREAM_EVENT_NAMES else name
        del record["worker_seq"], record["time"]
    assert events == expected
    assert refusal == {"diagnostic": "runtime.cursor_malformed"}
    drops = -(-len(expected) // _DROP_AFTER) - 1
    print(f"{client} {version}: {len(events)} events over {drops} drops in {seconds:.1f} s")  # noqa: T201  shown by -rA
    assert drops > 5


def test_a_client_that_takes_a_registry_says_how_to_run_it(monkeypatch):
    monkeypatch.delenv(BUILD_VARIABLE, raising=False)
    for client in ("node_ws", "rust_tungstenite"):
        with pytest.raises(NotReadyError, match=r"dev\.py foreign"):
            CLIENTS[client]()


def test_a_client_without_its_tool_says_which(monkeypatch, tmp_path):
    monkeypatch.setenv(BUILD_VARIABLE, "1")
    monkeypatch.setenv("PATH", str(tmp_path))
    for client, tool in (("node_built_in", "node"), ("node_ws", "node"), ("rust_tungstenite", "cargo")):
        with pytest.raises(NotReadyError, match=f"{tool} is not on PATH"):
            CLIENTS[client]()

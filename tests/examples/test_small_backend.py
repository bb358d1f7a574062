"""The worked example, as a process, with a real Runtime that is killed under it, and killed itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.cli.real_program import eventually, server_url, start_program
from tests.codebase.tree import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "small_backend.py"
TOKEN = "let-me-in"
# Says a number for each line that comes through the pipe "go".
SPEAKS = """
import json
for n, _ in enumerate(open("go"), 1):
    print(json.dumps({"event": "text_done", "data": {"text": f"number {n}"}}), flush=True)
"""


@contextmanager
def backend(runtime_url: str, database: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the example; yields its address and its process."""
    command = [sys.executable, str(EXAMPLE), runtime_url, str(database), "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def shown(url: str, path: str, token: str = TOKEN) -> Any:
    request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def mirrored(database: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT event_id, worker_id, worker_seq, name FROM event ORDER BY id").fetchall()


def test_every_event_is_there_once_though_runtime_and_backend_are_killed(tmp_path: Path):
    data, database = tmp_path / "data", tmp_path / "mirror.db"
    os.mkfifo(tmp_path / "go")
    (tmp_path / "speaks.py").write_text(SPEAKS)
    worker = f"a={sys.executable} {tmp_path / 'speaks.py'}"
    options = ["--data-dir", str(data), "--worker", worker]
    with start_program(tmp_path, "serve", *options, "--bind", ":0") as program:
        url = server_url(data, program)
        with backend(url, database) as (address, process):  # noqa: SIM117  its process, then the Worker's input
            with (tmp_path / "go").open("w") as go:
                go.write("\n\n")
                go.flush()
                eventually(lambda: shown(address, "/workers/a/text")["text"] == "number 1\nnumber 2")
                process.kill()
                process.wait()
                go.write("\n")
                go.flush()
                with backend(url, database) as (later, _):
                    eventually(lambda: shown(later, "/workers/a/text")["text"].endswith("number 3"))
                    program.signal(signal.SIGKILL)
                    program.wait()
                    with start_program(tmp_path, "serve", *options, "--bind", url.removeprefix("http://")) as again:
                        eventually(lambda: sum(row[3] == "runtime_started" for row in mirrored(database)) == 2)
                        assert shown(later, "/workers") == {"workers": ["a"], "gaps": []}
                        again.stop()
                        eventually(lambda: mirrored(database)[-1][3] == "runtime_stopping")
    rows = mirrored(database)
    log = b"".join(file.read_bytes() for file in sorted((data / "log").glob("*.jsonl"))).splitlines()
    envelopes = [record["envelope"] for record in map(json.loads, log) if record["kind"] == "event"]
    assert rows == [(e["event_id"], e["worker_id"], e["worker_seq"], e["payload"]["event"]) for e in envelopes]


def test_its_own_clients_follow_live_from_any_place_under_its_own_token(tmp_path: Path):
    data, database = tmp_path / "data", tmp_path / "mirror.db"
    (tmp_path / "counts.py").write_text("for n in range(1, 4): print(n)")
    worker = f"a={sys.executable} {tmp_path / 'counts.py'}"
    with (
        start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0", "--worker", worker) as program,
        backend(server_url(data, program), database) as (address, _),
    ):
        eventually(lambda: shown(address, "/workers/a/text")["text"] == "1\n2\n3")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            shown(address, "/workers", "wrong")
        asyncio.run(_follow(address.replace("http:", "ws:")))
        program.stop()


async def _follow(address: str) -> None:
    async with asyncio.timeout(30):
        async with connect(f"{address}/workers/a/live") as socket:
            await socket.send(TOKEN)
            events = json.loads(await socket.recv())["events"]
            said = [event["data"]["text"] for event in events if event["event"] == "text_done"]
            assert said[0] == "1"
        async with connect(f"{address}/workers/a/live?after={events[0]['id']}") as socket:
            await socket.send(TOKEN)
            assert json.loads(await socket.recv())["events"][0]["id"] > events[0]["id"]
        async with connect(f"{address}/workers/a/live") as socket:
            await socket.send("wrong")
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 4401

"""``serve`` in one terminal, ``run`` of an agent in another, ``tail`` in a third: what the README shows."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.real_program import Program, eventually, json_lines, server_url, start_program
from tests.cli.test_run import recorded
from tests.workers.adapters.mapping import NOW
from tests.workers.adapters.streams import REPLAY, STREAMS, stream_lines, told_lines
from yoi_runtime.workers.adapters import make_adapter

STREAM = next(path for path in STREAMS if path.stem == "claude-code-partial")
AGENT = [sys.executable, "-I", "-S", str(REPLAY), str(STREAM)]


@contextmanager
def follower(tmp_path: Path, data: Path, follow: list[str]) -> Iterator[Program]:
    """Start the program that follows once the Worker is in the log."""
    eventually(lambda: any(b'"worker_started"' in file.read_bytes() for file in (data / "log").glob("*.jsonl")))
    with start_program(tmp_path, *follow) as tail:
        yield tail


@pytest.mark.timeout(300)
@pytest.mark.parametrize("restarts", [False, True])
def test_an_agent_that_somebody_runs_is_followed_as_it_speaks(tmp_path: Path, restarts: bool):
    data = tmp_path / "data"
    serve = ["serve", "--data-dir", str(data), "--bind", ":0"]
    with start_program(tmp_path, *serve) as first:
        url = server_url(data, first)
        serve[-1] = url.removeprefix("http://")
        follow = ["tail", url, "--worker", "claude", "--from", "oldest", "--json"]
        run = ["run", "--data-dir", str(data), "--worker-id", "claude", "--", *AGENT]
        with start_program(tmp_path, *follow) as tail, start_program(tmp_path, *run) as agent:
            # It sees the first piece of a text before the agent has said the last.
            eventually(lambda: '"event":"text_delta"' in tail.stdout)
            if restarts:
                first.signal(signal.SIGKILL)
                first.wait()
                with start_program(tmp_path, *serve) as second:
                    server_url(data, second)
                    finish(agent, tail)
                    second.stop()
            else:
                finish(agent, tail)
                first.stop()
    told = told_lines(make_adapter("claude-code", lambda: NOW), stream_lines(STREAM))
    said = [e["payload"] for e in json_lines(tail.stdout) if e["worker_id"] == "claude"]
    assert [(p["event"], p.get("data")) for p in said if p["event"] not in ("alert", "status")] == [
        (p["event"], p.get("data")) for p in told if p["event"] not in ("alert", "status")
    ]
    assert [e["worker_seq"] for e in json_lines(tail.stdout)] == list(range(1, len(said) + 1))
    ends = [payload["data"]["outcome"] for payload in recorded(data) if payload["event"] == "worker_ended"]
    assert ends == (["lost", "completed"] if restarts else ["completed"])


def finish(agent: Program, tail: Program) -> None:
    assert agent.wait(120) == 0
    eventually(lambda: '"status":"idle"' in tail.stdout)
    tail.signal(signal.SIGINT)
    tail.wait()

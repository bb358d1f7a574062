"""Agents as real processes: a stream is replayed under ``yoi-runtime run``, and read back from the log."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.real_program import eventually, json_lines, run_program, server_url, start_program
from tests.cli.test_run import recorded
from tests.workers.adapters.mapping import NOW, Payload
from tests.workers.adapters.streams import ADAPTER_OF, REPLAY, STREAMS, stream_lines, told_lines
from yoi_runtime.workers.adapters import make_adapter

# Ten times as fast as the agent was.
SPEED = "10"


def replay(path: Path, speed: str = SPEED) -> list[str]:
    return [sys.executable, "-I", "-S", str(REPLAY), str(path), speed]


def without_clock(payload: Payload) -> Payload:
    if payload["event"] == "alert":
        return {**payload, "data": {**payload["data"], "timestamp_ms": NOW}}
    return payload


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_what_an_agent_prints_stands_in_the_log(tmp_path: Path, path: Path):
    data = tmp_path / "data"
    result = run_program(tmp_path, "run", "--data-dir", str(data), "--bind", ":0", "--", *replay(path))
    assert (result.returncode, result.stdout) == (0, "")
    written: list[dict[str, Any]] = recorded(data)
    begin = written.index({"event": "status", "data": {"status": "running"}})
    end = max(number for number, item in enumerate(written) if item["event"] == "status")
    told = told_lines(make_adapter(ADAPTER_OF[path], lambda: NOW), stream_lines(path))
    assert [without_clock(item) for item in written[begin + 1 : end]] == told


def test_who_follows_sees_each_piece_when_it_comes(tmp_path: Path):
    """The stream stops in the middle of a text until the follower has seen its beginning."""
    data, fifo = tmp_path / "data", tmp_path / "agent"
    os.mkfifo(fifo)
    lines = stream_lines(next(path for path in STREAMS if path.stem == "claude-code-partial"))
    half = next(number for number, line in enumerate(lines) if b'"text_delta"' in line) + 1
    options = ["run", "--data-dir", str(data), "--bind", ":0", "--worker-id", "claude", "--", "cat", str(fifo)]
    with (
        start_program(tmp_path, *options) as program,
        start_program(tmp_path, "tail", server_url(data, program), "--from", "oldest", "--json") as tail,
        fifo.open("wb", buffering=0) as agent,
    ):
        agent.write(b"".join(line + b"\n" for line in lines[:half]))
        eventually(lambda: "text_delta" in tail.stdout)
        assert "text_done" not in tail.stdout
        agent.write(b"".join(line + b"\n" for line in lines[half:]))
        agent.close()
        eventually(lambda: "run_end" in tail.stdout)
        assert program.wait() == 0
        payloads = [envelope["payload"] for envelope in json_lines(tail.stdout)]
    told = told_lines(make_adapter("claude-code", lambda: NOW), lines)
    assert [item for item in payloads if item in told] == told


def test_an_agent_that_is_killed_in_mid_text_leaves_what_it_said(tmp_path: Path):
    data = tmp_path / "data"
    lines = stream_lines(next(path for path in STREAMS if path.stem == "gemini"))
    half = next(number for number, line in enumerate(lines) if b'"delta":true' in line) + 1
    (tmp_path / "said").write_bytes(b"".join(line + b"\n" for line in lines[:half]) + lines[half][:40])
    code = "import os,sys; sys.stdout.write(open('said').read()); sys.stdout.flush(); os.kill(os.getpid(), 9)"
    command = [sys.executable, "-I", "-S", "-c", code]
    result = run_program(tmp_path, "run", "--data-dir", str(data), "--bind", ":0", "--", *command)
    assert result.returncode == 128 + 9
    names = [item["event"] for item in recorded(data)]
    texts = [item["data"]["text"] for item in recorded(data) if item["event"] == "text_done"]
    assert texts[-1] == "I'll read "
    assert names[-5:] == ["system_item", "text_done", "status", "worker_ended", "runtime_stopping"]


def test_an_adapter_can_be_forced(tmp_path: Path):
    data = tmp_path / "data"
    path = next(path for path in STREAMS if path.stem == "codex")
    options = ["--data-dir", str(data), "--bind", ":0", "--adapter", "lines"]
    assert run_program(tmp_path, "run", *options, "--", *replay(path, "0")).returncode == 0
    texts = [item["data"]["text"] for item in recorded(data) if item["event"] == "text_done"]
    assert texts == [line.decode() for line in stream_lines(path)]


def test_a_broken_adapter_is_said_with_its_distribution_and_nothing_is_run(tmp_path: Path):
    info = tmp_path / "site" / "broken_adapter-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-adapter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[yoi_runtime.adapters]\nbroken = nowhere_to_be_found:Adapter\n")
    environment = os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).parents[3])])
    options = ["run", "--data-dir", "data", "--bind", ":0", "--adapter", "broken", "--", "touch", "ran"]
    result = run_program(tmp_path, *options, PYTHONPATH=environment)
    assert result.returncode == 2
    assert "adapter 'broken' of the distribution 'broken-adapter' cannot be loaded: ModuleNotFound" in " ".join(
        result.stderr.split()
    )
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "data").exists()

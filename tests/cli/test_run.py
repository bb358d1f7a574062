"""``yoi-runtime run`` as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.cli.real_program import eventually, json_lines, python_command, run_program, server_url, start_program
from yoi_runtime.cli.run import exit_code_passed_on
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.workers.outcome import WorkerExit

# Prints, and ends when a line comes to the pipe named by its argument: a test says when.
WAITS = "import sys; print('ready'); open('go').read(); print('done'); sys.exit(5)"


def recorded(data_dir: Path) -> list[dict[str, Any]]:
    """Return the payloads in the log of a Runtime that is closed."""
    lines = [line for file in sorted((data_dir / "log").glob("*.jsonl")) for line in file.read_bytes().split(b"\n")]
    return [record["envelope"]["payload"] for line in lines if line and (record := json.loads(line))["kind"] == "event"]


@pytest.mark.parametrize(
    ("code", "exit_code", "outcome"),
    [
        ("print('x')", 0, "completed"),
        ("import sys; sys.exit(7)", 7, "failed"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, "crashed"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, "crashed"),
    ],
)
def test_the_exit_code_is_the_commands(tmp_path: Path, code: str, exit_code: int, outcome: str):
    data = tmp_path / "data"
    result = run_program(tmp_path, "run", "--data-dir", str(data), "--bind", ":0", "--", *python_command(code))
    assert (result.returncode, result.stdout) == (exit_code, "")
    serving, ended = result.stderr.splitlines()
    assert serving.startswith("yoi-runtime: serving http://127.0.0.1:")
    assert f" {outcome} (" in ended
    ends = [payload["data"] for payload in recorded(data) if payload["event"] == "worker_ended"]
    assert [end["outcome"] for end in ends] == [outcome]
    assert not (data / "server.json").exists()


def test_options_after_the_command_are_the_commands(tmp_path: Path):
    data = tmp_path / "data"
    result = run_program(tmp_path, "run", "--data-dir", str(data), "--bind", ":0", "echo", "--help", "--bind", "-n")
    assert result.returncode == 0
    assert {"event": "text_done", "data": {"text": "--help --bind -n"}} in recorded(data)
    started = next(payload["data"] for payload in recorded(data) if payload["event"] == "worker_started")
    assert started["worker_id"] == "echo"


def test_it_serves_while_the_command_runs(tmp_path: Path):
    data = tmp_path / "data"
    os.mkfifo(tmp_path / "go")
    options = ["--data-dir", str(data), "--bind", ":0", "--worker-id", "w"]
    with start_program(tmp_path, "run", *options, "--", *python_command(WAITS)) as program:
        url = server_url(data, program)
        with start_program(tmp_path, "tail", url, "--worker", "w", "--from", "oldest", "--json") as tail:
            eventually(lambda: "ready" in tail.stdout)
            (tmp_path / "go").write_text("go")
            assert program.wait() == 5
            # The Worker has ended, and with it the stream; unless the server was gone before it could say so.
            tail.signal(signal.SIGINT)
            # Or while it was leaving already: then the signal itself ends it.
            assert tail.wait() in (0, 130, -signal.SIGINT)
            # All that the Worker said, though the server went right behind its end.
            assert texts(json_lines(tail.stdout)) == ["ready", "done"]


def test_who_follows_sees_the_end_though_the_server_goes_right_behind_it(tmp_path: Path):
    data = tmp_path / "data"
    os.mkfifo(tmp_path / "go")
    with (
        start_program(
            tmp_path, "run", "--data-dir", str(data), "--bind", ":0", "--", *python_command(WAITS)
        ) as program,
        start_program(tmp_path, "tail", server_url(data, program), "--from", "oldest", "--json") as tail,
    ):
        eventually(lambda: '"text":"ready"' in tail.stdout)
        (tmp_path / "go").write_text("go")
        assert program.wait() == 5
        tail.wait_for_stderr("connection lost")
        events = [envelope["payload"] for envelope in json_lines(tail.stdout)]
    assert events == recorded(data)
    assert events[-1]["event"] == "runtime_stopping"


def test_lingering_serves_on_and_a_signal_ends_it_with_the_commands_code(tmp_path: Path):
    data = tmp_path / "data"
    options = ["--data-dir", str(data), "--bind", ":0", "--linger", "1h"]
    with start_program(tmp_path, "run", *options, "--", *python_command("raise SystemExit(3)")) as program:
        program.wait_for_stderr("failed (exit code 3)")
        url = server_url(data, program)
        with start_program(tmp_path, "tail", url, "--from", "oldest", "--json") as tail:
            eventually(lambda: "worker_ended" in tail.stdout)
        program.signal(signal.SIGINT)
        assert program.wait() == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_command_and_is_the_exit_code(tmp_path: Path, number: signal.Signals):
    data = tmp_path / "data"
    command = python_command("import signal; print('ready'); signal.pause()")
    with start_program(tmp_path, "run", "--data-dir", str(data), "--bind", ":0", "--", *command) as program:
        server_url(data, program)
        program.signal(number)
        assert program.wait() == 128 + number
    end = next(payload["data"] for payload in recorded(data) if payload["event"] == "worker_ended")
    assert end["outcome"] == "cancelled"
    assert recorded(data)[-1] == {"event": "runtime_stopping", "data": {"reason": f"signal {number.name}"}}
    assert not (data / "server.json").exists()


def test_a_log_that_is_held_by_who_does_not_listen_is_exit_code_three(tmp_path: Path):
    data = tmp_path / "data"
    # A Runtime that its program embeds, without a socket.
    with Runtime.open(data):
        result = run_program(tmp_path, "run", "--data-dir", str(data), "--bind", ":0", "--", "touch", "ran")
    assert result.returncode == 3
    assert f"process {os.getpid()}" in result.stderr
    assert not (tmp_path / "ran").exists()


def test_a_port_in_use_runs_nothing(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run_program(tmp_path, "run", "--data-dir", "data", "--bind", bind, "--", "touch", "ran")
    assert result.returncode == 1
    assert not (tmp_path / "ran").exists()


def test_a_command_that_does_not_exist_is_a_failure(tmp_path: Path):
    result = run_program(tmp_path, "run", "--data-dir", "data", "--bind", ":0", "--", "no-such-program")
    assert result.returncode == 1
    assert result.stderr.endswith("cannot start 'no-such-program': No such file or directory\n")


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (WorkerExit("completed", 0, None), 0),
        (WorkerExit("failed", 255, None), 255),
        (WorkerExit("crashed", None, 9), 137),
        (WorkerExit("cancelled", None, 15, "asked"), 143),
    ],
)
def test_an_exit_is_passed_on(ended: WorkerExit, code: int):
    assert exit_code_passed_on(ended) == code


def texts(envelopes: list[dict[str, Any]]) -> list[str]:
    return [e["payload"]["data"]["text"] for e in envelopes if e["payload"]["event"] == "text_done"]

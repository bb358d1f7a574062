"""``yoi-runtime run`` beside a Runtime that runs already: real processes, one log."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cli.real_program import (
    DEADLINE_SECONDS,
    Program,
    eventually,
    python_command,
    run_program,
    server_url,
    start_program,
)
from tests.cli.test_run import WAITS, recorded
from tests.event_log.written_events import check_numbers, envelopes_in, lines_in
from tests.runtime.ingest.peer import texts_written, wait_for_texts
from tests.runtime.ingest.test_connection import LISTENING, ends_in, texts_of
from tests.runtime.sample_runtime import open_runtime
from tests.support.deadline import wait_until_async
from yoi_runtime.cli.joined_run import join, run_joined
from yoi_runtime.cli.signals import StopSignals
from yoi_runtime.cli.worker_plan import WorkerPlan
from yoi_runtime.events import WorkerEnded, WorkerStarted

# Several programs are started, one after the other.
pytestmark = pytest.mark.timeout(300)

COUNTS = "import sys; go = open('go')\nfor n, _ in enumerate(go): print(n)\nsys.exit(5)"


@contextmanager
def serving(directory: Path, data: Path) -> Iterator[Program]:
    with start_program(directory, "serve", "--data-dir", str(data), "--bind", ":0") as program:
        server_url(data, program)
        yield program


def joined(data: Path, *options: str) -> list[str]:
    return ["run", "--data-dir", str(data), "--worker-id", "coder", *options, "--"]


@pytest.mark.parametrize(
    ("code", "exit_code", "end"),
    [
        ("print('x')", 0, ("completed", 0)),
        ("import sys; print('x'); sys.exit(7)", 7, ("failed", 7)),
        ("import os, signal; print('x', flush=True); os.kill(os.getpid(), signal.SIGKILL)", 137, ("crashed", None)),
    ],
)
def test_the_output_is_in_the_shared_log_and_the_exit_code_is_the_commands(
    tmp_path: Path, code: str, exit_code: int, end: tuple[str, int | None]
):
    data = tmp_path / "data"
    with serving(tmp_path, data) as server:
        result = run_program(tmp_path, *joined(data), *python_command(code))
        assert (result.returncode, result.stdout) == (exit_code, "")
        told, ended = result.stderr.splitlines()
        assert told.startswith(f"yoi-runtime: joined the Runtime of {data}, which serves http://127.0.0.1:")
        assert f" {end[0]} (" in ended
        eventually(lambda: ends_in(data) == [end])
        assert texts_of(data) == ["x"]
        assert server.is_running()
    started = next(e.payload for e in envelopes_in(data / "log") if isinstance(e.payload, WorkerStarted))
    assert started.command is not None
    assert started.command[-1] == code


def test_it_has_its_terminal_and_its_trace_context_here_as_well(tmp_path: Path):
    data, trace = tmp_path / "data", f"00-{'a' * 32}-{'b' * 16}-01"
    with serving(tmp_path, data):
        code = "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size().columns)"
        options = joined(data, "--pty", "--pty-size", "77x20")
        result = run_program(tmp_path, *options, *python_command(code), TRACEPARENT=trace)
        assert result.returncode == 0
        eventually(lambda: ends_in(data) == [("completed", 0)])
    assert texts_of(data) == ["True 77"]
    records = [json.loads(line) for line in lines_in(data / "log")]
    said = [record["envelope"]["payload"] for record in records if record["envelope"]["worker_id"] == "coder"]
    assert [payload["event"] for payload in said] == ["status", "text_done", "status"]
    assert {payload.get("traceparent") for payload in said} == {trace}


def test_the_command_is_a_child_of_run_and_dies_with_it(tmp_path: Path):
    data = tmp_path / "data"
    code = "import os, signal; print(os.getppid()); signal.pause()"
    with serving(tmp_path, data), start_program(tmp_path, *joined(data), *python_command(code)) as program:
        assert eventually(lambda: texts_of(data)) == [str(program.pid)]
        program.signal(signal.SIGKILL)
        program.wait()
        assert eventually(lambda: ends_in(data)) == [("crashed", None)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_command_and_is_the_exit_code(tmp_path: Path, number: signal.Signals):
    data = tmp_path / "data"
    code = "import signal; print('ready'); signal.pause()"
    with serving(tmp_path, data), start_program(tmp_path, *joined(data), *python_command(code)) as program:
        eventually(lambda: texts_written(data) == 1)
        program.signal(number)
        assert program.wait() == 128 + number
        eventually(lambda: ends_in(data) == [("cancelled", None)])


def test_a_worker_that_runs_is_left_alone(tmp_path: Path):
    data = tmp_path / "data"
    os.mkfifo(tmp_path / "go")
    with serving(tmp_path, data), start_program(tmp_path, *joined(data), *python_command(WAITS)) as first:
        eventually(lambda: texts_written(data) == 1)
        second = run_program(tmp_path, *joined(data), "touch", "ran")
        assert second.returncode == 1
        assert "Worker coder is running already" in second.stderr
        assert not (tmp_path / "ran").exists()
        (tmp_path / "go").write_text("go")
        assert first.wait() == 5


def test_a_command_that_does_not_exist_is_a_failure(tmp_path: Path):
    data = tmp_path / "data"
    with serving(tmp_path, data):
        result = run_program(tmp_path, *joined(data), "no-such-program")
        assert result.returncode == 1
        assert result.stderr.endswith("cannot start 'no-such-program': No such file or directory\n")
        eventually(lambda: ends_in(data) == [("failed", None)])


def test_a_second_run_joins_the_first(tmp_path: Path):
    data = tmp_path / "data"
    os.mkfifo(tmp_path / "go")
    first = ["run", "--data-dir", str(data), "--bind", ":0", "--worker-id", "first", "--", *python_command(WAITS)]
    with start_program(tmp_path, *first) as program:
        server_url(data, program)
        second = run_program(tmp_path, *joined(data), "echo", "from the second")
        assert second.returncode == 0
        (tmp_path / "go").write_text("go")
        assert program.wait() == 5
    assert texts_of(data) == ["from the second"]
    assert texts_of(data, "first") == ["ready", "done"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_runtime_that_goes_and_comes_back_loses_nothing_and_doubles_nothing(tmp_path: Path, number: signal.Signals):
    data = tmp_path / "data"
    os.mkfifo(tmp_path / "go")
    with ExitStack() as stack:
        server = stack.enter_context(serving(tmp_path, data))
        program = stack.enter_context(
            start_program(tmp_path, *joined(data, "--reconnect", "off"), *python_command(COUNTS))
        )
        go = stack.enter_context((tmp_path / "go").open("wb", buffering=0))
        for begin in range(0, 1_500, 500):
            go.write(b"\n" * 500)
            wait_for_texts(data, begin + 50)
            server.signal(number)
            server.wait()
            # Said while nobody is there.
            go.write(b"\n" * 500) if begin == 500 else None
            server = stack.enter_context(serving(tmp_path, data))
        go.close()
        assert program.wait() == 5
        assert server.stop() == 128 + signal.SIGTERM
    check_numbers(envelopes_in(data / "log"))
    assert texts_of(data) == [str(n) for n in range(2_000)]
    *interrupted, last = [e.payload for e in envelopes_in(data / "log") if isinstance(e.payload, WorkerEnded)]
    assert {end.outcome for end in interrupted} == {"lost"} | ({"cancelled"} if number == signal.SIGTERM else set())
    assert (last.outcome, last.exit_code) == ("failed", 5)


def test_a_runtime_that_stays_away_ends_the_command(tmp_path: Path):
    data = tmp_path / "data"
    code = "import itertools\nfor n in itertools.count(): print(n)"
    with (
        serving(tmp_path, data) as server,
        start_program(tmp_path, *joined(data, "--reconnect", "1s"), *python_command(code)) as program,
    ):
        eventually(lambda: texts_written(data))
        server.signal(signal.SIGKILL)
        assert program.wait() == 6
        assert "the Runtime is away" in program.stderr
        assert "lines were not acknowledged" in program.stderr


async def test_a_signal_is_heard_also_while_the_end_waits_for_a_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("yoi_runtime.cli.joined_run.LAST_OUTPUT_SECONDS", 0.2)
    os.mkfifo(tmp_path / "go")
    data = tmp_path / "data"
    plan = WorkerPlan("coder", tuple(python_command("open('go').read()")), cwd=tmp_path)
    runtime = open_runtime(data, LISTENING)
    remote = await join(data, plan, None)
    assert remote is not None
    with StopSignals() as signals:
        running = asyncio.create_task(run_joined(remote, data, plan, signals))
        await wait_until_async(lambda: remote.unacknowledged == 0 and b'"running"' in written(data))
        await asyncio.to_thread(runtime.close)
        await asyncio.to_thread((tmp_path / "go").write_text, "go")
        # It is idle, and the end.
        await wait_until_async(lambda: remote.unacknowledged == 2)
        signal.raise_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running, DEADLINE_SECONDS) == 128 + signal.SIGTERM
    assert "the last 2 lines are given up" in capsys.readouterr().err


def written(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (data / "log").glob("*.jsonl"))


def test_without_a_runtime_it_is_one_itself(tmp_path: Path):
    data = tmp_path / "data"
    result = run_program(tmp_path, "run", "--data-dir", str(data), "--bind", ":0", "--", "echo", "alone")
    assert result.returncode == 0
    assert "serving http://" in result.stderr
    assert {"event": "text_done", "data": {"text": "alone"}} in recorded(data)

"""``yoi-runtime emit`` as a process, beside a Runtime in this one or in another."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cli.real_program import DEADLINE_SECONDS, Program, environment, eventually, server_url, start_program
from tests.event_log.written_events import check_numbers, envelopes_in, lines_in
from tests.runtime.ingest.peer import texts_written, wait_for_texts
from tests.runtime.ingest.test_connection import LISTENING, ends_in, said_by, texts_of
from tests.runtime.sample_runtime import open_runtime
from tests.support.deadline import wait_until
from tests.workers.adapters.mapping import NOW, payloads
from tests.workers.adapters.streams import ADAPTER_OF, STREAMS, stream_lines, told_lines
from yoi_runtime.cli.emit import EmitRequest
from yoi_runtime.cli.emit import emit as run_emit
from yoi_runtime.cli.remote_worker import RemoteWorker
from yoi_runtime.events import Alert, Event, Status, TextDone
from yoi_runtime.workers.adapters import make_adapter

# Several programs are started, one after the other.
pytestmark = pytest.mark.timeout(300)


@contextmanager
def emitting(data_dir: Path, *options: str, worker_id: str = "coder") -> Iterator[subprocess.Popen[bytes]]:
    """Start ``emit`` with a pipe to its input; what still runs at the end of the block is killed."""
    command = [
        sys.executable,
        "-m",
        "yoi_runtime",
        "emit",
        "--worker",
        worker_id,
        "--data-dir",
        str(data_dir),
        *options,
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def emit(data_dir: Path, text: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    with emitting(data_dir, *options) as process:
        stdout, stderr = process.communicate(text, DEADLINE_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def events_said(data_dir: Path) -> list[Event]:
    """Return what the Worker said between its ``running`` and its ``idle``."""
    first, *events, last = said_by(data_dir)
    assert (first, last) == (Status(status="running"), Status(status="idle"))
    return events


def test_lines_become_events_and_the_end_of_input_the_workers_end(tmp_path: Path):
    with open_runtime(tmp_path, LISTENING):
        result = emit(tmp_path, b'a\n\n{"event":"text_done","data":{"text":"b"}}\nhalf a line')
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert events_said(tmp_path) == [TextDone(text=text) for text in ("a", "", "b", "half a line")]
    assert ends_in(tmp_path) == [("completed", None)]


@pytest.mark.parametrize("path", STREAMS[:3], ids=lambda path: path.stem)
def test_an_agents_stream_is_told_as_under_run(tmp_path: Path, path: Path):
    lines = stream_lines(path)
    with open_runtime(tmp_path, LISTENING):
        result = emit(tmp_path, b"".join(line + b"\n" for line in lines))
    assert result.returncode == 0
    told = [p for p in told_lines(make_adapter(ADAPTER_OF[path], lambda: NOW), lines) if p["event"] != "alert"]
    assert [p for p in payloads(events_said(tmp_path)) if p["event"] != "alert"] == told


def test_its_trace_context_is_recorded_with_every_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trace, own = (f"00-{digit * 32}-{digit * 16}-01" for digit in "ab")
    monkeypatch.setenv("TRACEPARENT", trace)
    with open_runtime(tmp_path, LISTENING):
        result = emit(tmp_path, b'a\n{"event":"text_done","data":{"text":"b"},"traceparent":"%s"}\n' % own.encode())
    assert result.returncode == 0
    records = [json.loads(line) for line in lines_in(tmp_path / "log")]
    said = [record["envelope"]["payload"] for record in records if record["envelope"]["worker_id"] == "coder"]
    assert [payload["traceparent"] for payload in said] == [trace, trace, own, trace]


def test_a_file_is_taken_as_well_as_a_pipe_and_passed_through(tmp_path: Path):
    data = tmp_path / "data"
    text = b"".join(b"line %d\n" % number for number in range(5_000))
    (tmp_path / "input").write_bytes(text)
    with open_runtime(data, LISTENING), (tmp_path / "input").open("rb") as file:
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "yoi_runtime",
                "emit",
                "--worker",
                "coder",
                "--data-dir",
                str(data),
                "--tee",
                "--durable",
            ],
            stdin=file,
            capture_output=True,
            env=environment(),
            timeout=DEADLINE_SECONDS,
            check=False,
        )
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == text
    assert texts_of(data) == [f"line {number}" for number in range(5_000)]


def test_what_is_no_event_is_told_in_its_place(tmp_path: Path):
    with open_runtime(tmp_path, LISTENING):
        result = emit(tmp_path, b'{"event":"worker_ended","data":{}}\nnot json\n', "--adapter", "jsonl")
    assert result.returncode == 0
    alerts = events_said(tmp_path)
    assert all(isinstance(alert, Alert) for alert in alerts)
    assert len(alerts) == 2


def test_an_event_that_the_runtime_refuses_is_a_failure_that_says_which(tmp_path: Path):
    big = json.dumps({"event": "own", "data": list(range(60_000))}).encode()
    with open_runtime(tmp_path, LISTENING):
        result = emit(tmp_path, big + b"\na\n")
    assert result.returncode == 1
    assert b"1 events were refused; the first: data: a record of" in result.stderr
    assert b"(event_too_large)" in result.stderr
    assert texts_of(tmp_path) == ["a"]


def test_without_a_runtime_it_says_how_to_start_one(tmp_path: Path):
    result = emit(tmp_path, b"a\n")
    assert result.returncode == 6
    assert b"no Runtime listens at" in result.stderr
    assert b"start one with yoi-runtime serve" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_runs_is_left_alone(tmp_path: Path):
    with open_runtime(tmp_path, LISTENING) as runtime, runtime.create_worker("coder"):
        result = emit(tmp_path, b"a\n")
    assert result.returncode == 1
    assert b"Worker coder is running already (worker_running)" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_worker_after_what_was_read(tmp_path: Path, number: signal.Signals):
    with open_runtime(tmp_path, LISTENING), emitting(tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write(b"a\n")
        process.stdin.flush()
        eventually(lambda: texts_written(tmp_path) == 1)
        process.send_signal(number)
        assert process.wait(DEADLINE_SECONDS) == 128 + number
    assert ends_in(tmp_path) == [("cancelled", None)]


def test_a_signal_is_heard_also_while_the_last_answers_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yoi_runtime.cli.emit._LAST_SECONDS", 0.2)
    (tmp_path / "input").write_bytes(b"a\n")
    runtime = open_runtime(tmp_path, LISTENING)
    end, outcomes = RemoteWorker.end, list[str]()

    async def end_without_a_runtime(remote: RemoteWorker, outcome: str) -> None:
        if not outcomes:
            await asyncio.to_thread(runtime.close)
            signal.raise_signal(signal.SIGINT)
        outcomes.append(outcome)
        await end(remote, outcome)

    monkeypatch.setattr(RemoteWorker, "end", end_without_a_runtime)
    with (tmp_path / "input").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        code = asyncio.run(asyncio.wait_for(run_emit(EmitRequest(tmp_path, "coder")), DEADLINE_SECONDS))
    assert code == 128 + signal.SIGINT
    assert outcomes[0] == "completed"


def test_a_kill_in_the_middle_of_a_line_leaves_whole_lines_and_a_crashed_worker(tmp_path: Path):
    with open_runtime(tmp_path, LISTENING) as runtime, emitting(tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write(b"a\nhalf")
        process.stdin.flush()
        eventually(lambda: texts_written(tmp_path) == 1)
        process.kill()
        wait_until(lambda: not runtime.running_workers())
    assert texts_of(tmp_path) == ["a"]
    assert ends_in(tmp_path) == [("crashed", None)]


def test_nobody_who_takes_what_is_passed_through_ends_it_in_order(tmp_path: Path):
    with open_runtime(tmp_path, LISTENING) as runtime, emitting(tmp_path, "--tee") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.write(b"a\n")
        process.stdin.flush()
        assert process.wait(DEADLINE_SECONDS) == 128 + signal.SIGPIPE
        wait_until(lambda: not runtime.running_workers())
    assert ends_in(tmp_path) == [("cancelled", None)]


def test_a_runtime_that_is_killed_and_comes_back_has_every_line_once(tmp_path: Path):
    data, lives, per_life = tmp_path / "data", 3, 1_000
    with ExitStack() as stack:

        def serve() -> Program:
            options = ["--data-dir", str(data), "--bind", ":0"]
            started = stack.enter_context(start_program(tmp_path, "serve", *options))
            server_url(data, started)
            return started

        program = serve()
        process = stack.enter_context(emitting(data, "--adapter", "lines", "--reconnect", "off"))
        assert process.stdin is not None
        assert process.stderr is not None
        for begin in range(0, lives * per_life, per_life):
            for number in range(begin, begin + per_life):
                process.stdin.write(b"%d\n" % number)
            process.stdin.flush()
            # Somewhere in the middle of them.
            wait_for_texts(data, begin + 100)
            program.signal(signal.SIGKILL)
            program.wait()
            program = serve()
        process.stdin.close()
        assert process.wait(DEADLINE_SECONDS) == 0
        assert program.stop() == 128 + signal.SIGTERM
        told = process.stderr.read().decode()
    assert told.count("the Runtime is back") == lives
    check_numbers(envelopes_in(data / "log"))
    assert texts_of(data) == [str(number) for number in range(lives * per_life)]

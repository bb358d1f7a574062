"""``yoi-runtime tail`` as a process, against a real ``serve``."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.cli.real_program import (
    DEADLINE_SECONDS,
    Program,
    environment,
    eventually,
    json_lines,
    python_command,
    run_program,
    server_url,
    start_program,
)
from yoi_runtime.cli.tail import TailRequest, command_to_go_on
from yoi_runtime.events import TextDone
from yoi_runtime.runtime.runtime import Runtime

# Prints 20 numbers; prints 20 more for every line that comes through the pipe "go", until that is closed.
COUNTS = shlex.join(
    python_command("""
n = 0
def count():
    global n
    for _ in range(20):
        n += 1
        print(n)
count()
for _ in open("go"):
    count()
""")
)


def seqs(tail: Program) -> list[int]:
    return [envelope["seq"] for envelope in json_lines(tail.stdout)]


def texts(envelopes: list[dict[str, Any]]) -> list[str]:
    return [e["payload"]["data"]["text"] for e in envelopes if e["payload"]["event"] == "text_done"]


def command_after(text: str, label: str) -> list[str]:
    """Return the arguments of the command shown behind ``label``."""
    line = next(line for line in text.splitlines() if label in line)
    return shlex.split(line.partition(label)[2])[len([sys.executable, "-m", "yoi_runtime"]) :]


def test_from_oldest_it_prints_every_line_of_the_log_as_it_is(tmp_path: Path):
    data = tmp_path / "data"
    os.mkfifo(tmp_path / "go")
    options = ["--data-dir", str(data), "--bind", ":0", "--worker", f"a={COUNTS}"]
    with start_program(tmp_path, "serve", *options) as program:
        url = server_url(data, program)
        with start_program(tmp_path, "tail", url, "--from", "oldest", "--json") as tail:
            eventually(lambda: '"text":"20"' in tail.stdout)
            (tmp_path / "go").write_text("more\n")
            eventually(lambda: '"worker_ended"' in tail.stdout)
            program.stop()
            eventually(lambda: '"runtime_stopping"' in tail.stdout)
            tail.signal(signal.SIGINT)
            assert tail.wait() == 130
            printed = tail.stdout
    log = b"".join(file.read_bytes() for file in sorted((data / "log").glob("*.jsonl"))).decode()
    assert printed.splitlines() == [line for line in log.splitlines() if json.loads(line)["kind"] == "event"]
    assert texts(json_lines(printed)) == [str(n) for n in range(1, 41)]


def test_a_killed_server_that_comes_back_leaves_no_gap(tmp_path: Path):
    data = tmp_path / "data"
    os.mkfifo(tmp_path / "go")
    with start_program(
        tmp_path, "serve", "--data-dir", str(data), "--bind", ":0", "--worker", f"a={COUNTS}"
    ) as program:
        url = server_url(data, program)
        with start_program(tmp_path, "tail", url, "--from", "oldest", "--json") as tail:
            eventually(lambda: '"text":"20"' in tail.stdout)
            program.signal(signal.SIGKILL)
            assert program.wait() == -signal.SIGKILL
            tail.wait_for_stderr("connection lost")
            # The same port, and the same Worker: its number goes on.
            bind = url.removeprefix("http://")
            options = ["--data-dir", str(data), "--bind", bind, "--worker", f"a={COUNTS}"]
            with start_program(tmp_path, "serve", *options) as again:
                assert server_url(data, again) == url
                tail.wait_for_stderr("connected again")
                (tmp_path / "go").write_text("more\n")
                eventually(lambda: tail.stdout.count('"worker_ended"') == 2)
                again.stop()
            eventually(lambda: '"runtime_stopping"' in tail.stdout)
            envelopes = json_lines(tail.stdout)
    assert [envelope["seq"] for envelope in envelopes] == list(range(1, len(envelopes) + 1))
    assert texts(envelopes) == [str(n) for n in (*range(1, 21), *range(1, 41))]
    assert [e["worker_seq"] for e in envelopes if e["worker_id"] == "a"] == list(
        range(1, sum(e["worker_id"] == "a" for e in envelopes) + 1)
    )


def test_a_runtime_that_comes_back_on_another_port_is_found(tmp_path: Path):
    data = tmp_path / "data"
    os.mkfifo(tmp_path / "go")
    options = ["--data-dir", str(data), "--bind", ":0"]
    with start_program(tmp_path, "serve", *options) as program:
        url = server_url(data, program)
        with start_program(tmp_path, "tail", "--data-dir", str(data), "--from", "oldest", "--json") as tail:
            eventually(lambda: json_lines(tail.stdout))
            program.stop()
            tail.wait_for_stderr("connection lost")
            with socket.socket() as reserved:
                # Nobody else gets the old port, and nobody listens there.
                reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                reserved.bind(("127.0.0.1", int(url.rpartition(":")[2])))
                with start_program(tmp_path, "serve", *options) as again:
                    assert server_url(data, again) != url
                    tail.wait_for_stderr("connected again")
                    eventually(lambda: len(json_lines(tail.stdout)) == 3)
    assert seqs(tail) == [1, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_prints_the_command_that_goes_on_behind_the_last_event(tmp_path: Path, number: signal.Signals):
    data = tmp_path / "data"
    os.mkfifo(tmp_path / "go")
    options = ["--data-dir", str(data), "--bind", ":0", "--worker", f"a={COUNTS}"]
    with start_program(tmp_path, "serve", *options) as program:
        url = server_url(data, program)
        with start_program(tmp_path, "tail", url, "--worker", "a", "--from", "oldest", "--json") as first:
            eventually(lambda: '"text":"20"' in first.stdout)
            first.signal(number)
            assert first.wait() == 128 + number
            before = json_lines(first.stdout)
            arguments = command_after(first.stderr, "go on from here: ")
        assert arguments == ["tail", url, "--worker", "a", "--cursor", before[-1]["cursor"], "--json"]
        (tmp_path / "go").write_text("more\n")
        with start_program(tmp_path, *arguments) as second:
            eventually(lambda: '"text":"40"' in second.stdout)
            after = json_lines(second.stdout)
        program.stop()
    numbers = [envelope["worker_seq"] for envelope in (*before, *after)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_with_a_cursor_file_each_run_goes_on_where_the_last_one_stopped(tmp_path: Path):
    data, file = tmp_path / "data", tmp_path / "place"
    os.mkfifo(tmp_path / "go")
    options = ["--data-dir", str(data), "--bind", ":0", "--worker", f"a={COUNTS}"]
    with start_program(tmp_path, "serve", *options) as program:
        url = server_url(data, program)
        arguments = ["tail", url, "--worker", "a", "--cursor-file", str(file), "--json"]
        with start_program(tmp_path, *arguments, "--from", "oldest") as first:
            eventually(lambda: '"text":"20"' in first.stdout)
            first.signal(signal.SIGTERM)
            first.wait()
            before = json_lines(first.stdout)
            assert command_after(first.stderr, "go on from here: ") == arguments
        assert json.loads(file.read_text())["cursor"] == before[-1]["cursor"]
        (tmp_path / "go").write_text("more\n")
        with start_program(tmp_path, *arguments) as second:
            # Its pipe is closed: the Worker has ended, and with it the stream.
            assert second.wait() == 0
            after = json_lines(second.stdout)
            assert "the Worker has ended (completed)" in second.stderr
        other = run_program(tmp_path, "tail", url, "--cursor-file", str(file))
        assert (other.returncode, other.stdout) == (1, "")
        assert "give each stream its own file" in other.stderr
        assert other.stderr.count("\n") == 1
        program.stop()
    numbers = [envelope["worker_seq"] for envelope in (*before, *after)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_without_an_address_it_finds_the_runtime_of_the_directory(tmp_path: Path):
    data = tmp_path / "data"
    with start_program(tmp_path, "serve", "--bind", ":0", YOI_DATA_DIR=str(data)) as program:
        server_url(data, program)
        with start_program(tmp_path, "tail", "--from", "oldest", YOI_DATA_DIR=str(data)) as tail:
            assert f"Runtime started (version {version()}, process {program.pid})" in tail.wait_for_stdout("started")
            tail.signal(signal.SIGINT)
            assert tail.wait() == 130
            # As typed: without an address, so that it finds the Runtime again on another port.
            assert command_after(tail.stderr, "go on from here: ")[:2] == ["tail", "--cursor"]
        program.stop()
        gone = run_program(tmp_path, "tail", YOI_DATA_DIR=str(data))
    assert gone.returncode == 1
    assert gone.stderr.startswith(f"yoi-runtime: no Runtime serves {data}")


def version() -> str:
    from yoi_runtime.version import VERSION

    return VERSION


def test_what_a_killed_runtime_left_behind_is_recognised(tmp_path: Path):
    data = tmp_path / "data"
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0") as program:
        server_url(data, program)
        program.signal(signal.SIGKILL)
        program.wait()
        result = run_program(tmp_path, "tail", "--data-dir", str(data))
    assert result.returncode == 1
    assert f"process {program.pid}" in result.stderr
    assert "no longer runs" in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_address_where_nobody_listens_is_told_at_once(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    result = run_program(tmp_path, "tail", f"127.0.0.1:{port}")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"yoi-runtime: cannot connect to http://127.0.0.1:{port}: Connection refused; is a Runtime serving there?\n"
    )


def test_a_malformed_cursor_is_refused(tmp_path: Path):
    data = tmp_path / "data"
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0") as program:
        url = server_url(data, program)
        result = run_program(tmp_path, "tail", url, "--cursor", "nonsense", "--json")
        assert (result.returncode, result.stdout) == (4, "")
        assert "runtime.cursor_malformed: " in result.stderr
        assert command_after(result.stderr, "all that is left: ") == ["tail", url, "--from", "oldest", "--json"]
        assert command_after(result.stderr, "only what comes: ") == ["tail", url, "--from", "now", "--json"]


def test_an_expired_cursor_is_refused_with_what_is_lost(tmp_path: Path):
    data = tmp_path / "data"
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0") as program:
        url = server_url(data, program)
        with start_program(tmp_path, "tail", url, "--from", "oldest", "--json") as tail:
            eventually(lambda: json_lines(tail.stdout))
            cursor = json_lines(tail.stdout)[0]["cursor"]
        program.stop()
    many = shlex.join(python_command("for i in range(300): print('x' * 100)"))
    options = ["--segment-bytes", "8KiB", "--retain-bytes", "16KiB", "--worker", f"a={many}"]
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0", *options) as program:
        url = server_url(data, program)
        program.wait_for_stderr("Worker a completed")
        eventually(lambda: oldest_worker_seq(url) > 1)
        result = run_program(tmp_path, "tail", url, "--cursor", cursor)
        assert (result.returncode, result.stdout) == (4, "")
        assert "runtime.cursor_expired: " in result.stderr
        assert "lost: " in result.stderr
        arguments = command_after(result.stderr, "which begins at: ")
        with start_program(tmp_path, *arguments, "--json") as tail:
            eventually(lambda: json_lines(tail.stdout))
        program.stop()


def oldest_worker_seq(url: str) -> int:
    """Return the number of the only Worker's oldest event that is kept."""
    with urllib.request.urlopen(f"{url}/v1/events/status", timeout=30) as answer:
        (worker,) = json.loads(answer.read())["workers"]
    return int(worker["oldest_worker_seq"] or 0)


def test_damage_ends_it_with_the_command_that_goes_on_behind(tmp_path: Path):
    with Runtime.open(tmp_path / "data") as runtime, runtime.create_worker("w") as worker:
        for number in range(5):
            worker.emit(TextDone(text=f"event {number}"))
    segment = next((tmp_path / "data" / "log").glob("*.jsonl"))
    segment.write_bytes(segment.read_bytes().replace(b"event 2", b"event X"))
    with start_program(tmp_path, "serve", "--data-dir", "data", "--bind", ":0") as program:
        url = server_url(tmp_path / "data", program)
        result = run_program(tmp_path, "tail", url, "--from", "oldest", "--worker", "w", "--json")
        assert result.returncode == 1
        assert texts(json_lines(result.stdout)) == ["event 0", "event 1"]
        assert "runtime.record_corrupt: " in result.stderr
        behind = command_after(result.stderr, "what comes behind: ")
        rest = run_program(tmp_path, *behind)
        assert texts(json_lines(rest.stdout)) == ["event 3", "event 4"]


def test_a_worker_that_is_not_there_yet_is_waited_for(tmp_path: Path):
    data = tmp_path / "data"
    hello = shlex.join(python_command("print('hello')"))
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0") as program:
        url = server_url(data, program)
        with start_program(tmp_path, "tail", url, "--worker", "late", "--from", "oldest") as tail:
            tail.wait_for_stderr("not there yet (runtime.worker_not_found")
            program.stop()
            options = ["--bind", url.removeprefix("http://"), "--worker", f"late={hello}"]
            with start_program(tmp_path, "serve", "--data-dir", str(data), *options):
                assert "late         hello\n" in tail.wait_for_stdout("hello\n")
    assert "\x1b" not in tail.stdout


def test_who_stops_reading_ends_it_quietly(tmp_path: Path):
    data = tmp_path / "data"
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0") as program:
        url = server_url(data, program)
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "yoi_runtime", "tail", url, "--from", "oldest", "--json"]
        try:
            result = subprocess.run(
                command,
                stdout=writing,
                stderr=subprocess.PIPE,
                env=environment(),
                timeout=DEADLINE_SECONDS,
                check=False,
            )
        finally:
            os.close(writing)
    assert (result.returncode, result.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (TailRequest("http://h:1", Path("/d")), "tail http://h:1 --cursor C"),
        (TailRequest("http://h:1", Path("/d"), Path("/d")), "tail http://h:1 --cursor C"),
        (TailRequest(None, Path("/a b"), Path("/a b"), worker_id="w"), "tail --data-dir '/a b' --worker w --cursor C"),
        (TailRequest(None, Path("/d"), cursor="OLD", as_json=True), "tail --cursor C --json"),
        (TailRequest(None, Path("/d"), cursor_file=Path("f")), "tail --cursor C --cursor-file f"),
    ],
)
def test_the_command_to_go_on_is_as_the_first_was_typed(request_: TailRequest, expected: str):
    assert command_to_go_on(request_, cursor="C").endswith(f" {expected}")

"""``yoi-runtime serve`` as a process."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.cli.real_program import eventually, json_lines, python_command, run_program, server_url, start_program
from tests.runtime.ingest.test_connection import texts_of
from yoi_runtime.cli.serve import _until_signal_or_failure, describe_exit
from yoi_runtime.errors import LogBrokenError
from yoi_runtime.workers.outcome import WorkerExit

PRINTS_AND_ENDS = shlex.join(python_command("print('hello')"))
PRINTS_AND_STAYS = shlex.join(python_command("import signal; print('hello'); signal.pause()"))
STAYS_AFTER_SIGTERM = shlex.join(
    python_command(
        "import signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: open('asked', 'w').close())\n"
        "open('ready', 'w').close()\n"
        "while True: signal.pause()"
    )
)


def get(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())


def log_events(data_dir: Path) -> list[dict[str, Any]]:
    """Return the envelopes in the log of a Runtime that is closed."""
    lines = [line for file in sorted((data_dir / "log").glob("*.jsonl")) for line in file.read_bytes().split(b"\n")]
    return [record["envelope"] for line in lines if line and (record := json.loads(line))["kind"] == "event"]


def event_names(envelopes: list[dict[str, Any]]) -> list[str]:
    return [envelope["payload"]["event"] for envelope in envelopes]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_serves_until_a_signal_and_leaves_a_closed_log(tmp_path: Path, number: signal.Signals):
    data = tmp_path / "data"
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", "127.0.0.1:0") as program:
        url = server_url(data, program)
        log_id = json.loads((data / "server.json").read_bytes())["log_id"]
        program.wait_for_stdout("\n")
        assert program.stdout == f"yoi-runtime: serving {url} (log {log_id}, data {data})\n"
        assert get(f"{url}/v1/workers") == {"workers": []}
        program.signal(number)
        assert program.wait() == 128 + number
        assert program.stderr == ""
    assert not (data / "server.json").exists()
    assert event_names(log_events(data)) == ["runtime_started", "runtime_stopping"]
    assert log_events(data)[-1]["payload"]["data"]["reason"] == f"signal {number.name}"


def test_it_stays_up_when_its_workers_end(tmp_path: Path):
    data = tmp_path / "data"
    options = ["--worker", f"a={PRINTS_AND_ENDS}", "--worker", f"b={PRINTS_AND_STAYS}"]
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0", *options) as program:
        url = server_url(data, program)
        program.wait_for_stderr("Worker a completed (exit code 0)")
        eventually(lambda: get(f"{url}/v1/workers/a")["worker"].get("outcome") == "completed")
        assert program.stop() == 143
        assert "Worker b cancelled (signal 15)" in program.stderr
    ends = [e["payload"]["data"] for e in log_events(data) if e["payload"]["event"] == "worker_ended"]
    assert [(end["worker_id"], end["outcome"]) for end in ends] == [("a", "completed"), ("b", "cancelled")]


def test_a_second_signal_ends_it_at_once_and_its_children_with_it(tmp_path: Path):
    data = tmp_path / "data"
    options = ["--data-dir", str(data), "--bind", ":0", "--worker", f"a={STAYS_AFTER_SIGTERM}"]
    with start_program(tmp_path, "serve", *options) as program:
        server_url(data, program)
        (child,) = eventually(lambda: children_of(program.pid))
        eventually((tmp_path / "ready").exists)
        program.signal(signal.SIGTERM)
        eventually((tmp_path / "asked").exists)
        # The child has 4 s of grace, of which we take nothing.
        assert program.is_running()
        program.signal(signal.SIGINT)
        assert program.wait() == 130
    eventually(lambda: not Path(f"/proc/{child}").exists())


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def test_a_log_that_is_held_is_told_with_the_holder(tmp_path: Path):
    data = tmp_path / "data"
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0") as program:
        server_url(data, program)
        second = run_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0")
        assert (second.returncode, second.stdout) == (3, "")
        assert second.stderr.rstrip("\n").endswith(f"held for writing by process {program.pid}")
        assert second.stderr.count("\n") == 1
        # Whoever came second took nothing away.
        assert server_url(data, program)
        assert program.stop() == 143


def test_a_port_in_use_is_an_error_and_never_shared(tmp_path: Path):
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        result = run_program(tmp_path, "serve", "--data-dir", str(data), "--bind", f"127.0.0.1:{port}")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"yoi-runtime: 127.0.0.1:{port}: Address already in use\n"
    assert not (data / "server.json").exists()


def test_a_host_that_is_not_ours_or_not_known_is_named(tmp_path: Path):
    for host, reason in (("192.0.2.1", "Cannot assign requested address"), ("no-such-host.invalid", "")):
        result = run_program(tmp_path, "serve", "--data-dir", "data", "--bind", f"{host}:38800", "--insecure-no-token")
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith(f"yoi-runtime: {host}:38800: {reason}")
        assert result.stderr.count("\n") == 1


def test_a_worker_that_cannot_start_ends_everything(tmp_path: Path):
    data = tmp_path / "data"
    options = ["--worker", f"a={PRINTS_AND_STAYS}", "--worker", "b=/no/such/program"]
    result = run_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0", *options)
    assert result.returncode == 1
    assert "Worker b: cannot start '/no/such/program'" in result.stderr
    assert not (data / "server.json").exists()
    assert event_names(log_events(data))[-1] == "runtime_stopping"


def test_a_read_only_server_shows_what_another_process_writes(tmp_path: Path):
    data = tmp_path / "data"
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0") as writer:
        written = server_url(data, writer)
        before = (data / "server.json").read_bytes()
        with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0", "--read-only") as reader:
            shown = reader.wait_for_stdout("(read-only, ")
            url = shown.split()[2]
            assert url != written
            assert get(f"{url}/v1/events/status")["log_id"] == get(f"{written}/v1/events/status")["log_id"]
            assert (data / "server.json").read_bytes() == before
            with start_program(tmp_path, "tail", url, "--from", "oldest", "--json") as tail:
                eventually(lambda: json_lines(tail.stdout))
                assert writer.stop() == 143
                eventually(lambda: event_names(json_lines(tail.stdout)) == ["runtime_started", "runtime_stopping"])
            assert reader.stop() == 143


def test_several_processes_serve_one_address_and_a_dead_one_is_replaced(tmp_path: Path):
    data = tmp_path / "data"
    options = ["--processes", "3", "--worker", f"a={PRINTS_AND_STAYS}"]
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0", *options) as program:
        url = server_url(data, program)
        servers = eventually(lambda: three_that_listen(program.pid, url))
        for _ in range(20):
            assert get(f"{url}/v1/events/status")["log_id"]
        killed = servers[-1]
        os.kill(killed, signal.SIGKILL)
        program.wait_for_stderr(f"server process {killed} ended with -9")
        again = eventually(lambda: three_that_listen(program.pid, url))
        assert killed not in again
        with start_program(tmp_path, "tail", url, "--from", "oldest", "--json") as tail:
            eventually(lambda: "text_delta" in tail.stdout or "hello" in tail.stdout)
        assert program.stop() == 143
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in again[1:]))
    assert event_names(log_events(data))[-1] == "runtime_stopping"


def three_that_listen(pid: int, url: str) -> list[int]:
    """Return the program and its two server processes, once all of them hold the socket that listens at ``url``."""
    port = int(url.rpartition(":")[2])
    inodes = {
        fields[9]
        for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
        if (fields := line.split())[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port
    }
    found = []
    for candidate in [pid, *children_of(pid)]:
        try:
            command = Path(f"/proc/{candidate}/cmdline").read_bytes()
            links = [str(link.readlink()) for link in Path(f"/proc/{candidate}/fd").iterdir()]
        except (FileNotFoundError, ProcessLookupError):
            # It ended, or closed something, while it was being looked at.
            return []
        if b"serve" in command and any(f"socket:[{inode}]" in links for inode in inodes):
            found.append(candidate)
    return found if len(found) == 3 else []


def test_the_size_of_the_cache_is_a_size(tmp_path: Path):
    result = run_program(tmp_path, "serve", "--data-dir", str(tmp_path), "--cache-bytes", "much")
    assert result.returncode == 2
    assert "'much' is not a size" in result.stderr


def test_read_only_servers_are_started_one_by_one(tmp_path: Path):
    result = run_program(tmp_path, "serve", "--data-dir", str(tmp_path), "--read-only", "--processes", "2")
    assert result.returncode == 2
    assert "one by one" in result.stderr


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux kills the children of a killed parent")
def test_server_processes_die_with_the_one_that_writes(tmp_path: Path):
    data = tmp_path / "data"
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0", "--processes", "2") as program:
        server_url(data, program)
        (other,) = eventually(lambda: children_of(program.pid))
        program.signal(signal.SIGKILL)
        program.wait()
    eventually(lambda: not Path(f"/proc/{other}").exists())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux kills the children of a killed parent")
@pytest.mark.parametrize("on", ["pipes", "a terminal"])
def test_workers_die_with_a_killed_runtime(tmp_path: Path, on: str):
    data = tmp_path / "data"
    # Deaf to what a terminal says when its other end is gone.
    code = "import os, signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nprint(os.getpid(), os.isatty(0))\nsignal.pause()"
    options = ["--bind", ":0", "--worker", f"coder={shlex.join(python_command(code))}"]
    options += ["--pty"] if on == "a terminal" else []
    with start_program(tmp_path, "serve", "--data-dir", str(data), *options) as program:
        server_url(data, program)
        (text,) = eventually(lambda: texts_of(data))
        pid, is_terminal = text.split()
        assert is_terminal == str(on == "a terminal")
        assert Path(f"/proc/{pid}").exists()
        program.signal(signal.SIGKILL)
        program.wait()
        eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_a_read_only_server_needs_a_log(tmp_path: Path):
    result = run_program(tmp_path, "serve", "--data-dir", str(tmp_path / "none"), "--bind", ":0", "--read-only")
    assert (result.returncode, result.stdout) == (1, "")
    assert "no log here" in result.stderr
    assert not (tmp_path / "none").exists()


def test_the_settings_of_the_log_arrive(tmp_path: Path):
    data = tmp_path / "data"
    many = shlex.join(python_command("for i in range(400): print('x' * 100)"))
    options = ["--segment-bytes", "16KiB", "--retain-bytes", "64K", "--retain-age", "7d", "--durability", "written"]
    options += ["--adapter", "lines", "--worker", f"a={many}"]
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0", *options) as program:
        program.wait_for_stderr("Worker a completed")
        assert program.stop() == 143
    sizes = [path.stat().st_size for path in (data / "log").glob("*.jsonl")]
    assert max(sizes) <= 16384
    assert 1 < len(sizes) < 8


def test_a_warning_says_when_others_can_connect(tmp_path: Path):
    data = tmp_path / "data"
    with start_program(
        tmp_path, "serve", "--data-dir", str(data), "--bind", "0.0.0.0:0", "--insecure-no-token"
    ) as program:
        assert "no token is asked for" in program.wait_for_stderr("\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "closed").mkdir(mode=0o500)
    result = run_program(tmp_path, "serve", "--data-dir", str(tmp_path / "closed" / "data"), "--bind", ":0")
    assert result.returncode == 1
    assert "Permission denied" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_data_directory_that_is_a_file_is_told(tmp_path: Path):
    (tmp_path / "file").touch()
    result = run_program(tmp_path, "serve", "--data-dir", str(tmp_path / "file"), "--bind", ":0")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        (WorkerExit("completed", 0, None), "Worker a completed (exit code 0)"),
        (WorkerExit("failed", 3, None), "Worker a failed (exit code 3)"),
        (WorkerExit("crashed", None, 11), "Worker a crashed (signal 11)"),
    ],
)
def test_an_end_is_described_in_a_line(ended: WorkerExit, text: str):
    assert describe_exit("a", ended) == text


async def test_a_log_out_of_service_ends_the_waiting_and_an_ended_worker_does_not():
    async def ends() -> None:
        return

    async def fails() -> None:
        raise LogBrokenError(Path("/d/log/1.jsonl"), 0, 1, "fsync failed")

    signalled = asyncio.create_task(asyncio.Event().wait())
    tasks = [asyncio.create_task(ends()), asyncio.create_task(fails())]
    with pytest.raises(LogBrokenError):
        await _until_signal_or_failure(signalled, tasks)
    signalled.cancel()


AGENT = r"""
import json, signal, sys
def emit(event, **data):
    print(json.dumps({"event": event, "data": data}), flush=True)
emit("user_message", segments=[{"kind": "text", "content": "hi"}])
for number in range(int(sys.argv[1])):
    emit("text_delta", text=f"{number} ")
    emit("text_done", text=f"{number} ")
emit("text_delta", text="unfinished")
signal.pause()
"""


def transcript(url: str, path: str = "/v1/workers/agent/transcript") -> dict[str, Any]:
    """Return a page, as soon as the Worker is known and its transcript kept."""

    def answered() -> dict[str, Any] | None:
        try:
            return get(url + path)
        except urllib.error.HTTPError as refused:
            with refused:
                return None

    found = eventually(answered)
    assert found is not None
    return found


def test_a_transcript_survives_the_kill_of_its_runtime_and_beside_it_others_answer_the_same(tmp_path: Path):
    data = tmp_path / "data"
    command = shlex.join([*python_command(AGENT), "30"])
    options = ["--data-dir", str(data), "--bind", ":0", "--transcript-items", "500"]
    with start_program(tmp_path, "serve", *options, "--worker", f"agent={command}") as program:
        url = server_url(data, program)
        eventually(lambda: transcript(url)["worker_seq"] == 63)
        before = transcript(url)
        assert [item["kind"] for item in before["items"]] == ["user_message"] + 30 * ["text"]
        assert before["in_progress"][0]["data"] == {"text": "unfinished"}
        with start_program(tmp_path, "serve", "--read-only", "--data-dir", str(data), "--bind", ":0") as beside:
            beside.wait_for_stdout("read-only")
            (address,) = re.findall(r"http://[0-9.:]+", beside.stdout)
            assert transcript(address) == before
            program.signal(signal.SIGKILL)
            program.wait()
            assert transcript(address) == before
            assert beside.stop() == 143
    with start_program(tmp_path, "serve", *options) as program:
        assert transcript(server_url(data, program)) == before
        assert program.stop() == 143
        assert program.stderr == ""


def test_without_transcripts_none_is_kept(tmp_path: Path):
    data = tmp_path / "data"
    with start_program(
        tmp_path,
        "serve",
        "--no-transcript",
        "--data-dir",
        str(data),
        "--bind",
        ":0",
        "--worker",
        f"a={PRINTS_AND_ENDS}",
    ) as program:
        url = server_url(data, program)
        program.wait_for_stderr("Worker a completed")
        eventually(lambda: get(f"{url}/v1/workers")["workers"])
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(f"{url}/v1/workers/a/transcript")
        with caught.value as answer:
            assert (answer.code, b"no transcripts" in answer.read()) == (404, True)
        assert program.stop() == 143
    assert not (data / "transcript").exists()

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.codebase.tree import ROOT
from tests.server.serving import http_get
from tests.support.deadline import wait_until
from tests.yoi_log.sample import GOLDEN, RECORDINGS, yoi_log


def test_lines_go_to_stdout_and_what_is_missing_to_stderr():
    result = yoi_log("replay", RECORDINGS / "build", "--speed", "max")
    assert (result.returncode, result.stderr) == (0, "")
    assert [json.loads(line)["envelope"]["seq"] for line in result.stdout.splitlines()] == list(range(1, 27))
    result = yoi_log("replay", GOLDEN / "corrupt_middle", "--speed", "max")
    assert result.returncode == 1
    assert "seq 11 to 11 is missing" in result.stderr


def test_into_says_what_is_kept_and_what_is_not(tmp_path: Path):
    result = yoi_log("replay", RECORDINGS / "agents", "--into", tmp_path / "again")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [
        line for path in (RECORDINGS / "agents" / "log").glob("*.jsonl") for line in path.read_bytes().split(b"\n")
    ]
    events = sum(b'"worker_seq":' in line and b'"worker_seq":null' not in line for line in lines)
    assert f"{events} events of 3 Workers" in result.stdout
    assert "not repeated: 1 runtime_started, 1 runtime_stopping" in result.stdout
    result = yoi_log("replay", RECORDINGS / "agents", "--into", tmp_path / "again")
    assert result.returncode == 3
    assert "is there already" in result.stderr
    result = yoi_log("replay", RECORDINGS / "build", "--into", tmp_path / "other", "--json")
    assert json.loads(result.stdout)["workers"] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--speed", "fast"], "10x or 0.5, or max"),
        (["--loop"], "only a served replay can loop"),
        (["--serve", "nowhere"], "nowhere"),
        (["--serve", ":0", "--into", "x"], "choose one"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], words: str):
    result = yoi_log("replay", RECORDINGS / "build", *arguments)
    assert result.returncode == 2
    assert words in result.stderr


def test_beyond_this_machine_it_is_not_served_and_says_what_there_is_instead():
    result = yoi_log("replay", RECORDINGS / "build", "--serve", "0.0.0.0:0")
    assert result.returncode == 3
    assert (
        "everybody who reaches 0.0.0.0 could read every event: listen on 127.0.0.1, and let others in by"
        in result.stderr
    )
    # Options of the server's, which a replay does not have.
    assert "token" not in result.stderr


def test_served_it_tells_its_address_and_ends_with_a_signal():
    command = [sys.executable, "-m", "yoi_log", "replay", str(RECORDINGS / "build"), "--serve", ":0", "--json"]
    process = subprocess.Popen(command, cwd=ROOT / "tools", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert http_get(told["url"], "/v1/events/status").json["log_id"] == told["log_id"]
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)
        assert (process.returncode, output, errors) == (143, b"", b"")
    finally:
        process.kill()
        process.wait()


def test_on_a_terminal_keys_steer_it_and_a_line_tells_where_it_is():
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "yoi_log",
        "replay",
        str(RECORDINGS / "agents"),
        "--serve",
        ":0",
        "--speed",
        "0.1x",
    ]
    process = subprocess.Popen(command, cwd=ROOT / "tools", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.set_blocking(ours, False)
    seen = ""

    def sees(pattern: str) -> bool:
        nonlocal seen
        try:
            seen += os.read(ours, 65536).decode("utf-8", "replace")
        except (BlockingIOError, OSError):
            pass
        return re.search(pattern, seen) is not None

    try:
        wait_until(lambda: sees("▶.*0.1x"), 30)
        os.write(ours, b" ")
        wait_until(lambda: sees("⏸"))
        os.write(ours, b"\x1b[A")
        wait_until(lambda: sees("0.2x"))
        os.write(ours, b" \x1b[C")
        wait_until(lambda: sees("■ 00:0[34] / 00:0[34]"))
        process.send_signal(signal.SIGINT)
        wait_until(lambda: sees("$^") or process.poll() is not None, 20)
        assert process.returncode == 130
    finally:
        process.kill()
        process.wait()
        os.close(ours)

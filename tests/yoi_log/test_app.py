from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.codebase.tree import ROOT
from tests.yoi_log.sample import GOLDEN, make_log, yoi_log
from yoi_runtime.version import VERSION


def test_a_sound_log_exits_with_0_and_a_damaged_one_with_1(tmp_path: Path):
    result = yoi_log("inspect", make_log(tmp_path / "data"))
    assert (result.returncode, result.stderr) == (0, "")
    assert "coder" in result.stdout
    assert yoi_log("inspect", GOLDEN / "corrupt_middle").returncode == 1


def test_json_is_one_object_with_every_fact(tmp_path: Path):
    data = make_log(tmp_path / "data")
    result = yoi_log("inspect", "--json", data)
    found = json.loads(result.stdout)
    assert found["events"] == found["end"]["seq"]
    assert [worker["worker_id"] for worker in found["workers"]] == ["coder", "helper", ""]
    token = found["latest_cursor"]
    answer = json.loads(yoi_log("cursor", token, "--dir", data, "--json").stdout)
    assert (answer["answer"], answer["events_behind"]) == ("resumes", 0)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["inspect", "nowhere"], 3, "yoi-log: nowhere: no log here"),
        (["cursor", "wo1"], 2, "not a cursor token"),
        (["inspect"], 2, "Missing argument"),
        (["inspekt", "x"], 2, "No such command"),
    ],
)
def test_what_cannot_be_done_is_said_on_stderr(arguments: list[str], code: int, words: str):
    result = yoi_log(*arguments)
    assert result.returncode == code
    assert words in result.stderr
    assert result.stdout == ""


def test_a_foreign_cursor_exits_with_1(tmp_path: Path):
    one, other = make_log(tmp_path / "one"), make_log(tmp_path / "other")
    token = json.loads(yoi_log("inspect", "--json", one).stdout)["latest_cursor"]
    result = yoi_log("cursor", token, "--dir", other)
    assert result.returncode == 1
    assert "foreign" in result.stdout


def test_verify_repair_and_fork_as_a_person_runs_them(tmp_path: Path):
    damaged, repaired, fork = GOLDEN / "corrupt_middle", tmp_path / "repaired", tmp_path / "fork"
    assert yoi_log("verify", damaged).returncode == 1
    assert json.loads(yoi_log("verify", "--json", damaged).stdout)["defects"][0]["kind"] == "record_damaged"
    assert yoi_log("fork", damaged, fork).returncode == 3
    result = yoi_log("repair", damaged, "--out", repaired)
    assert (result.returncode, result.stderr) == (1, "")
    assert "1 event could not be saved" in result.stdout
    result = yoi_log("verify", repaired)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(yoi_log("fork", repaired, fork, "--json").stdout)["events"] == 26
    assert yoi_log("verify", fork).returncode == 0
    result = yoi_log("repair", damaged, "--out", repaired)
    assert (result.returncode, result.stdout) == (3, "")
    assert "is there already" in result.stderr


def test_ctrl_c_ends_following_with_130(tmp_path: Path):
    # Where the tests run in the background of a script, SIGINT is ignored, and children would inherit that.
    program_with_sigint = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    command = [
        *(sys.executable, "-c", program_with_sigint),
        *("-m", "yoi_log", "cat", str(GOLDEN / "clean"), "--follow", "--format", "payloads"),
    ]
    with subprocess.Popen(
        command,
        cwd=ROOT / "tools",
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        lines = [program.stdout.readline() for _ in range(15)]
        assert all(json.loads(line) for line in lines)
        program.send_signal(signal.SIGINT)
        assert program.wait(30) == 130


def test_the_version_is_that_of_the_distribution():
    assert yoi_log("--version").stdout == f"yoi-log {VERSION}\n"


def test_a_narrow_terminal_loses_no_digit_and_no_end_of_an_id(tmp_path: Path):
    data = make_log(tmp_path / "data")
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 40))
    command = [sys.executable, "-m", "yoi_log", "inspect", "--quick", str(data)]
    process = subprocess.Popen(command, cwd=ROOT / "tools", stdout=terminal, stderr=subprocess.DEVNULL)
    os.close(terminal)
    shown = bytearray()
    with contextlib.suppress(OSError):  # at the end of the other side
        while piece := os.read(controller, 65536):
            shown += piece
    os.close(controller)
    assert process.wait(60) == 0
    assert b"\xe2\x80\xa6" not in shown
    header = json.loads(min((data / "log").glob("*.jsonl")).read_bytes().split(b"\n")[0])
    assert header["nonce"].encode() in shown

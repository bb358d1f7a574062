"""``yoi-runtime conformance`` as a program: what it prints, and how it ends."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.real_program import run_program, start_program
from tests.codebase.tree import ROOT
from yoi_runtime.conformance import load_cases

EXAMPLE = [sys.executable, str(ROOT / "docs" / "examples" / "backend.py"), "{url}", "{worker}", "{mode}", "{state}"]
DEAF = [sys.executable, "-c", "raise SystemExit('not today')"]


def test_a_client_that_conforms_ends_it_with_0(tmp_path: Path):
    names = ["torn_frame", "unknown_kind", "end_of_the_worker"]
    chosen = [word for name in names for word in ("--case", name)]
    result = run_program(tmp_path, "conformance", "--fast", *chosen, "--", *EXAMPLE)
    assert result.returncode == 0, result.stdout + result.stderr
    shown = result.stdout.splitlines()
    assert [line.split()[:2] for line in shown if line.split()[:1] and line.split()[0] in names] == [
        [name, "passed"] for name in names
    ]
    assert shown[-1] == "mode v1: 9 passed, 0 warned, 0 failed, 0 skipped"
    assert "torn_frame: passed" in result.stderr


def test_a_client_that_does_not_ends_it_with_5_and_is_told_why(tmp_path: Path):
    result = run_program(tmp_path, "conformance", "--case", "torn_frame", "--", *DEAF)
    assert result.returncode == 5
    assert "expected a request for the stream; seen: the client ended with exit code 1" in result.stdout
    assert "docs/protocol.md#event" in result.stdout
    assert "client's stderr: not today" in result.stdout


def test_the_report_as_json_is_all_that_stands_on_stdout(tmp_path: Path):
    result = run_program(tmp_path, "conformance", "--json", "--mode", "v0", "--case", "torn_frame", "--", *EXAMPLE)
    report = json.loads(result.stdout)
    assert (result.returncode, report["mode"], report["conforms"]) == (0, "v0", True)
    assert report["results"][0]["name"] == "torn_frame"


def test_strict_makes_a_warning_a_failure(tmp_path: Path):
    """A client without memory hands over again what comes again."""
    source = Path(EXAMPLE[1]).read_text("utf-8")
    client = tmp_path / "forgetful.py"
    client.write_text(
        source.replace("elif event_id not in self.seen:", "else:").replace("not in (None, number)", "is 0")
    )
    command = [sys.executable, "-W", "ignore", str(client), *EXAMPLE[2:]]
    arguments = ["conformance", "--fast", "--case", "duplicate_delivery"]
    assert run_program(tmp_path, *arguments, "--", *command).returncode == 0
    assert run_program(tmp_path, *arguments, "--strict", "--", *command).returncode == 5


def test_the_cases_are_listed(tmp_path: Path):
    listed = run_program(tmp_path, "conformance", "--list").stdout
    assert all(case.name in listed for case in load_cases() if "v1" in case.modes)
    assert "record_corrupt_v0" not in listed


def test_own_cases_are_played(tmp_path: Path):
    own = tmp_path / "own.toml"
    own.write_text(
        '[[case]]\nname = "own"\nsays = "Mine."\nsection = "event"\n'
        '[[case.connection]]\nplay = [{ do = "start" }, { do = "events", first = 1, last = 1 }]\n'
    )
    result = run_program(tmp_path, "conformance", "--cases", str(own), "--case", "own", "--", *EXAMPLE)
    assert (result.returncode, result.stdout.splitlines()[1].split()[:2]) == (0, ["own", "passed"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--case", "nothing"], 1, "nothing: there is no such case; --list shows those there are"),
        (["--case", "batch", "--mode", "v0"], 1, "batch: this case is not of mode v0"),
        (["--deliveries", "out.txt"], 1, "needs {case} in it"),
        (["--cases", "none.toml"], 1, "none.toml: No such file or directory"),
        (["--case", "torn_frame", "--", "./none"], 1, "./none: No such file or directory"),
        (["--case", "stores_after_handing_over", "--", "true"], 1, "no case was played"),
        (["--mode", "v2"], 2, "neither v0 nor v1"),
        (["--jobs", "0"], 2, "--jobs"),
        (["--deliveries", "x", "--", "true"], 2, "reports on its stdout"),
    ],
)
def test_what_cannot_be_played_is_one_sentence(tmp_path: Path, arguments: list[str], code: int, said: str):
    result = run_program(tmp_path, "conformance", *arguments)
    assert result.returncode == code, result.stderr
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_without_a_command_it_says_where_to_come_and_ends_at_a_signal(tmp_path: Path):
    with start_program(tmp_path, "conformance", "--case", "torn_frame", "--case", "batch") as program:
        program.wait_for_stderr("batch: http://127.0.0.1:")
        assert "point a new client at each URL" in program.stderr
        program.signal(signal.SIGTERM)
        assert program.wait() == 143

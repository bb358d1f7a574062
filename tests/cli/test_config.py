"""``yoi-runtime config``, as the program that a person starts, and ``serve`` with a file."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.cli.real_program import (
    DEADLINE_SECONDS,
    eventually,
    json_lines,
    python_command,
    run_program,
    server_url,
    start_program,
)
from tests.codebase.tree import ROOT
from yoi_runtime.cli.app import app
from yoi_runtime.cli.config import check_configuration
from yoi_runtime.cli.configured_command import ConfiguredCommand

MANUAL = (ROOT / "docs" / "configuration.md").read_text("utf-8")
FILES = re.findall(r"^```toml\n(.*?)^```$", MANUAL + (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)

# Counts its runs in a file; fails twice, then goes on.
FAILS_TWICE = """
import pathlib, signal, sys
file = pathlib.Path("count")
runs = int(file.read_text()) + 1 if file.exists() else 1
file.write_text(str(runs))
print("run", runs, flush=True)
if runs <= 2: sys.exit(3)
signal.pause()
"""


def toml_text(text: str) -> str:
    return "'''" + text + "'''"


def test_the_files_of_the_manual_are_good_and_show_most_keys(tmp_path: Path):
    assert len(FILES) == 2
    for text in FILES:
        (tmp_path / "yoi-runtime.toml").write_text(text)
        result = run_program(tmp_path, "config", "check", "yoi-runtime.toml")
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    keys = {key for table in tomllib.loads(FILES[0])["workers"].values() for key in table}
    assert {"cwd", "environment", "restart_limit", "stop_grace", "pty_size", "inherit_environment"} <= keys


def test_the_examples_in_the_help_work(tmp_path: Path):
    (tmp_path / "yoi-runtime.toml").touch()
    for command in ("show", "check"):
        words = run_program(tmp_path, "config", command, "--help").stdout.splitlines()
        examples = [line.strip() for line in words if line.strip().startswith("yoi-runtime ")]
        assert examples
        for example in examples:
            result = run_program(tmp_path, *shlex.split(example)[1:])
            assert (result.returncode, result.stderr) == (0, ""), example


def test_show_tells_each_value_and_its_place_and_no_secret(tmp_path: Path):
    (tmp_path / "yoi-runtime.toml").write_text(
        'bind = ":1"\nrestart = "always"\n[workers.coder]\ncommand = "run me"\nenvironment = { API_KEY = "s3cret" }\n'
        '[workers.other]\ncommand = "x"\n'
    )
    arguments = ["config", "show", "--retain-age", "2d", "--worker", "other=echo 'two words'"]
    result = run_program(tmp_path, *arguments, YOI_RUNTIME_RETAIN_BYTES="1MiB")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for line in (
        "# configuration file: yoi-runtime.toml",
        "bind :1 # file yoi-runtime.toml:1",
        "retain_bytes 1MiB # environment YOI_RUNTIME_RETAIN_BYTES",
        "retain_age 2d # flag --retain-age",
        "segment_bytes 16MiB # default",
        "[workers.coder] # yoi-runtime.toml:3",
        "command run me",
        "restart always",
        "[workers.other] # flag --worker",
        "command echo 'two words'",
    ):
        assert line in lines, (line, result.stdout)
    assert "API_KEY" in result.stdout
    assert "s3cret" not in result.stdout
    nothing = run_program(tmp_path, "config", "show", "--config", "/dev/null").stdout
    assert nothing.startswith("# configuration file: /dev/null\n")


def test_check_looks_at_the_file_and_not_at_the_environment(tmp_path: Path):
    file = tmp_path / "own.toml"
    file.write_text('bind = "here"\nretain_bytes = "1KiB"\n')
    result = run_program(tmp_path, "config", "check", "own.toml", YOI_RUNTIME_BIND=":1")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("yoi-runtime: own.toml:1: bind: 'here' has no port;")
    file.write_text("")
    assert run_program(tmp_path, "config", "check", "own.toml", YOI_RUNTIME_BIND="here").returncode == 0
    file.write_text("x = 1\ny = 2\n")
    result = run_program(tmp_path, "config", "check", "own.toml")
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 2)
    assert run_program(tmp_path, "config", "check", "none.toml").returncode == 2


def test_check_says_nothing_about_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "own.toml").write_text('[workers.a]\ncommand = "x"\n')
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    assert isinstance(command, ConfiguredCommand)
    assert check_configuration(command, tmp_path / "own.toml") == 0
    assert capsys.readouterr() == ("", "")


def test_a_wrong_file_keeps_serve_from_starting(tmp_path: Path):
    (tmp_path / "yoi-runtime.toml").write_text('retain_byte = "1KiB"\ndata_dir = "data"\n')
    result = run_program(tmp_path, "serve")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "yoi-runtime: yoi-runtime.toml:1: retain_byte: unknown key; did you mean retain_bytes?\n"
    (tmp_path / "yoi-runtime.toml").write_text('retain_bytes = "none"\ndata_dir = "data"\n')
    result = run_program(tmp_path, "serve")
    assert result.returncode == 2
    assert "yoi-runtime.toml:1: retain_bytes: 'none' is not a size" in result.stderr
    assert not (tmp_path / "data").exists()


def test_workers_of_a_file_run_and_run_again_and_tail_finds_them(tmp_path: Path):
    (tmp_path / "work").mkdir()
    words = ", ".join(toml_text(word) for word in python_command(FAILS_TWICE))
    (tmp_path / "yoi-runtime.toml").write_text(
        f'data_dir = "data"\nbind = ":0"\n[workers.coder]\ncommand = [{words}]\ncwd = "work"\npty = true\n'
        'restart = "on-failure"\nrestart_delay = "0.01s"\nrestart_max_delay = "0.02s"\n'
    )
    with start_program(tmp_path, "serve") as program:
        url = server_url(tmp_path / "data", program)
        assert url in program.wait_for_stdout("serving")
        eventually(lambda: program.stderr.count("restart") == 2)
        assert program.stderr.startswith("yoi-runtime: configuration yoi-runtime.toml\n")
        with start_program(tmp_path, "tail", "--json", "--from", "oldest", "--worker", "coder") as tail:
            eventually(lambda: "run 3" in tail.stdout)
            texts = [e["payload"]["data"].get("text") for e in json_lines(tail.stdout)]
            assert [text for text in texts if text] == ["run 1", "run 2", "run 3"]
            numbers = [envelope["worker_seq"] for envelope in json_lines(tail.stdout)]
            assert numbers == list(range(1, len(numbers) + 1))
        assert program.stop() == 143
    assert (tmp_path / "work" / "count").read_text() == "3"


def test_between_two_runs_http_says_that_it_comes_back_and_a_stop_does_not_wait(tmp_path: Path):
    words = ", ".join(toml_text(word) for word in python_command("raise SystemExit(3)"))
    (tmp_path / "yoi-runtime.toml").write_text(
        f'data_dir = "data"\nbind = ":0"\n[workers.coder]\ncommand = [{words}]\n'
        'restart = "on-failure"\nrestart_delay = "1h"\nrestart_max_delay = "1h"\n'
    )

    def worker(url: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{url}/v1/workers/coder", timeout=DEADLINE_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)["worker"]
            return found

    with start_program(tmp_path, "serve") as program:
        url = server_url(tmp_path / "data", program)
        program.wait_for_stderr("restart 1 in")
        eventually(lambda: worker(url).get("restart_pending"))
        found = worker(url)
        assert (found["status"], found["outcome"], found["exit_code"], found["run"]) == ("idle", "failed", 3, 1)
        with start_program(tmp_path, "tail", "--json", "--from", "oldest", "--worker", "coder") as tail:
            eventually(lambda: "idle" in tail.stdout)
            assert tail.is_running(), "the stream has not ended"
            assert program.stop() == 143
    envelopes = [
        json.loads(line) for path in tmp_path.glob("data/log/*.jsonl") for line in path.read_bytes().split(b"\n")[1:-1]
    ]
    ends = [e["envelope"]["payload"]["data"] for e in envelopes if e["envelope"]["payload"]["event"] == "worker_ended"]
    assert [(end["outcome"], end.get("restart_pending")) for end in ends] == [("failed", True), ("cancelled", None)]

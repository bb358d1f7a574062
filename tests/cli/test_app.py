"""The command line as such: help, version, wrong usage. What the commands do is tested with them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from tests.cli.real_program import run_program
from yoi_runtime.cli.app import app
from yoi_runtime.version import VERSION

COMMANDS = ["serve", "run", "tail", "conformance", "demo"]


def help_of(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--help"], prog_name="yoi-runtime", terminal_width=100)
    assert result.exit_code == 0
    return result.output


def usage_error(*arguments: str) -> str:
    """Return what is said of wrong usage, which must be that and nothing else."""
    result = CliRunner().invoke(app, list(arguments), prog_name="yoi-runtime", terminal_width=100)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert "Usage: yoi-runtime" in result.output
    return result.output


def test_the_program_names_its_commands_and_where_to_begin():
    shown = help_of()
    assert all(re.search(rf"^  {command} +\S", shown, re.MULTILINE) for command in COMMANDS)
    assert "yoi-runtime demo" in shown
    assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_has_its_exit_codes(command: str):
    assert "Exit codes: " in help_of(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_does_and_its_default(command: str):
    for option in typer.main.get_command(app).commands[command].params:  # type: ignore[attr-defined]
        if option.param_type_name == "argument" or option.name == "help":
            continue
        # Behind the examples, which have options too.
        shown = " ".join(help_of(command).split()).partition(" Options: ")[2]
        behind = f" {shown}".partition(f" {option.opts[0]} ")[2]
        assert behind, option.name
        takes_value = not option.is_flag and option.name not in ("worker", "cursor")
        assert not takes_value or "default: " in behind[:300], option.name


def examples() -> list[str]:
    texts = [help_of(), *(help_of(command) for command in COMMANDS)]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [line for line in dict.fromkeys(lines) if line.startswith("yoi-runtime ")]


def test_there_are_examples():
    assert len(examples()) >= 12


@pytest.mark.parametrize("example", examples())
def test_every_example_is_understood(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yoi-runtime.toml").touch()
    _, command, *arguments = shlex.split(example.partition(" | ")[0])
    parsed = typer.main.get_command(app).commands[command].make_context(command, arguments)  # type: ignore[attr-defined]
    for text in parsed.params.get("worker") or [] if command == "serve" else []:
        assert "=" in text


@pytest.mark.parametrize("arguments", [["--version"], ["serve", "--help"], ["-h"]])
def test_asking_is_no_error(tmp_path: Path, arguments: list[str]):
    result = run_program(tmp_path, *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    if arguments == ["--version"]:
        assert result.stdout == f"yoi-runtime {VERSION}\n"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["serve", "extra"], "extra"),
        (["serve", "--bogus"], "No such option"),
        (["serve", "--bind", "38800"], "--bind: '38800' has no port"),
        (["serve", "--worker", "a"], "--worker: 'a' is not ID=COMMAND"),
        (["serve", "--worker", "a=x", "--worker", "a=y"], "the Worker id a is given twice"),
        (["serve", "--adapter", "xml"], "--adapter: adapter 'xml' is none of auto, lines, jsonl, claude-code"),
        (["serve", "--segment-bytes", "1K"], "--segment-bytes: "),
        (["serve", "--segment-bytes", "off"], "--segment-bytes: 'off' is not a size"),
        (["serve", "--retain-bytes", "much"], "--retain-bytes: 'much' is not a size"),
        (["serve", "--retain-age", "90"], "--retain-age: '90' is not a duration"),
        (["serve", "--durability", "no"], "--durability: 'no' is none of synced, written"),
        (["serve", "--transcript-items", "0"], "--transcript-items: '0' is not a number of items"),
        (["serve", "--transcript-bytes", "1K"], "--transcript-bytes: "),
        (["serve", "--read-only", "--transcript-items", "5"], "--transcript-items: another process writes the log"),
        (["serve", "--read-only", "--worker", "a=x"], "--worker: another process writes the log"),
        (["serve", "--read-only", "--retain-age", "1h"], "--retain-age: another process writes the log"),
        (["serve", "--read-only", "--segment-bytes", "1M"], "--segment-bytes: another process writes the log"),
        (["serve", "--read-only", "--restart", "always"], "--restart: another process writes the log"),
        (["serve", "--read-only", "--pty"], "--pty: another process writes the log"),
        (["serve", "--token-file", "t", "--insecure-no-token"], "give one of the two"),
        (["serve", "--tls-cert", "c.pem"], "TLS needs --tls-cert and --tls-key"),
        (["run", "--tls-key", "k.pem", "--", "true"], "TLS needs --tls-cert and --tls-key"),
        (["serve", "--allow-host", "http://a"], "--allow-host: 'http://a' is not the name of a host"),
        (["serve", "--max-subscribers", "0"], "--max-subscribers"),
        (["serve", "--header-timeout", "10"], "--header-timeout: '10' is not a duration"),
        (["serve", "--max-header-bytes", "100"], "--max-header-bytes: header_bytes is 100, and at least 1,024"),
        (["serve", "--max-pings-per-second", "0"], "--max-pings-per-second"),
        (["serve", "--max-inbound-bytes-per-second", "99"], "99, and at least 1,024"),
        (["run"], "Missing argument 'COMMAND'"),
        (["run", "--worker-id", "a b", "--", "true"], "--worker-id: Worker id 'a b'"),
        (["run", "--linger", "long", "--", "true"], "--linger: 'long' is not a duration"),
        (["tail", "--cursor", "x", "--from", "now"], "give one of the two"),
        (["tail", "--from", "then"], "--from: 'then' is none of oldest, now"),
        (["tail", "--worker", "a/b"], "--worker: Worker id 'a/b'"),
        (["tail", "ftp://host"], "URL: the URL must begin with"),
        (["demo", "extra"], "extra"),
    ],
)
def test_wrong_usage_is_told_and_is_exit_code_two(arguments: list[str], part: str):
    assert part in " ".join(usage_error(*arguments).split())


def test_without_a_command_the_help_is_shown(tmp_path: Path):
    result = run_program(tmp_path)
    assert result.returncode == 2
    assert "Begin here:" in result.stdout + result.stderr


def test_a_stream_that_cannot_take_a_letter_gets_an_escape(tmp_path: Path):
    result = run_program(tmp_path, "run", "--bind", ":0", "--data-dir", "dät", "--", "true", PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert "d\\xe4t" in result.stderr

"""``yoi-runtime token`` as it is typed, and with it ``serve`` and ``tail``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from tests.cli.real_program import python_command, run_program, server_url, start_program
from yoi_runtime.cli.app import app
from yoi_runtime.cli.tail import TailRequest, command_to_go_on

TOKEN: Any = typer.main.get_command(app).commands["token"]  # type: ignore[attr-defined]
STAYS = shlex.join(python_command("import signal; print('hello', flush=True); signal.pause()"))


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["token", *arguments], prog_name="yoi-runtime", terminal_width=100)


@pytest.mark.parametrize("command", sorted(TOKEN.commands))
def test_every_command_has_examples_that_are_understood_and_says_how_it_ends(command: str):
    shown = invoke(command, "--help").output
    assert "Exit codes: " in shown
    lines = [line.strip() for line in shown.splitlines() if line.strip().startswith("yoi-runtime token ")]
    assert lines
    for line in lines:
        _, _, name, *arguments = shlex.split(line.partition(" > ")[0])
        TOKEN.commands[name].make_context(name, arguments)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["create"], "Missing option '--token-file'"),
        (["create", "--token-file", "t.json", "--worker", "a/b"], "Worker id 'a/b'"),
        (["create", "--token-file", "t.json", "--expires-in", "soon"], "'soon' is not a duration"),
        (["create", "--token-file", "t.json", "--expires-in", "9999w"], "hundred years"),
        (["create", "--token-file", "t.json", "--label", "x" * 65], "at most 64 characters"),
        (["revoke", "--token-file", "t.json"], "Missing argument"),
        (["destroy"], "No such command"),
    ],
)
def test_wrong_usage_is_told_and_is_exit_code_two(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert (result.exit_code, words in " ".join(result.output.split())) == (2, True), result.output
    assert not (tmp_path / "t.json").exists()


def test_what_cannot_be_done_is_one_sentence_and_exit_code_one(tmp_path: Path):
    for arguments in (["list"], ["revoke", "x"]):
        result = invoke(*arguments, "--token-file", str(tmp_path / "none.json"))
        assert result.exit_code == 1
        assert "cannot be read: No such file" in result.output
        assert "Traceback" not in result.output


def test_an_open_address_without_a_token_is_refused_unless_it_is_said(tmp_path: Path):
    refused = run_program(tmp_path, "serve", "--data-dir", "data", "--bind", "0.0.0.0:0")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    assert "--token-file" in refused.stderr
    assert not (tmp_path / "data").exists()
    for command in (["run", "--bind", "0.0.0.0:0", "--", "true"], ["serve", "--read-only", "--bind", "0.0.0.0:0"]):
        assert "--insecure-no-token" in run_program(tmp_path, *command, YOI_DATA_DIR="data").stderr
    said = ["serve", "--data-dir", "data", "--bind", "0.0.0.0:0", "--insecure-no-token"]
    with start_program(tmp_path, *said) as program:
        server_url(tmp_path / "data", program)
        program.wait_for_stderr("no token is asked for")
        assert program.stop() == 143


def test_from_a_token_to_a_stream_and_its_end_with_two_server_processes(tmp_path: Path):
    made = run_program(tmp_path, "token", "create", "--token-file", "t.json", "--label", "me", "--output", "me.token")
    assert made.returncode == 0, made.stderr
    options = ["--data-dir", "data", "--bind", "127.0.0.1:0", "--token-file", "t.json", "--processes", "2"]
    with start_program(tmp_path, "serve", *options, "--worker", f"a={STAYS}") as program:
        url = server_url(tmp_path / "data", program)
        bare = run_program(tmp_path, "tail", url)
        assert bare.returncode == 1
        assert "runtime.unauthenticated" in bare.stderr
        follow = ["tail", url, "--json", "--from", "oldest"]
        variable = (tmp_path / "me.token").read_text()
        # Enough of them that both processes have some; each has to end its own.
        with (
            start_program(tmp_path, *follow, "--token-file", "me.token") as one,
            start_program(tmp_path, *follow, YOI_TOKEN=variable) as two,
        ):
            for tail in (one, two):
                tail.wait_for_stdout("hello")
            assert run_program(tmp_path, "token", "revoke", "--token-file", "t.json", "me").returncode == 0
            for tail in (one, two):
                assert tail.wait() == 1
                assert "expired or was revoked" in tail.stderr
                assert variable.strip() not in tail.stderr + tail.stdout
        assert program.is_running()
        assert program.stop() == 143
        assert variable.strip() not in program.stderr + program.stdout
    assert all(variable.strip().encode() not in path.read_bytes() for path in (tmp_path / "data").rglob("*.json*"))


def test_a_list_in_the_place_of_a_token_is_told(tmp_path: Path):
    run_program(tmp_path, "token", "create", "--token-file", "t.json", "--output", "me.token")
    result = run_program(tmp_path, "tail", "http://127.0.0.1:9", "--token-file", "t.json")
    assert result.returncode == 1
    assert "list of tokens" in result.stderr
    result = run_program(tmp_path, "serve", "--data-dir", "data", "--bind", ":0", "--token-file", "me.token")
    assert result.returncode == 1
    assert "is a token itself" in result.stderr
    assert json.loads((tmp_path / "t.json").read_text())["version"] == 1


def test_the_command_that_goes_on_names_the_files_and_no_secret():
    request = TailRequest("https://h", Path("data"), token_file=Path("my token"), tls_ca=Path("ca.pem"))
    assert command_to_go_on(request, cursor="wo1").endswith("--cursor wo1 --token-file 'my token' --tls-ca ca.pem")

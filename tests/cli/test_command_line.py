"""What all commands share: where a bad value came from, the file that is read first, and how a command ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import cast

import pytest
import typer

from tests.cli.real_program import DEADLINE_SECONDS, environment, run_program
from yoi_runtime.cli import app as program
from yoi_runtime.cli import operator_log
from yoi_runtime.cli.command_line import chosen_data_dir, finish, read_option
from yoi_runtime.cli.options import parse_size
from yoi_runtime.errors import IngestLostError, LogHeldError, YoiError


def serve_context(*arguments: str) -> typer.Context:
    serve = typer.main.get_command(program.app).commands["serve"]  # type: ignore[attr-defined]
    return cast("typer.Context", serve.make_context("serve", list(arguments)))


@pytest.fixture(autouse=True)
def nothing_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "YOI_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("place", ["--retain-bytes", "YOI_RUNTIME_RETAIN_BYTES", "yoi-runtime.toml:2: retain_bytes"])
def test_a_value_that_makes_no_sense_is_told_with_the_place_that_said_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    arguments = []
    if place.startswith("--"):
        arguments = [place, "much"]
    elif place.startswith("YOI"):
        monkeypatch.setenv(place, "much")
    else:
        (tmp_path / "yoi-runtime.toml").write_text('bind = ":1"\nretain_bytes = "much"\n')
    context = serve_context(*arguments)
    with pytest.raises(typer.BadParameter, match="'much' is not a size") as told:
        read_option(context, "--retain-bytes", parse_size, context.params["retain_bytes"])
    assert told.value.param_hint == place
    assert read_option(context, "--retain-bytes", parse_size, "2KiB") == 2048


def test_all_that_is_wrong_with_a_file_is_told_before_anything_is_made(tmp_path: Path):
    (tmp_path / "yoi-runtime.toml").write_text('data_dir = "data"\nretain = 1\nprocesses = "two"\n')
    for command in (["serve"], ["run", "--", "touch", "ran"], ["tail"], ["emit", "--worker", "a"]):
        result = run_program(tmp_path, *command, HOME=str(tmp_path))
        assert (result.returncode, result.stdout) == (2, "")
        unknown, wrong = result.stderr.splitlines()
        assert unknown.startswith("yoi-runtime: yoi-runtime.toml:2: retain: ")
        assert wrong.startswith("yoi-runtime: yoi-runtime.toml:3: processes: ")
    assert [path.name for path in tmp_path.iterdir()] == ["yoi-runtime.toml"]


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path):
    with pytest.raises(typer.BadParameter, match="no such\\.toml: No such file") as told:
        serve_context("--config", "no such.toml")
    assert told.value.param_hint == "--config"


@pytest.fixture
def without_a_log() -> Iterator[None]:
    operator_log.set_up()
    yield
    operator_log.set_up()


@pytest.mark.usefixtures("without_a_log")
def test_the_data_directory_is_absolute_and_called_by_its_options_name_in_the_log(tmp_path: Path):
    assert chosen_data_dir(Path("data")) == tmp_path / "data"
    assert chosen_data_dir(None) == tmp_path / ".local" / "share" / "yoi-runtime"


async def _returns() -> int:
    return 7


async def _raises(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        (_returns(), 7, ""),
        (_raises(KeyboardInterrupt()), 130, ""),
        (_raises(asyncio.CancelledError()), None, ""),
        (_raises(YoiError("two\nlines \x1b[31m")), 1, "yoi-runtime: two"),
        (_raises(LogHeldError(Path("/d"), 5)), 3, "yoi-runtime: /d: the log is held for writing by process 5\n"),
        (
            _raises(IngestLostError("gone", 1.0, 2)),
            6,
            "yoi-runtime: gone (tried for 1 s; 2 lines were not acknowledged)\n",
        ),
        (_raises(PermissionError(13, "Permission denied", "/d")), 1, "yoi-runtime: /d: Permission denied\n"),
        (_raises(ZeroDivisionError()), None, ""),
    ],
)
def test_a_command_ends_with_its_code_and_what_was_to_be_expected_in_one_line(
    command: Coroutine[object, object, int], code: int | None, told: str, capsys: pytest.CaptureFixture[str]
):
    if code is None:
        # A bug of ours is not made to look like an everyday affair.
        with pytest.raises((ZeroDivisionError, asyncio.CancelledError)):
            finish(command)
        return
    with pytest.raises(typer.Exit) as ended:
        finish(command)
    assert ended.value.exit_code == code
    said = capsys.readouterr().err
    assert said.startswith(told)
    assert said.count("\n") == (1 if told else 0)
    assert "\x1b" not in said


def test_who_prints_to_nobody_ends_as_by_the_signal_and_without_a_word(tmp_path: Path):
    code = (
        "import sys, typer\n"
        "from yoi_runtime.cli.command_line import finish\n"
        "async def says():\n"
        "    while True: print('x' * 1000)\n"
        "try: finish(says())\n"
        "except typer.Exit as ended: sys.exit(ended.exit_code)\n"
    )
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        stdout=write_end,
        stderr=subprocess.PIPE,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    os.close(write_end)
    assert (result.returncode, result.stderr) == (128 + signal.SIGPIPE, b"")

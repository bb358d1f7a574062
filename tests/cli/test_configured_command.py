"""Where a value comes from: flag over environment over file over default, in the program's own commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from yoi_runtime.cli.app import app
from yoi_runtime.cli.config import Look
from yoi_runtime.cli.configured_command import ConfiguredCommand, configuration_of, origin_of, source_of

SETTINGS = ConfiguredCommand.settings


@pytest.fixture
def parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Read a command line in an empty directory, with these variables, and a file if one is given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "YOI_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)

    def parse(command: str, *arguments: str, file: str | None = None, **variables: str) -> Any:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        if file is not None:
            (tmp_path / "yoi-runtime.toml").write_text(file)
        found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
        return found.make_context(command, list(arguments), obj=Look())

    return parse


def test_flags_count_over_the_environment_that_over_the_file_and_that_over_defaults(parsed: Callable[..., Any]):
    file = 'retain_bytes = "1KiB"\nretain_age = "1d"\nbind = ":1"\n'
    context = parsed(
        *("serve", "--retain-bytes", "3KiB"),
        file=file,
        YOI_RUNTIME_RETAIN_BYTES="2KiB",
        YOI_RUNTIME_RETAIN_AGE="2d",
    )
    names = ["retain_bytes", "retain_age", "bind", "durability"]
    assert [context.params[name] for name in names] == ["3KiB", "2d", ":1", None]
    assert [source_of(context, name) for name in names] == ["flag", "environment", "file", "default"]
    assert [origin_of(context, SETTINGS[name].option) for name in names] == [
        "--retain-bytes",
        "YOI_RUNTIME_RETAIN_AGE",
        "yoi-runtime.toml:3: bind",
        "--durability",
    ]
    assert origin_of(context, "--linger") == "--linger"


@pytest.mark.parametrize("key", SETTINGS)
def test_each_setting_arrives_from_the_file_and_from_the_environment(parsed: Callable[..., Any], key: str):
    setting = SETTINGS[key]
    in_file, in_words = {
        "flag": ("true", "true"),
        "number": (str(int(setting.least or 0) + 1), str(int(setting.least or 0) + 1)),
        "path": ('"/x"', "/x"),
        "text": ('"x"', "x"),
        "texts": ('["x"]', "x"),
    }[setting.kind]
    context = parsed("serve", file=f"{key} = {in_file}\n")
    assert source_of(context, setting.parameter) == "file"
    from_file = context.params[setting.parameter]
    # Some versions of Typer keep tuples and texts here, and make lists and paths of them for the function.
    assert str(from_file).lower().strip("[](),'") == in_words
    context = parsed("serve", **{setting.variables[0]: in_words})
    assert source_of(context, setting.parameter) == "environment"
    assert context.params[setting.parameter] == from_file


def test_other_commands_take_the_settings_that_they_have(parsed: Callable[..., Any]):
    file = 'data_dir = "d"\nprocesses = 3\npty = true\n'
    run = parsed("run", "true", file=file, YOI_RUNTIME_WORKER="x", YOI_RUNTIME_LINGER="5")
    assert (Path(run.params["data_dir"]), run.params["pty"], run.params["linger"]) == (Path("d"), True, "0")
    emit = parsed("emit", "--worker", "a")
    assert (Path(emit.params["data_dir"]), emit.params["durable"]) == (Path("d"), False)
    tail = parsed("tail", YOI_RUNTIME_CURSOR="x")
    assert (Path(tail.params["data_dir"]), tail.params["cursor"]) == (Path("d"), None)
    assert source_of(parsed("tail", YOI_DATA_DIR="old"), "data_dir") == "environment"


def test_the_file_may_be_named_by_flag_or_variable(parsed: Callable[..., Any], tmp_path: Path):
    (tmp_path / "other.toml").write_text('bind = ":7"\n')
    for context in (
        parsed("serve", "--config", "other.toml", file='bind = ":8"\n'),
        parsed("serve", YOI_RUNTIME_CONFIG="other.toml"),
    ):
        assert context.params["bind"] == ":7"
        found = configuration_of(context)
        assert found is not None
        assert found.path == Path("other.toml")
    assert configuration_of(parsed("serve", "--config", "/dev/null")).values == {}  # type: ignore[union-attr]


def test_what_cannot_be_read_names_its_place(parsed: Callable[..., Any]):
    with pytest.raises(typer.BadParameter) as caught:
        parsed("serve", YOI_RUNTIME_PROCESSES="many")
    assert caught.value.param_hint == "YOI_RUNTIME_PROCESSES"
    with pytest.raises(typer.BadParameter) as caught:
        parsed("serve", "--config", "none.toml")
    assert (caught.value.param_hint, caught.value.message) == ("--config", "none.toml: No such file or directory")

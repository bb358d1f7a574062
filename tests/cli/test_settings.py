from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, get_args

import pytest
import typer
import typer.main

from yoi_runtime.cli.app import app
from yoi_runtime.cli.config_file import configuration_model
from yoi_runtime.cli.configured_command import ConfiguredCommand
from yoi_runtime.cli.settings import NOT_SETTINGS, Setting, SettingKind, settings_of

SETTINGS = ConfiguredCommand.settings


def test_every_option_of_serve_has_a_key_a_variable_and_words_or_a_reason_why_not():
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    options = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    reasons = {f"--{key}" for key in NOT_SETTINGS}
    assert options - {setting.option for setting in SETTINGS.values()} - reasons == set()
    assert {setting.option for setting in SETTINGS.values()} <= options
    by_name = {parameter.name: parameter for parameter in command.params}
    for key, setting in SETTINGS.items():
        assert setting.help, f"{setting.option} has no help"
        assert by_name[setting.parameter].envvar == [*setting.variables]
        assert key in configuration_model(SETTINGS).model_fields
        assert setting.kind in get_args(SettingKind)
    assert len(SETTINGS) >= 18


def example(
    name: Annotated[str | None, typer.Option("--a-name", help="A name. [default: made up]")] = None,
    yes: Annotated[bool, typer.Option("--yes/--no", help="Or not.")] = True,
    count: Annotated[int, typer.Option("--count", min=1, max=9, help="So many.")] = 3,
    place: Annotated[Path | None, typer.Option("--place", help="Where.")] = None,
    several: Annotated[list[str] | None, typer.Option("--several", help="Some.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The file.")] = None,
    argument: Annotated[str, typer.Argument()] = "",
) -> None: ...


def test_a_setting_is_made_of_the_declaration_of_its_option():
    assert settings_of(example) == {
        "a_name": Setting("a_name", "--a-name", "name", "text", "A name.", "made up"),
        "yes": Setting("yes", "--yes", "yes", "flag", "Or not.", "true"),
        "count": Setting("count", "--count", "count", "number", "So many.", "3", 1, 9),
        "place": Setting("place", "--place", "place", "path", "Where.", "none"),
        "several": Setting("several", "--several", "several", "texts", "Some.", "none"),
    }


def test_variables_bear_the_keys_name_and_an_older_one_goes_on_to_count():
    assert SETTINGS["retain_bytes"].variables == ("YOI_RUNTIME_RETAIN_BYTES",)
    assert SETTINGS["data_dir"].variables == ("YOI_RUNTIME_DATA_DIR", "YOI_DATA_DIR")


@pytest.mark.parametrize("key", ["token", "tokens", "admin_token", "api_key", "password", "tls_passphrase"])
def test_what_is_named_like_a_secret_is_one(key: str):
    assert dataclasses.replace(SETTINGS["bind"], key=key).secret
    assert not dataclasses.replace(SETTINGS["bind"], key=f"{key}_file").secret
    # The name of a file, or a number of them.
    assert not dataclasses.replace(SETTINGS["bind"], key=key, kind="path").secret
    assert not dataclasses.replace(SETTINGS["bind"], key=key, kind="number").secret

"""Options whose values may also come from the environment and from a configuration file.

Flags count over the environment, that over the file, that over defaults: Typer does it, given a variable for each
option and the file's values as its "default map". What is wrong with a value names the place that it came from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import typer
from typer.core import TyperCommand

from yoi_runtime.cli.config_file import ConfigurationFile
from yoi_runtime.cli.settings import Setting

__all__ = ["ConfiguredCommand", "Source", "configuration_of", "origin_of", "source_of", "take_configuration"]

Source = Literal["flag", "environment", "file", "default"]

_FILE_KEY = "yoi_runtime.configuration"
_SOURCES: dict[str, Source] = {"COMMANDLINE": "flag", "ENVIRONMENT": "environment", "DEFAULT_MAP": "file"}


class ConfiguredCommand(TyperCommand):
    """``cls`` of the commands that have settings: reads their variables, and says which one holds what is wrong."""

    settings: ClassVar[Mapping[str, Setting]] = {}
    """All settings, by key; given by ``app.py``, before a command is made."""

    # Any: Click's own types, which Typer brings along under a name of its own.
    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        variables = {setting.parameter: setting.variables for setting in self.settings.values()}
        for parameter in self.params:
            if parameter.name in variables:
                parameter.envvar = [*variables[parameter.name]]
                # Said once, for all of them, in the help of the command.
                setattr(parameter, "show_envvar", False)  # noqa: B010  # not every parameter has it

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if error.param_hint is None and error.param is not None:
                options = {setting.parameter: setting.option for setting in self.settings.values()}
                if error.param.name in options:
                    error.param_hint = origin_of(ctx, options[error.param.name])
            raise


def take_configuration(context: typer.Context, file: ConfigurationFile | None) -> None:
    """Let the values of ``file`` count where neither flag nor environment say anything."""
    context.meta[_FILE_KEY] = file
    if file is not None:
        own = {parameter.name for parameter in context.command.params}
        context.default_map = {
            setting.parameter: file.values[key]
            for key, setting in ConfiguredCommand.settings.items()
            if key in file.values and setting.parameter in own
        }


def configuration_of(context: typer.Context) -> ConfigurationFile | None:
    """Return the file that counts for a command."""
    found = context.meta.get(_FILE_KEY)
    return found if isinstance(found, ConfigurationFile) else None


def source_of(context: typer.Context, parameter: str) -> Source:
    """Return what said the value of a parameter."""
    source = context.get_parameter_source(parameter)
    return "default" if source is None else _SOURCES.get(source.name, "default")


def origin_of(context: typer.Context, option: str) -> str:
    """Return the place that said an option's value: the option, a variable, or the file, line and key."""
    settings = ConfiguredCommand.settings
    setting = next((setting for setting in settings.values() if setting.option == option), None)
    if setting is None:
        return option
    file = configuration_of(context)
    match source_of(context, setting.parameter):
        case "environment":
            return next((name for name in setting.variables if os.environ.get(name)), option)
        case "file" if file is not None:
            return f"{file.place(setting.key)}: {setting.key}"
        case _:
            return option

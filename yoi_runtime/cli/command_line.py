"""What the commands of ``yoi-runtime`` share: the program itself, options of several, and how a command is run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer

from yoi_runtime.cli import help_texts, operator_log
from yoi_runtime.cli.config_file import find_file, read_file
from yoi_runtime.cli.configured_command import ConfiguredCommand, origin_of, take_configuration
from yoi_runtime.cli.data_dir import choose_data_dir
from yoi_runtime.cli.exit_codes import ExitCode, exit_code_of, say, say_all, sentence_of, signal_exit_code
from yoi_runtime.cli.settings import CONFIG_VARIABLE
from yoi_runtime.errors import ConfigurationError, YoiError
from yoi_runtime.notices import Notice

__all__ = [
    "HELP_OPTIONS",
    "Adapter",
    "Config",
    "Reconnect",
    "app",
    "chosen_data_dir",
    "finish",
    "read_option",
]

_T = TypeVar("_T")
_R = TypeVar("_R")
HELP_OPTIONS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# Plain help, not Rich's: it can be piped and pasted, and square brackets in it are square brackets.
app = typer.Typer(
    help=help_texts.MAIN,
    epilog=help_texts.END,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP_OPTIONS,
)


def _configure(context: typer.Context, path: Path | None) -> Path | None:
    """Read the configuration file before any other option is looked at: it has their values."""
    settings = ConfiguredCommand.settings
    file = path if path is not None else find_file(Path(), os.environ, Path.home())
    try:
        take_configuration(context, None if file is None else read_file(file, settings))
    except ConfigurationError as error:
        say_all(error)
        raise typer.Exit(ExitCode.USAGE) from None
    except OSError as error:
        raise typer.BadParameter(sentence_of(error), context, param_hint="--config") from None
    return file


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=_configure,
        envvar=CONFIG_VARIABLE,
        show_envvar=False,
        help=help_texts.CONFIG,
    ),
]
Adapter = Annotated[str, typer.Option("--adapter", metavar="NAME", help=help_texts.ADAPTER)]
Reconnect = Annotated[str, typer.Option("--reconnect", metavar="DURATION", help=help_texts.RECONNECT)]


def read_option(context: typer.Context, name: str, parse: Callable[[_T], _R], value: _T) -> _R:
    """Parse what stands behind ``name``; what is wrong with it is told as wrong usage."""
    try:
        return parse(value)
    except ValueError as error:
        raise typer.BadParameter(str(error), context, param_hint=origin_of(context, name)) from None


def chosen_data_dir(given: Path | None) -> Path:
    """Return where the data is; in the log it is called by the option's name."""
    data_dir = choose_data_dir(given, os.environ, Path.home())
    if (log := operator_log.installed()) is not None:
        log.hide(data_dir, "DATA_DIR")
    return data_dir


def finish(command: Coroutine[object, object, int]) -> NoReturn:
    """Run a command to its end and leave with its exit code; an expected error is one sentence."""
    try:
        code = asyncio.run(command)
    except BrokenPipeError:
        # Nobody reads our output any more: end as a program that the signal ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = signal_exit_code(signal.SIGPIPE)
    except KeyboardInterrupt:
        code = signal_exit_code(signal.SIGINT)
    except (YoiError, OSError) as error:
        say(sentence_of(error), Notice.COMMAND_FAILED, error=type(error).__name__)
        code = exit_code_of(error)
    raise typer.Exit(code)

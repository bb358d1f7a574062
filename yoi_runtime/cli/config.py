"""``yoi-runtime config``: the settings of ``serve`` as they are in effect, and whether a file is good. Starts nothing."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import typer

from yoi_runtime.cli.configured_command import ConfiguredCommand, configuration_of, origin_of, source_of
from yoi_runtime.cli.data_dir import choose_data_dir
from yoi_runtime.cli.exit_codes import ExitCode, say
from yoi_runtime.cli.settings import Setting
from yoi_runtime.cli.terminal_text import one_line
from yoi_runtime.cli.worker_plan import WorkerPlan

__all__ = ["Look", "check_configuration", "show_configuration"]

_HIDDEN = "(set, not shown)"


@dataclass(slots=True)
class Look:
    """Stands in a context for: read and judge everything, start nothing. ``plans``: the Workers that would be started."""

    plans: list[WorkerPlan] = field(default_factory=list)


def show_configuration(command: ConfiguredCommand, arguments: Sequence[str]) -> int:
    """Print what ``serve`` with these arguments would run with, and return the exit code."""
    look = Look()
    context = cast("typer.Context", command.make_context("serve", list(arguments), obj=look))
    with context:
        command.invoke(context)
        file = configuration_of(context)
        print(f"# configuration file: {'none' if file is None else file.path}")
        _print_table([_row(context, setting) for setting in command.settings.values()])
        for plan in look.plans:
            in_file = file is not None and plan.worker_id in file.workers and not _is_flag(context, plan.worker_id)
            where = file.place("workers", plan.worker_id) if file is not None and in_file else "flag --worker"
            print(f"\n[workers.{plan.worker_id}]  # {where}")
            _print_table([(name, value, "") for name, value in _words_of(plan)])
    return ExitCode.OK


def check_configuration(command: ConfiguredCommand, file: Path) -> int:
    """Say what is wrong with ``file``, and return the exit code."""
    for parameter in command.params:
        parameter.envvar = None
    try:
        context = command.make_context("serve", ["--config", str(file)], obj=Look())
        with context:
            command.invoke(context)
    except typer.BadParameter as error:
        say(one_line(f"{error.param_hint}: {error.message}"))
        return ExitCode.USAGE
    except typer.Exit as ended:
        return ended.exit_code
    return ExitCode.OK


def _is_flag(context: typer.Context, worker_id: str) -> bool:
    return any(str(text).partition("=")[0] == worker_id for text in context.params.get("worker") or ())


def _row(context: typer.Context, setting: Setting) -> tuple[str, str, str]:
    source = source_of(context, setting.parameter)
    value = context.params.get(setting.parameter)
    if source == "default":
        # Of many a default is said in words alone.
        shown = str(choose_data_dir(None, os.environ, Path.home())) if setting.key == "data_dir" else setting.default
        return setting.key, shown, "default"
    origin = origin_of(context, setting.option)
    where = origin.rpartition(": ")[0] if source == "file" else origin
    return setting.key, _HIDDEN if setting.secret else _in_words(value), f"{source} {where}"


def _in_words(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case list() | tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def _words_of(plan: WorkerPlan) -> Iterator[tuple[str, str]]:
    yield "command", shlex.join(plan.command)
    yield "adapter", plan.adapter
    if plan.cwd is not None:
        yield "cwd", str(plan.cwd)
    if plan.env is not None:
        own = sorted(name for name, value in plan.env.items() if os.environ.get(name) != value)
        yield "environment", f"{', '.join(own) or 'nothing of its own'} {_HIDDEN}, {len(plan.env) - len(own)} inherited"
    yield "restart", plan.restart.when
    if plan.restart.when != "never":
        yield "restart_delay", f"{plan.restart.first_delay_seconds:g}s"
        yield "restart_max_delay", f"{plan.restart.max_delay_seconds:g}s"
        yield "restart_healthy_after", f"{plan.restart.healthy_seconds:g}s"
        yield "restart_limit", "off" if plan.restart.limit is None else str(plan.restart.limit)
        yield "restart_window", f"{plan.restart.window_seconds:g}s"
    yield "stop_grace", f"{plan.stop_grace_seconds:g}s"
    yield "pty", str(plan.terminal is not None).lower()
    if plan.terminal is not None:
        yield "pty_size", f"{plan.terminal.columns}x{plan.terminal.rows}"
        yield "pty_keep_codes", str(plan.terminal.keep_codes).lower()


def _print_table(rows: Sequence[tuple[str, str, str]]) -> None:
    names = max(len(name) for name, _, _ in rows)
    values = min(max(len(value) for _, value, _ in rows), 40)
    for name, value, origin in rows:
        line = f"{name:<{names}}  {one_line(value):<{values}}" + (f"  # {origin}" if origin else "")
        print(line.rstrip())

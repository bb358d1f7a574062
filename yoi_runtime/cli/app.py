"""The program ``yoi-runtime``: its commands and options, read and handed on. What they do stands in their own modules.

A command imports its module when it runs: ``emit`` in a pipe need not wait for a server that it does not start.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import rich  # noqa: F401  # used by commands that print; that it is missing is to be told before one runs
import typer

from yoi_runtime.cli import help_texts, operator_log
from yoi_runtime.cli.command_line import (
    HELP_OPTIONS,
    Adapter,
    Config,
    Reconnect,
    app,
    chosen_data_dir,
    finish,
    read_option,
)
from yoi_runtime.cli.config import check_configuration, show_configuration
from yoi_runtime.cli.configured_command import ConfiguredCommand, source_of
from yoi_runtime.cli.exit_codes import ExitCode
from yoi_runtime.cli.options import (
    DEFAULT_HOST,
    DEFAULT_RECONNECT,
    check_id,
    or_no_limit,
    parse_adapter,
    parse_bind,
    parse_duration,
    parse_mode,
    parse_server_url,
    parse_start,
)
from yoi_runtime.cli.serve_command import serve_command
from yoi_runtime.cli.settings import settings_of
from yoi_runtime.cli.token_app import token_app
from yoi_runtime.version import VERSION

__all__ = ["app", "run_app"]

_PROGRAM = "yoi-runtime"

# The settings that a file may have: the options of this command, which is registered by its import.
ConfiguredCommand.settings = settings_of(serve_command)


def run_app() -> int:
    """Run the program with ``sys.argv`` and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal in another encoding shows \u2192 where it has no arrow, instead of ending the command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    operator_log.set_up()
    try:
        app(prog_name=_PROGRAM)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else ExitCode.OK if ended.code is None else ExitCode.FAILED
    return ExitCode.OK


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"{_PROGRAM} {VERSION}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Every command begins here; the text of its help is given to ``app``."""


@app.command("emit", cls=ConfiguredCommand, help=help_texts.EMIT, epilog=help_texts.EMIT_END)
def _emit(
    context: typer.Context,
    worker: Annotated[str, typer.Option("--worker", metavar="ID", help=help_texts.EMIT_WORKER)],
    adapter: Adapter = "auto",
    durable: Annotated[bool, typer.Option("--durable", help=help_texts.EMIT_DURABLE)] = False,
    tee: Annotated[bool, typer.Option("--tee", help=help_texts.EMIT_TEE)] = False,
    reconnect: Reconnect = DEFAULT_RECONNECT,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help=help_texts.EMIT_DATA_DIR)] = None,
    config: Config = None,
) -> None:
    from yoi_runtime.cli.emit import EmitRequest, emit

    request = EmitRequest(
        data_dir=chosen_data_dir(data_dir),
        worker_id=read_option(context, "--worker", check_id, worker),
        adapter=read_option(context, "--adapter", parse_adapter, adapter),
        durable=durable,
        tee=tee,
        reconnect_seconds=read_option(context, "--reconnect", or_no_limit(parse_duration), reconnect),
    )
    finish(emit(request))


@app.command("tail", cls=ConfiguredCommand, help=help_texts.TAIL, epilog=help_texts.TAIL_END)
def _tail(
    context: typer.Context,
    url: Annotated[str | None, typer.Argument(metavar="URL", hidden=True)] = None,
    worker: Annotated[str | None, typer.Option("--worker", metavar="ID", help=help_texts.TAIL_WORKER)] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", metavar="TOKEN", help=help_texts.CURSOR)] = None,
    cursor_file: Annotated[
        Path | None, typer.Option("--cursor-file", metavar="FILE", help=help_texts.CURSOR_FILE)
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="oldest|now", help=help_texts.FROM)] = None,
    as_json: Annotated[bool, typer.Option("--json", help=help_texts.JSON)] = False,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help=help_texts.TAIL_DATA_DIR)] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help=help_texts.TAIL_TOKEN_FILE)
    ] = None,
    tls_ca: Annotated[Path | None, typer.Option("--tls-ca", metavar="FILE", help=help_texts.TAIL_TLS_CA)] = None,
    config: Config = None,
) -> None:
    if cursor is not None and start is not None:
        raise typer.BadParameter("a cursor says where to begin; give one of the two", context, param_hint="--from")
    from yoi_runtime.cli.tail import TailRequest, tail

    request = TailRequest(
        url=read_option(context, "URL", parse_server_url, url) if url is not None else None,
        data_dir=chosen_data_dir(data_dir),
        given_data_dir=data_dir if source_of(context, "data_dir") == "flag" else None,
        worker_id=read_option(context, "--worker", check_id, worker) if worker is not None else None,
        cursor=cursor,
        cursor_file=cursor_file,
        start=read_option(context, "--from", parse_start, start or "now"),
        as_json=as_json,
        token_file=token_file,
        tls_ca=tls_ca,
    )
    finish(tail(request))


@app.command(
    "conformance",
    help=help_texts.CONFORMANCE,
    epilog=help_texts.CONFORMANCE_END,
    options_metavar="[OPTIONS] [--]",
    context_settings={"allow_interspersed_args": False},
)
def _conformance(
    context: typer.Context,
    command: Annotated[list[str] | None, typer.Argument(metavar="COMMAND", hidden=True)] = None,
    bind: Annotated[
        str, typer.Option("--bind", metavar="HOST:PORT", help=help_texts.CONFORMANCE_BIND)
    ] = f"{DEFAULT_HOST}:0",
    mode: Annotated[str, typer.Option("--mode", metavar="v0|v1", help=help_texts.CONFORMANCE_MODE)] = "v1",
    case: Annotated[
        list[str] | None,
        typer.Option("--case", metavar="NAME", help=help_texts.CONFORMANCE_CASE, show_default=False),
    ] = None,
    cases: Annotated[
        list[Path] | None,
        typer.Option("--cases", metavar="FILE", help=help_texts.CONFORMANCE_CASES, show_default="none"),
    ] = None,
    deliveries: Annotated[
        str | None, typer.Option("--deliveries", metavar="FILE", help=help_texts.CONFORMANCE_DELIVERIES)
    ] = None,
    no_deliveries: Annotated[bool, typer.Option("--no-deliveries", help=help_texts.CONFORMANCE_NO_DELIVERIES)] = False,
    token: Annotated[str | None, typer.Option("--token", metavar="TOKEN", help=help_texts.CONFORMANCE_TOKEN)] = None,
    patience: Annotated[
        str, typer.Option("--patience", metavar="DURATION", help=help_texts.CONFORMANCE_PATIENCE)
    ] = "60s",
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, help=help_texts.CONFORMANCE_JOBS)] = 4,
    fast: Annotated[bool, typer.Option("--fast", help=help_texts.CONFORMANCE_FAST)] = False,
    strict: Annotated[bool, typer.Option("--strict", help=help_texts.CONFORMANCE_STRICT)] = False,
    as_json: Annotated[bool, typer.Option("--json", help=help_texts.CONFORMANCE_JSON)] = False,
    list_only: Annotated[bool, typer.Option("--list", help=help_texts.CONFORMANCE_LIST)] = False,
) -> None:
    if command and deliveries is not None:
        raise typer.BadParameter("a COMMAND reports on its stdout", context, param_hint="--deliveries")
    from yoi_runtime.cli.conformance import ConformanceRequest, conformance

    request = ConformanceRequest(
        command=tuple(command or ()),
        address=read_option(context, "--bind", parse_bind, bind),
        mode=read_option(context, "--mode", parse_mode, mode),
        names=tuple(case or ()),
        case_files=tuple(cases or ()),
        deliveries_file=deliveries,
        reports=not no_deliveries,
        token=token,
        patience_seconds=read_option(context, "--patience", parse_duration, patience),
        jobs=jobs,
        fast=fast,
        strict=strict,
        as_json=as_json,
        list_only=list_only,
    )
    finish(conformance(request))


app.add_typer(token_app, name="token")
config_app = typer.Typer(
    help=help_texts.CONFIG_GROUP, no_args_is_help=True, rich_markup_mode=None, context_settings=HELP_OPTIONS
)
app.add_typer(config_app, name="config")


@config_app.command(
    "show",
    help=help_texts.CONFIG_SHOW,
    epilog=help_texts.END,
    options_metavar="[OPTIONS OF SERVE]",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def _config_show(context: typer.Context) -> None:
    raise typer.Exit(show_configuration(_serve_command(), context.args))


@config_app.command("check", help=help_texts.CONFIG_CHECK, epilog=help_texts.END)
def _config_check(file: Annotated[Path, typer.Argument(metavar="FILE", help="The file.")]) -> None:
    raise typer.Exit(check_configuration(_serve_command(), file))


def _serve_command() -> ConfiguredCommand:
    """Return the command that has all settings; a new one at each call."""
    found = getattr(typer.main.get_command(app), "commands", {})["serve"]
    assert isinstance(found, ConfiguredCommand)
    return found


@app.command("demo", help=help_texts.DEMO, epilog=help_texts.END)
def _demo() -> None:
    from yoi_runtime.cli.demo import demo

    finish(demo())

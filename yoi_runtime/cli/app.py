"""The program ``yoi-runtime``: its commands and options, read and handed on. What they do stands in their own modules."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer

from yoi_runtime.cli import help_texts, operator_log
from yoi_runtime.cli.access_options import parse_allow_hosts, server_access
from yoi_runtime.cli.config import Look, check_configuration, show_configuration
from yoi_runtime.cli.config_file import find_file, read_file
from yoi_runtime.cli.configured_command import (
    ConfiguredCommand,
    configuration_of,
    origin_of,
    source_of,
    take_configuration,
)
from yoi_runtime.cli.conformance import ConformanceRequest, conformance
from yoi_runtime.cli.data_dir import choose_data_dir
from yoi_runtime.cli.demo import demo
from yoi_runtime.cli.emit import EmitRequest, emit
from yoi_runtime.cli.exit_codes import ExitCode, exit_code_of, say, say_all, sentence_of, signal_exit_code
from yoi_runtime.cli.options import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    DEFAULT_RECONNECT,
    WorkerSpec,
    check_id,
    or_no_limit,
    parse_adapter,
    parse_bind,
    parse_durability,
    parse_duration,
    parse_linger,
    parse_log_format,
    parse_log_level,
    parse_mode,
    parse_pty_size,
    parse_restart,
    parse_segment_size,
    parse_server_url,
    parse_size,
    parse_start,
    parse_transcript_bytes,
    parse_transcript_items,
    parse_workers,
    worker_id_from_command,
)
from yoi_runtime.cli.run import run
from yoi_runtime.cli.serve import serve, serve_read_only
from yoi_runtime.cli.served_runtime import ServeOptions
from yoi_runtime.cli.settings import CONFIG_VARIABLE, settings_of
from yoi_runtime.cli.tail import TailRequest, tail
from yoi_runtime.cli.token_app import token_app
from yoi_runtime.cli.worker_plan import WorkerPlan
from yoi_runtime.errors import ConfigurationError, YoiError
from yoi_runtime.notices import Notice
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.limits import Limits
from yoi_runtime.transcript.options import TranscriptOptions
from yoi_runtime.version import VERSION
from yoi_runtime.workers.restart_policy import RestartPolicy
from yoi_runtime.workers.terminal import TerminalOptions

__all__ = ["app", "run_app"]

_T = TypeVar("_T")
_R = TypeVar("_R")
_PROGRAM = "yoi-runtime"
_LIMITS = Limits()
_HELP_OPTIONS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# Plain help, not Rich's: it can be piped and pasted, and square brackets in it are square brackets.
app = typer.Typer(
    help=help_texts.MAIN,
    epilog=help_texts.END,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_HELP_OPTIONS,
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
DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help=help_texts.DATA_DIR)]
Bind = Annotated[str, typer.Option("--bind", metavar="HOST:PORT", help=help_texts.BIND)]
Adapter = Annotated[str, typer.Option("--adapter", metavar="NAME", help=help_texts.ADAPTER)]
SegmentBytes = Annotated[str | None, typer.Option("--segment-bytes", metavar="N", help=help_texts.SEGMENT_BYTES)]
RetainBytes = Annotated[str | None, typer.Option("--retain-bytes", metavar="N", help=help_texts.RETAIN_BYTES)]
RetainAge = Annotated[str | None, typer.Option("--retain-age", metavar="DURATION", help=help_texts.RETAIN_AGE)]
DurabilityName = Annotated[
    str | None, typer.Option("--durability", metavar="synced|written", help=help_texts.DURABILITY)
]
TokenFile = Annotated[Path | None, typer.Option("--token-file", metavar="FILE", help=help_texts.TOKEN_FILE)]
InsecureNoToken = Annotated[bool, typer.Option("--insecure-no-token", help=help_texts.INSECURE_NO_TOKEN)]
TlsCert = Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help=help_texts.TLS_CERT)]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help=help_texts.TLS_KEY)]
AllowHost = Annotated[
    list[str] | None, typer.Option("--allow-host", metavar="NAME", help=help_texts.ALLOW_HOST, show_default=False)
]
Pty = Annotated[bool, typer.Option("--pty", help=help_texts.PTY)]
PtySize = Annotated[str, typer.Option("--pty-size", metavar="COLUMNSxROWS", help=help_texts.PTY_SIZE)]
PtyKeepCodes = Annotated[bool, typer.Option("--pty-keep-codes", help=help_texts.PTY_KEEP_CODES)]
LogFormatName = Annotated[str, typer.Option("--log-format", metavar="text|json", help=help_texts.LOG_FORMAT)]
LogLevel = Annotated[str, typer.Option("--log-level", metavar="debug|info|warning|error", help=help_texts.LOG_LEVEL)]
Reconnect = Annotated[str, typer.Option("--reconnect", metavar="DURATION", help=help_texts.RECONNECT)]
_DEFAULT_BIND = f"{DEFAULT_HOST}:{DEFAULT_PORT}"
_DEFAULT_PTY_SIZE = f"{TerminalOptions().columns}x{TerminalOptions().rows}"


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


@app.command("serve", cls=ConfiguredCommand, help=help_texts.SERVE, epilog=help_texts.SERVE_END)
def _serve(
    context: typer.Context,
    data_dir: DataDir = None,
    bind: Bind = _DEFAULT_BIND,
    worker: Annotated[
        list[str] | None, typer.Option("--worker", metavar="ID=COMMAND", help=help_texts.WORKER, show_default=False)
    ] = None,
    adapter: Adapter = "auto",
    segment_bytes: SegmentBytes = None,
    retain_bytes: RetainBytes = None,
    retain_age: RetainAge = None,
    durability: DurabilityName = None,
    transcript: Annotated[
        bool, typer.Option("--transcript/--no-transcript", help=help_texts.TRANSCRIPT, show_default=False)
    ] = True,
    transcript_items: Annotated[
        str | None, typer.Option("--transcript-items", metavar="N", help=help_texts.TRANSCRIPT_ITEMS)
    ] = None,
    transcript_bytes: Annotated[
        str | None, typer.Option("--transcript-bytes", metavar="N", help=help_texts.TRANSCRIPT_BYTES)
    ] = None,
    cache_bytes: Annotated[str | None, typer.Option("--cache-bytes", metavar="N", help=help_texts.CACHE_BYTES)] = None,
    processes: Annotated[int, typer.Option("--processes", metavar="N", min=1, help=help_texts.PROCESSES)] = 1,
    read_only: Annotated[bool, typer.Option("--read-only", help=help_texts.READ_ONLY)] = False,
    token_file: TokenFile = None,
    insecure_no_token: InsecureNoToken = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    allow_host: AllowHost = None,
    max_subscribers: Annotated[
        int | None, typer.Option("--max-subscribers", metavar="N", min=1, help=help_texts.MAX_SUBSCRIBERS)
    ] = None,
    max_subscribers_per_token: Annotated[
        int | None,
        typer.Option("--max-subscribers-per-token", metavar="N", min=1, help=help_texts.MAX_SUBSCRIBERS_PER_TOKEN),
    ] = None,
    max_subscribers_per_worker: Annotated[
        int | None,
        typer.Option("--max-subscribers-per-worker", metavar="N", min=1, help=help_texts.MAX_SUBSCRIBERS_PER_WORKER),
    ] = None,
    max_unfinished: Annotated[
        int, typer.Option("--max-unfinished", metavar="N", min=1, help=help_texts.MAX_UNFINISHED)
    ] = _LIMITS.unfinished,
    header_timeout: Annotated[
        str, typer.Option("--header-timeout", metavar="DURATION", help=help_texts.HEADER_TIMEOUT)
    ] = "10s",
    max_header_bytes: Annotated[
        str | None, typer.Option("--max-header-bytes", metavar="N", help=help_texts.MAX_HEADER_BYTES)
    ] = None,
    reserve_descriptors: Annotated[
        int, typer.Option("--reserve-descriptors", metavar="N", min=0, help=help_texts.RESERVE_DESCRIPTORS)
    ] = _LIMITS.reserve_descriptors,
    restart: Annotated[
        str, typer.Option("--restart", metavar="never|on-failure|always", help=help_texts.RESTART)
    ] = "never",
    stop_grace: Annotated[str, typer.Option("--stop-grace", metavar="DURATION", help=help_texts.STOP_GRACE)] = "5s",
    pty: Pty = False,
    pty_size: PtySize = _DEFAULT_PTY_SIZE,
    pty_keep_codes: PtyKeepCodes = False,
    config: Config = None,
    log_format: LogFormatName = "text",
    log_level: LogLevel = "warning",
) -> None:
    _set_up_log(context, log_format, log_level)
    specs = _read(context, "--worker", parse_workers, worker or [])
    terminal = _terminal(context, pty_size, pty_keep_codes)
    for_all = WorkerPlan(
        "",
        (),
        _read(context, "--adapter", parse_adapter, adapter),
        terminal=terminal if pty else None,
        restart=RestartPolicy(_read(context, "--restart", parse_restart, restart)),
        stop_grace_seconds=_read(context, "--stop-grace", parse_linger, stop_grace),
    )
    plans = _plans(context, specs, for_all, terminal)
    options = _serve_options(context, data_dir, bind, segment_bytes, retain_bytes, retain_age, durability)
    bounds = _transcript_options(context, transcript_items, transcript_bytes)
    options = replace(options, transcripts=bounds if transcript else None)
    options = replace(options, processes=processes)
    options = replace(options, access=_access(context, token_file, insecure_no_token, tls_cert, tls_key, allow_host))
    limits = Limits(
        subscribers=max_subscribers,
        subscribers_per_token=max_subscribers_per_token,
        subscribers_per_worker=max_subscribers_per_worker,
        unfinished=max_unfinished,
        header_seconds=_read(context, "--header-timeout", parse_duration, header_timeout),
        reserve_descriptors=reserve_descriptors,
    )
    if max_header_bytes is not None:
        size = _read(context, "--max-header-bytes", parse_size, max_header_bytes)
        limits = _read(context, "--max-header-bytes", lambda size: replace(limits, header_bytes=size), size)
    options = replace(options, limits=limits)
    if cache_bytes is not None:
        options = replace(options, cache_bytes=_read(context, "--cache-bytes", parse_size, cache_bytes))
    if isinstance(context.obj, Look):
        context.obj.plans = plans
        return
    if config is not None and source_of(context, "config") == "default":
        say(f"configuration {config}")
    if read_only:
        if processes > 1:
            message = "start servers with --read-only one by one, each on an address of its own"
            raise typer.BadParameter(message, context, param_hint="--processes")
        for_the_writer = {
            "--worker": worker,
            "--segment-bytes": segment_bytes,
            "--retain-bytes": retain_bytes,
            "--retain-age": retain_age,
            "--durability": durability,
            "--transcript-items": transcript_items,
            "--transcript-bytes": transcript_bytes,
        }
        for name, value in for_the_writer.items():
            if value and source_of(context, name.removeprefix("--").replace("-", "_")) == "flag":
                raise typer.BadParameter("another process writes the log with --read-only", context, param_hint=name)
        _finish(serve_read_only(options))
    _finish(serve(options, plans))


@app.command(
    "run",
    cls=ConfiguredCommand,
    help=help_texts.RUN,
    epilog=help_texts.RUN_END,
    options_metavar="[OPTIONS] --",
    # What follows the command is the command's, options included, also when the -- was forgotten.
    context_settings={"allow_interspersed_args": False},
)
def _run(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", hidden=True)],
    worker_id: Annotated[str | None, typer.Option("--worker-id", metavar="ID", help=help_texts.WORKER_ID)] = None,
    linger: Annotated[str, typer.Option("--linger", metavar="SECONDS", help=help_texts.LINGER)] = "0",
    data_dir: DataDir = None,
    bind: Bind = _DEFAULT_BIND,
    adapter: Adapter = "auto",
    segment_bytes: SegmentBytes = None,
    retain_bytes: RetainBytes = None,
    retain_age: RetainAge = None,
    durability: DurabilityName = None,
    token_file: TokenFile = None,
    insecure_no_token: InsecureNoToken = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    allow_host: AllowHost = None,
    pty: Pty = False,
    pty_size: PtySize = _DEFAULT_PTY_SIZE,
    pty_keep_codes: PtyKeepCodes = False,
    reconnect: Reconnect = DEFAULT_RECONNECT,
    config: Config = None,
    log_format: LogFormatName = "text",
    log_level: LogLevel = "warning",
) -> None:
    _set_up_log(context, log_format, log_level)
    name = worker_id_from_command(command) if worker_id is None else worker_id
    terminal = _terminal(context, pty_size, pty_keep_codes)
    worker = WorkerPlan(
        _read(context, "--worker-id", check_id, name),
        tuple(command),
        _read(context, "--adapter", parse_adapter, adapter),
        terminal=terminal if pty else None,
    )
    options = _serve_options(context, data_dir, bind, segment_bytes, retain_bytes, retain_age, durability)
    options = replace(options, access=_access(context, token_file, insecure_no_token, tls_cert, tls_key, allow_host))
    linger_seconds = _read(context, "--linger", parse_linger, linger)
    reconnect_seconds = _read(context, "--reconnect", or_no_limit(parse_duration), reconnect)
    if config is not None and source_of(context, "config") == "default":
        say(f"configuration {config}")
    _finish(run(options, worker, linger_seconds, reconnect_seconds))


@app.command("emit", help=help_texts.EMIT, epilog=help_texts.EMIT_END)
def _emit(
    context: typer.Context,
    worker: Annotated[str, typer.Option("--worker", metavar="ID", help=help_texts.EMIT_WORKER)],
    adapter: Adapter = "auto",
    durable: Annotated[bool, typer.Option("--durable", help=help_texts.EMIT_DURABLE)] = False,
    tee: Annotated[bool, typer.Option("--tee", help=help_texts.EMIT_TEE)] = False,
    reconnect: Reconnect = DEFAULT_RECONNECT,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help=help_texts.EMIT_DATA_DIR)] = None,
) -> None:
    request = EmitRequest(
        data_dir=_data_dir(data_dir),
        worker_id=_read(context, "--worker", check_id, worker),
        adapter=_read(context, "--adapter", parse_adapter, adapter),
        durable=durable,
        tee=tee,
        reconnect_seconds=_read(context, "--reconnect", or_no_limit(parse_duration), reconnect),
    )
    _finish(emit(request))


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
    request = TailRequest(
        url=_read(context, "URL", parse_server_url, url) if url is not None else None,
        data_dir=_data_dir(data_dir),
        given_data_dir=data_dir if source_of(context, "data_dir") == "flag" else None,
        worker_id=_read(context, "--worker", check_id, worker) if worker is not None else None,
        cursor=cursor,
        cursor_file=cursor_file,
        start=_read(context, "--from", parse_start, start or "now"),
        as_json=as_json,
        token_file=token_file,
        tls_ca=tls_ca,
    )
    _finish(tail(request))


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
    request = ConformanceRequest(
        command=tuple(command or ()),
        address=_read(context, "--bind", parse_bind, bind),
        mode=_read(context, "--mode", parse_mode, mode),
        names=tuple(case or ()),
        case_files=tuple(cases or ()),
        deliveries_file=deliveries,
        reports=not no_deliveries,
        token=token,
        patience_seconds=_read(context, "--patience", parse_duration, patience),
        jobs=jobs,
        fast=fast,
        strict=strict,
        as_json=as_json,
        list_only=list_only,
    )
    _finish(conformance(request))


app.add_typer(token_app, name="token")
config_app = typer.Typer(
    help=help_texts.CONFIG_GROUP, no_args_is_help=True, rich_markup_mode=None, context_settings=_HELP_OPTIONS
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


ConfiguredCommand.settings = settings_of(_serve)


@app.command("demo", help=help_texts.DEMO, epilog=help_texts.END)
def _demo() -> None:
    _finish(demo())


def _read(context: typer.Context, name: str, parse: Callable[[_T], _R], value: _T) -> _R:
    """Parse what stands behind ``name``; what is wrong with it is told as wrong usage."""
    try:
        return parse(value)
    except ValueError as error:
        raise typer.BadParameter(str(error), context, param_hint=origin_of(context, name)) from None


def _terminal(context: typer.Context, size: str, keep_codes: bool) -> TerminalOptions:
    columns, rows = _read(context, "--pty-size", parse_pty_size, size)
    return TerminalOptions(columns, rows, keep_codes)


def _plans(
    context: typer.Context, specs: Sequence[WorkerSpec], for_all: WorkerPlan, terminal: TerminalOptions
) -> list[WorkerPlan]:
    """Return the Workers of the file and of the command line; the latter count where both have one of an id."""
    file = configuration_of(context)
    plans = {}
    if file is not None:
        for worker_id, table in file.workers.items():
            plans[worker_id] = table.plan(
                replace(for_all, worker_id=worker_id), terminal, os.environ, file.path.parent.absolute()
            )
    plans.update({spec.worker_id: replace(for_all, worker_id=spec.worker_id, command=spec.command) for spec in specs})
    return list(plans.values())


def _set_up_log(context: typer.Context, log_format: str, log_level: str) -> None:
    form = _read(context, "--log-format", parse_log_format, log_format)
    operator_log.set_up(form, _read(context, "--log-level", parse_log_level, log_level))


def _data_dir(given: Path | None) -> Path:
    """Return where the data is; in the log it is called by the option's name."""
    data_dir = choose_data_dir(given, os.environ, Path.home())
    if (log := operator_log.installed()) is not None:
        log.hide(data_dir, "DATA_DIR")
    return data_dir


def _serve_options(
    context: typer.Context,
    data_dir: Path | None,
    bind: str,
    segment_bytes: str | None,
    retain_bytes: str | None,
    retain_age: str | None,
    durability: str | None,
) -> ServeOptions:
    runtime = RuntimeOptions()
    if segment_bytes is not None:
        runtime = replace(runtime, segment_bytes=_read(context, "--segment-bytes", parse_segment_size, segment_bytes))
    if retain_bytes is not None:
        runtime = replace(runtime, retain_bytes=_read(context, "--retain-bytes", or_no_limit(parse_size), retain_bytes))
    if retain_age is not None:
        age = _read(context, "--retain-age", or_no_limit(parse_duration), retain_age)
        runtime = replace(runtime, retain_age_seconds=age)
    if durability is not None:
        runtime = replace(runtime, durability=_read(context, "--durability", parse_durability, durability))
    return ServeOptions(_data_dir(data_dir), _read(context, "--bind", parse_bind, bind), runtime)


def _access(
    context: typer.Context,
    token_file: Path | None,
    insecure_no_token: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    allow_host: list[str] | None,
) -> ServerAccess:
    hosts = _read(context, "--allow-host", parse_allow_hosts, allow_host or [])
    try:
        return server_access(token_file, insecure_no_token, tls_cert, tls_key, hosts)
    except ValueError as error:
        raise typer.BadParameter(str(error), context) from None


def _transcript_options(context: typer.Context, items: str | None, size: str | None) -> TranscriptOptions:
    bounds = TranscriptOptions()
    if items is not None:
        bounds = replace(bounds, max_items=_read(context, "--transcript-items", parse_transcript_items, items))
    if size is not None:
        bounds = replace(bounds, max_bytes=_read(context, "--transcript-bytes", parse_transcript_bytes, size))
    return bounds


def _finish(command: Coroutine[object, object, int]) -> NoReturn:
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

"""The commands ``serve`` and ``run``: their options, read and handed on. Each option of ``serve`` is a setting, too."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yoi_runtime.cli import help_texts, operator_log
from yoi_runtime.cli.access_options import hide_files, parse_allow_hosts, server_access
from yoi_runtime.cli.command_line import Adapter, Config, Reconnect, app, chosen_data_dir, finish, read_option
from yoi_runtime.cli.config import Look
from yoi_runtime.cli.configured_command import (
    ConfiguredCommand,
    configuration_of,
    source_of,
)
from yoi_runtime.cli.exit_codes import say
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
    parse_pty_size,
    parse_restart,
    parse_segment_size,
    parse_size,
    parse_transcript_bytes,
    parse_transcript_items,
    parse_workers,
    worker_id_from_command,
)
from yoi_runtime.cli.worker_plan import STOP_GRACE_SECONDS, WorkerPlan
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.limits import Limits
from yoi_runtime.transcript.options import TranscriptOptions
from yoi_runtime.workers.restart_policy import RestartPolicy
from yoi_runtime.workers.terminal import TerminalOptions

if TYPE_CHECKING:
    from yoi_runtime.cli.served_runtime import ServeOptions

__all__ = ["serve_command"]

_LIMITS = Limits()
DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help=help_texts.DATA_DIR)]
Bind = Annotated[str, typer.Option("--bind", metavar="HOST:PORT", help=help_texts.BIND)]
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
_DEFAULT_BIND = f"{DEFAULT_HOST}:{DEFAULT_PORT}"
_DEFAULT_STOP_GRACE = f"{STOP_GRACE_SECONDS:g}s"
_DEFAULT_PTY_SIZE = f"{TerminalOptions().columns}x{TerminalOptions().rows}"


@app.command("serve", cls=ConfiguredCommand, help=help_texts.SERVE, epilog=help_texts.SERVE_END)
def serve_command(
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
    max_pings_per_second: Annotated[
        int, typer.Option("--max-pings-per-second", metavar="N", min=1, help=help_texts.MAX_PINGS)
    ] = _LIMITS.pings_per_second,
    max_inbound_bytes_per_second: Annotated[
        str | None, typer.Option("--max-inbound-bytes-per-second", metavar="N", help=help_texts.MAX_INBOUND_BYTES)
    ] = None,
    reserve_descriptors: Annotated[
        int, typer.Option("--reserve-descriptors", metavar="N", min=0, help=help_texts.RESERVE_DESCRIPTORS)
    ] = _LIMITS.reserve_descriptors,
    restart: Annotated[
        str, typer.Option("--restart", metavar="never|on-failure|always", help=help_texts.RESTART)
    ] = "never",
    stop_grace: Annotated[
        str, typer.Option("--stop-grace", metavar="DURATION", help=help_texts.STOP_GRACE)
    ] = _DEFAULT_STOP_GRACE,
    pty: Pty = False,
    pty_size: PtySize = _DEFAULT_PTY_SIZE,
    pty_keep_codes: PtyKeepCodes = False,
    config: Config = None,
    log_format: LogFormatName = "text",
    log_level: LogLevel = "warning",
) -> None:
    """Serve until a signal; with a ``Look`` in the context, only judge what was given."""
    _set_up_log(context, log_format, log_level)
    specs = read_option(context, "--worker", parse_workers, worker or [])
    terminal = _terminal(context, pty_size, pty_keep_codes)
    for_all = WorkerPlan(
        "",
        (),
        read_option(context, "--adapter", parse_adapter, adapter),
        terminal=terminal if pty else None,
        restart=RestartPolicy(read_option(context, "--restart", parse_restart, restart)),
        stop_grace_seconds=read_option(context, "--stop-grace", parse_linger, stop_grace),
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
        header_seconds=read_option(context, "--header-timeout", parse_duration, header_timeout),
        pings_per_second=max_pings_per_second,
        reserve_descriptors=reserve_descriptors,
    )
    if max_header_bytes is not None:
        size = read_option(context, "--max-header-bytes", parse_size, max_header_bytes)
        limits = read_option(context, "--max-header-bytes", lambda size: replace(limits, header_bytes=size), size)
    if max_inbound_bytes_per_second is not None:
        name = "--max-inbound-bytes-per-second"
        size = read_option(context, name, parse_size, max_inbound_bytes_per_second)
        limits = read_option(context, name, lambda size: replace(limits, inbound_bytes_per_second=size), size)
    options = replace(options, limits=limits)
    if cache_bytes is not None:
        options = replace(options, cache_bytes=read_option(context, "--cache-bytes", parse_size, cache_bytes))
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
            "--restart": restart,
            "--stop-grace": stop_grace,
            "--pty": pty,
        }
        for name, value in for_the_writer.items():
            if value and source_of(context, name.removeprefix("--").replace("-", "_")) == "flag":
                raise typer.BadParameter("another process writes the log with --read-only", context, param_hint=name)
    from yoi_runtime.cli.serve import serve, serve_read_only

    finish(serve_read_only(options) if read_only else serve(options, plans))


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
        read_option(context, "--worker-id", check_id, name),
        tuple(command),
        read_option(context, "--adapter", parse_adapter, adapter),
        terminal=terminal if pty else None,
    )
    options = _serve_options(context, data_dir, bind, segment_bytes, retain_bytes, retain_age, durability)
    options = replace(options, access=_access(context, token_file, insecure_no_token, tls_cert, tls_key, allow_host))
    linger_seconds = read_option(context, "--linger", parse_linger, linger)
    reconnect_seconds = read_option(context, "--reconnect", or_no_limit(parse_duration), reconnect)
    if config is not None and source_of(context, "config") == "default":
        say(f"configuration {config}")
    from yoi_runtime.cli.run import run

    finish(run(options, worker, linger_seconds, reconnect_seconds))


def _terminal(context: typer.Context, size: str, keep_codes: bool) -> TerminalOptions:
    columns, rows = read_option(context, "--pty-size", parse_pty_size, size)
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
    form = read_option(context, "--log-format", parse_log_format, log_format)
    operator_log.set_up(form, read_option(context, "--log-level", parse_log_level, log_level))


def _serve_options(
    context: typer.Context,
    data_dir: Path | None,
    bind: str,
    segment_bytes: str | None,
    retain_bytes: str | None,
    retain_age: str | None,
    durability: str | None,
) -> ServeOptions:
    from yoi_runtime.cli.served_runtime import ServeOptions
    from yoi_runtime.runtime.options import RuntimeOptions

    runtime = RuntimeOptions()
    if segment_bytes is not None:
        runtime = replace(
            runtime, segment_bytes=read_option(context, "--segment-bytes", parse_segment_size, segment_bytes)
        )
    if retain_bytes is not None:
        runtime = replace(
            runtime, retain_bytes=read_option(context, "--retain-bytes", or_no_limit(parse_size), retain_bytes)
        )
    if retain_age is not None:
        age = read_option(context, "--retain-age", or_no_limit(parse_duration), retain_age)
        runtime = replace(runtime, retain_age_seconds=age)
    if durability is not None:
        runtime = replace(runtime, durability=read_option(context, "--durability", parse_durability, durability))
    return ServeOptions(chosen_data_dir(data_dir), read_option(context, "--bind", parse_bind, bind), runtime)


def _access(
    context: typer.Context,
    token_file: Path | None,
    insecure_no_token: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    allow_host: list[str] | None,
) -> ServerAccess:
    hosts = read_option(context, "--allow-host", parse_allow_hosts, allow_host or [])
    try:
        access = server_access(token_file, insecure_no_token, tls_cert, tls_key, hosts)
    except ValueError as error:
        raise typer.BadParameter(str(error), context) from None
    if (log := operator_log.installed()) is not None:
        hide_files(log, access)
    return access


def _transcript_options(context: typer.Context, items: str | None, size: str | None) -> TranscriptOptions:
    bounds = TranscriptOptions()
    if items is not None:
        bounds = replace(bounds, max_items=read_option(context, "--transcript-items", parse_transcript_items, items))
    if size is not None:
        bounds = replace(bounds, max_bytes=read_option(context, "--transcript-bytes", parse_transcript_bytes, size))
    return bounds

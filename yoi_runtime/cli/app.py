"""The program ``yoi-runtime``: its commands and options, read and handed on. What they do stands in their own modules."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import typer

from yoi_runtime.cli import help_texts
from yoi_runtime.cli.data_dir import choose_data_dir
from yoi_runtime.cli.exit_codes import ExitCode, exit_code_of, say, sentence_of, signal_exit_code
from yoi_runtime.cli.options import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    NO_LIMIT,
    WorkerSpec,
    parse_bind,
    parse_duration,
    parse_linger,
    parse_server_url,
    parse_size,
    parse_worker_id,
    parse_workers,
    worker_id_from_command,
)
from yoi_runtime.cli.run import run
from yoi_runtime.cli.serve import serve, serve_read_only
from yoi_runtime.cli.served_runtime import ServeOptions
from yoi_runtime.errors import YoiError
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.version import VERSION
from yoi_runtime.workers.adapters import AdapterName

__all__ = ["app", "run_app"]

_T = TypeVar("_T")
_PROGRAM = "yoi-runtime"

# Plain help, not Rich's: it can be piped and pasted, and square brackets in it are square brackets.
app = typer.Typer(
    help=help_texts.MAIN,
    epilog=help_texts.END,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help=help_texts.DATA_DIR)]
Bind = Annotated[str, typer.Option("--bind", metavar="HOST:PORT", help=help_texts.BIND)]
Adapter = Annotated[AdapterName, typer.Option("--adapter", metavar="auto|lines|jsonl", help=help_texts.ADAPTER)]
SegmentBytes = Annotated[str | None, typer.Option("--segment-bytes", metavar="N", help=help_texts.SEGMENT_BYTES)]
RetainBytes = Annotated[str | None, typer.Option("--retain-bytes", metavar="N", help=help_texts.RETAIN_BYTES)]
RetainAge = Annotated[str | None, typer.Option("--retain-age", metavar="DURATION", help=help_texts.RETAIN_AGE)]
DurabilityName = Annotated[
    Literal["synced", "written"] | None,
    typer.Option("--durability", metavar="synced|written", help=help_texts.DURABILITY),
]
_DEFAULT_BIND = f"{DEFAULT_HOST}:{DEFAULT_PORT}"


def run_app() -> int:
    """Run the program with ``sys.argv`` and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal in another encoding shows \u2192 where it has no arrow, instead of ending the command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        app(prog_name=_PROGRAM)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else ExitCode.OK if ended.code is None else ExitCode.FAILED
    return ExitCode.OK


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    pass

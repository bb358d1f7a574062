"""The program ``yoi-runtime``: its commands and options, read and handed on. What they do stands in their own modules.

Texts here are the manual: every option says what it does, what it takes and what it is when left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer

from yoi_runtime.cli.data_dir import choose_data_dir
from yoi_runtime.cli.exit_codes import EXIT_CODES_HELP, ExitCode, exit_code_of, say, sentence_of, signal_exit_code
from yoi_runtime.cli.options import (
    NO_LIMIT,
    WorkerSpec,
    parse_bind,
    parse_duration,
    parse_linger,
    parse_size,
    parse_workers,
    worker_id_from_command,
)
from yoi_runtime.cli.served_runtime import ServeOptions
from yoi_runtime.errors import WorkerIdInvalidError, YoiError
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.version import VERSION
from yoi_runtime.workers.worker_id import check_worker_id

__all__ = ["app", "run_app"]

_T = TypeVar("_T")

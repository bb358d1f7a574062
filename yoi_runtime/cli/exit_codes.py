"""How ``yoi-runtime`` says how it ended: its exit codes, and errors as one sentence on stderr."""

from __future__ import annotations

import logging
import os
import sys
from enum import IntEnum

from yoi_runtime.cli.operator_log import LogFormat, console_logger, installed
from yoi_runtime.cli.terminal_text import one_line
from yoi_runtime.errors import (
    ConfigurationError,
    IngestLostError,
    LogHeldError,
    OpenToAllError,
    StreamRefusedError,
    YoiError,
)
from yoi_runtime.notices import Notice, named

__all__ = ["EXIT_CODES_HELP", "ExitCode", "exit_code_of", "note", "say", "say_all", "sentence_of", "signal_exit_code"]

_program_logger = logging.getLogger("yoi_runtime.program")
_SIGNALLED = 128
_CURSOR_CODE_PREFIX = "runtime.cursor_"

EXIT_CODES_HELP = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 another process holds the log,"
    " 4 the cursor was refused, 5 the client under test failed, 6 the Runtime went away, 128+N ended by signal N (Ctrl-C 130, SIGTERM 143)."
)


class ExitCode(IntEnum):
    """What a shell sees; 128+n stands for signal n."""

    OK = 0
    FAILED = 1
    USAGE = 2
    LOG_HELD = 3
    CURSOR_REFUSED = 4
    NOT_CONFORMANT = 5
    RUNTIME_LOST = 6


def signal_exit_code(number: int) -> int:
    """Return the exit code that shells use for a process ended by signal ``number``."""
    return _SIGNALLED + number


def exit_code_of(error: YoiError | OSError) -> ExitCode:
    """Choose the exit code for an error that ends a command."""
    match error:
        case ConfigurationError() | OpenToAllError():
            return ExitCode.USAGE
        case LogHeldError():
            return ExitCode.LOG_HELD
        case IngestLostError():
            return ExitCode.RUNTIME_LOST
        case StreamRefusedError() if error.code.startswith(_CURSOR_CODE_PREFIX):
            return ExitCode.CURSOR_REFUSED
        case _:
            return ExitCode.FAILED


def sentence_of(error: YoiError | OSError) -> str:
    """Return what an error says, on one line and harmless to a terminal."""
    if isinstance(error, OSError) and not isinstance(error, YoiError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return one_line(f"{where}{error.strerror}")
    return one_line(str(error) or type(error).__name__)


def say_all(error: ConfigurationError) -> None:
    """Tell the person everything that is wrong with a configuration file, a line for each."""
    for sentence in error.sentences:
        say(one_line(sentence))


def note(sentence: str, notice: Notice, **fields: object) -> None:
    """Write something down in the log that nobody at a terminal needs to be told."""
    _program_logger.info("%s", sentence, extra=named(notice, **fields))


def say(sentence: str, notice: Notice = Notice.TOLD, **fields: object) -> None:
    """Tell the person something, on stderr: stdout belongs to the command's result. Never raises.

    Where the log is JSON nobody reads along: then it is a line of that, with its name and its ``fields``.
    """
    log = installed()
    if log is not None and log.form is LogFormat.JSON:
        console_logger.info("%s", sentence, extra=named(notice, **fields))
        return
    try:
        print(f"yoi-runtime: {sentence}", file=sys.stderr, flush=True)
    except OSError:
        pass  # Nobody is left to be told; a closed terminal must not end what still runs.

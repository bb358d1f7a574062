"""How ``yoi-runtime`` says how it ended: its exit codes, and errors as one sentence on stderr."""

from __future__ import annotations

import os
import sys
from enum import IntEnum

from yoi_runtime.cli.terminal_text import one_line
from yoi_runtime.errors import IngestLostError, LogHeldError, StreamRefusedError, YoiError

__all__ = ["EXIT_CODES_HELP", "ExitCode", "exit_code_of", "say", "sentence_of", "signal_exit_code"]

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


def say(sentence: str) -> None:
    """Tell the person something, on stderr: stdout belongs to the command's result. Never raises."""
    try:
        print(f"yoi-runtime: {sentence}", file=sys.stderr, flush=True)
    except OSError:
        pass  # Nobody is left to be told; a closed terminal must not end what still runs.

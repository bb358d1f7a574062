from __future__ import annotations

import errno
import io
import sys
from pathlib import Path

import pytest

from yoi_runtime.cli.exit_codes import EXIT_CODES_HELP, ExitCode, exit_code_of, say, sentence_of, signal_exit_code
from yoi_runtime.errors import (
    IngestLostError,
    IngestRefusedError,
    LogHeldError,
    LogNotFoundError,
    StreamConnectError,
    StreamRefusedError,
    YoiError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LogHeldError(Path("/d"), 7), 3),
        (LogNotFoundError(Path("/d")), 1),
        (StreamRefusedError("u", {"code": "runtime.cursor_expired"}), 4),
        (StreamRefusedError("u", {"code": "runtime.cursor_of_a_later_version"}), 4),
        (StreamRefusedError("u", {"code": "runtime.forbidden"}), 1),
        (StreamRefusedError("u", {}), 1),
        (StreamConnectError("u", "r"), 1),
        (IngestLostError("nobody listens", 1.0, 0), 6),
        (IngestRefusedError("worker_running", "r"), 1),
        (OSError(errno.EADDRINUSE, "Address already in use"), 1),
    ],
)
def test_an_error_has_its_exit_code(error: YoiError | OSError, code: int):
    assert exit_code_of(error) == code


def test_a_signal_has_its_exit_code():
    assert signal_exit_code(15) == 143


def test_the_help_has_every_code():
    assert all(f" {code.value} " in EXIT_CODES_HELP for code in ExitCode)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (LogHeldError(Path("/d"), 7), "/d: the log is held for writing by process 7"),
        (OSError(errno.EACCES, "Permission denied", "/d"), "/d: Permission denied"),
        (OSError(errno.EACCES, "Permission denied", b"/d"), "/d: Permission denied"),
        (OSError(errno.EADDRINUSE, "Address already in use"), "Address already in use"),
        (OSError("odd"), "odd"),
        (TimeoutError(), "TimeoutError"),
        (StreamRefusedError("u", {"code": "c", "message": "a\nb\x1b[1m"}), "u refused: c: a⏎b␛[1m"),
    ],
)
def test_an_error_is_one_harmless_sentence(error: YoiError | OSError, sentence: str):
    assert sentence_of(error) == sentence


def test_what_is_said_goes_to_stderr(capsys: pytest.CaptureFixture[str]):
    say("a sentence")
    assert capsys.readouterr() == ("", "yoi-runtime: a sentence\n")


def test_a_terminal_that_is_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch):
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(sys, "stderr", Gone())
    say("to nobody")

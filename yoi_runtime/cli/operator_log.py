"""The program's own log, on stderr: everything that logs, Tornado and asyncio included, comes through one handler.

As text for a terminal, or as one JSON object a line (``--log-format json``) for a program that collects them:

    {"time":"2026-01-31T23:59:59.123456Z","level":"warning","event":"subscriber_too_slow","message":"…","close_code":4508}

``event`` is a name of ``yoi_runtime.notices``. Fields are bounded in number and length, controls are escaped, names that
flood are counted instead of written (``notice_rate``), a stack is a list of places in modules. The directories and files
that the operator gave are written as the names of their options, never as they are: ``hide`` tells them.
What is written and what to do about it: docs/operations.md, "Log events".
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType

from yoi_runtime.cli.notice_rate import NoticeRate
from yoi_runtime.cli.terminal_text import one_line
from yoi_runtime.notices import FIELDS_ATTRIBUTE, NOTICE_ATTRIBUTE, Notice, named

__all__ = ["LOG_LEVELS", "LogFormat", "OperatorLog", "arguments", "console_logger", "installed", "set_up"]

LOG_LEVELS = ("debug", "info", "warning", "error")
MAX_MESSAGE = 1024
MAX_FIELD = 256
MAX_FIELDS = 16
MAX_STACK = 32
# Whatever is said to the person at the terminal; as JSON it goes through here, too.
console_logger = logging.getLogger("yoi_runtime.cli")


class LogFormat(StrEnum):
    """What a line looks like."""

    TEXT = "text"
    JSON = "json"


class OperatorLog(logging.Handler):
    """Writes every record that comes to it, in one form. Any thread."""

    def __init__(
        self,
        form: LogFormat = LogFormat.TEXT,
        rate: NoticeRate | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.form = form
        self._rate = rate or NoticeRate()
        self._monotonic = monotonic
        self._hidden: dict[str, str] = {}
        self._timer: threading.Timer | None = None

    def hide(self, path: Path, name: str) -> None:
        """Write ``name`` wherever a text has ``path``, also where that is reached through links."""
        with self.lock or contextlib.nullcontext():
            for shown in (str(path.absolute()), str(path.resolve())):
                if len(shown) > 1:
                    self._hidden[shown] = name
            # The longest first: one may lie in another.
            self._hidden = dict(sorted(self._hidden.items(), key=lambda item: -len(item[0])))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it. Called by ``logging``, with the handler's lock."""
        try:
            now = self._monotonic()
            self._tell_suppressed(self._rate.over(now))
            if self._rate.admits(_kind_of(record), now):
                self._write(self.line(record))
            elif self._timer is None and (left := self._rate.seconds_left(now)) is not None:
                self._timer = threading.Timer(left, self._tell_in_time)
                self._timer.daemon = True
                self._timer.start()
        except Exception:  # noqa: BLE001 - as every handler of logging: what cannot be told must not end what runs
            self.handleError(record)

    def close(self) -> None:
        """Write what is still held back as a count."""
        with self.lock or contextlib.nullcontext():
            if self._timer is not None:
                self._timer.cancel()
            self._tell_suppressed(self._rate.rest())
        super().close()

    def _tell_in_time(self) -> None:
        with self.lock or contextlib.nullcontext():
            self._timer = None
            self._tell_suppressed(self._rate.over(self._monotonic()))

    def _tell_suppressed(self, counts: list[tuple[str, int]]) -> None:
        for name, count in counts:
            text = f"suppressed {count} more of {name}"
            record = console_logger.makeRecord(
                console_logger.name,
                logging.WARNING,
                "",
                0,
                text,
                (),
                None,
                extra=named(Notice.SUPPRESSED, of=name, count=count),
            )
            self._write(self.line(record))

    @staticmethod
    def _write(line: str) -> None:
        # Looked up at each line: whoever exchanges sys.stderr means us, too.
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def line(self, record: logging.LogRecord) -> str:
        """Return a record as the line that stands for it."""
        name, message = _name_of(record), self._bounded(record.getMessage(), MAX_MESSAGE)
        fields: dict[str, object] = dict(getattr(record, FIELDS_ATTRIBUTE, {}))
        if name == Notice.LIBRARY:
            fields["logger"] = record.name
        told = {
            self._bounded(str(key), MAX_FIELD): self._value(value) for key, value in list(fields.items())[:MAX_FIELDS]
        }
        stack = self._stack(record)
        if self.form is LogFormat.TEXT:
            return self._text(record, name, message, told, stack)
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        head = {"time": moment, "level": record.levelname.lower(), "event": name, "message": message}
        # ASCII alone: no terminal, pager or collector finds anything in it that steers. The head wins over a field of its name.
        ended = {"stack": stack} if stack else {}
        return json.dumps({**head, **told, **head, **ended}, separators=(",", ":"))

    def _text(
        self, record: logging.LogRecord, name: str, message: str, fields: dict[str, object], stack: list[str]
    ) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        more = "".join(f" {key}={one_line(str(value))}" for key, value in fields.items())
        lines = [f"{moment} {record.levelname} {name}: {one_line(message)}{more}"]
        return "\n".join([*lines, *(f"    {one_line(place)}" for place in stack)])

    def _value(self, value: object) -> object:
        if value is None or isinstance(value, bool | float):
            return value
        return int(value) if isinstance(value, int) else self._bounded(str(value), MAX_FIELD)

    def _bounded(self, text: str, most: int) -> str:
        for path, name in self._hidden.items():
            text = text.replace(path, name)
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
        return text if len(text) <= most else f"{text[:most]}…"

    def _stack(self, record: logging.LogRecord) -> list[str]:
        """Return what an exception says and where it came from, innermost last: modules and lines, no directories."""
        if not record.exc_info or record.exc_info[1] is None:
            return []
        error = record.exc_info[1]
        places = [
            f"{_module_path(frame.filename)}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)[-MAX_STACK:]
        ]
        return [*places, self._bounded(f"{type(error).__name__}: {error}", MAX_MESSAGE)]


def _module_path(filename: str) -> str:
    """Return a source file without the directory in which its package is installed."""
    parts = Path(filename).parts
    for package in ("yoi_runtime", "yoi_log", "site-packages"):
        if package in parts[:-1]:
            index = len(parts) - 1 - parts[::-1].index(package)
            return "/".join(parts[index + (package == "site-packages") :])
    return parts[-1] if parts else filename


def _name_of(record: logging.LogRecord) -> str:
    return str(getattr(record, NOTICE_ATTRIBUTE, Notice.LIBRARY))


def _kind_of(record: logging.LogRecord) -> str:
    """Return of what not too much is to be written: a library that peers can make talk must not silence the others."""
    name = _name_of(record)
    return f"{name} {record.name}" if name == Notice.LIBRARY else name


_installed: list[OperatorLog] = []


def installed() -> OperatorLog | None:
    """Return the handler of this process, None before ``set_up``."""
    return _installed[-1] if _installed else None


def set_up(form: LogFormat = LogFormat.TEXT, level: str = "warning") -> OperatorLog:
    """Send everything that is logged in this process to one new handler; the one before goes.

    As JSON also what Python itself would print: warnings, and the exceptions that end the program or a thread.
    """
    root, handler = logging.getLogger(), OperatorLog(form)
    for before in _installed:
        root.removeHandler(before)
        handler._hidden.update(before._hidden)
    _installed[:] = [handler]
    root.addHandler(handler)
    root.setLevel(level.upper())
    # A person who is told things is told them whatever level the log has.
    console_logger.setLevel(min(logging.INFO, root.level))
    if form is LogFormat.JSON:
        logging.captureWarnings(True)
        sys.excepthook = _crashed
        threading.excepthook = lambda ended: _crashed(ended.exc_type, ended.exc_value, ended.exc_traceback)
    return handler


def arguments() -> tuple[str, str]:
    """Return form and level as words, for another process of the same program."""
    log = installed()
    return (log.form if log is not None else LogFormat.TEXT).value, logging.getLevelName(
        logging.getLogger().level
    ).lower()


def _crashed(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None:
        console_logger.critical(
            "a thread was ended by %s",
            kind.__name__,
            exc_info=(kind, error, trace),
            extra=named(Notice.COMMAND_CRASHED),
        )

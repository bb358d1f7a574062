"""The program as a person starts it: a process of its own, with its output in files and a deadline on everything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.codebase.tree import ROOT
from tests.support.deadline import wait_until
from tests.support.leak_watch import WATCH

__all__ = [
    "DEADLINE_SECONDS",
    "Program",
    "environment",
    "eventually",
    "json_lines",
    "python_command",
    "run_program",
    "server_url",
    "start_program",
]

# Generous: reached by a failing test alone.
DEADLINE_SECONDS = 30.0

_T = TypeVar("_T")


def eventually(predicate: Callable[[], _T]) -> _T:
    """Wait until ``predicate`` is true, as long as the start of a program may take on a busy machine."""
    return wait_until(predicate, DEADLINE_SECONDS)


class Program:
    """A running ``yoi-runtime``."""

    def __init__(self, process: subprocess.Popen[bytes], stdout: Path, stderr: Path) -> None:
        self._process = process
        self._stdout = stdout
        self._stderr = stderr

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> str:
        return self._stdout.read_text("utf-8")

    @property
    def stderr(self) -> str:
        return self._stderr.read_text("utf-8")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, deadline_seconds: float = DEADLINE_SECONDS) -> int:
        """Return the exit code, as ``subprocess`` gives it."""
        return self._process.wait(deadline_seconds)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_for_stdout(self, part: str) -> str:
        wait_until(lambda: part in self.stdout or not self.is_running(), DEADLINE_SECONDS, part)
        assert part in self.stdout, (self.stdout, self.stderr)
        return self.stdout

    def wait_for_stderr(self, part: str) -> str:
        wait_until(lambda: part in self.stderr or not self.is_running(), DEADLINE_SECONDS, part)
        assert part in self.stderr, (self.stdout, self.stderr)
        return self.stderr

    def stop(self) -> int:
        """Ask it to end, and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without what would change the program's behaviour."""
    dropped = ("YOI_DATA_DIR", "XDG_DATA_HOME", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "PYTHONWARNINGS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "COLUMNS": "100", **variables}


@contextmanager
def start_program(directory: Path, *arguments: str, **variables: str) -> Iterator[Program]:
    """Start ``yoi-runtime arguments`` in ``directory``; what still runs at the end of the block is killed."""
    number = len(list(directory.glob("*.out")))
    stdout, stderr = directory / f"{number}.out", directory / f"{number}.err"
    with ExitStack() as stack:
        process = subprocess.Popen(
            [sys.executable, "-m", "yoi_runtime", *arguments],
            cwd=directory,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=stack.enter_context(stdout.open("wb")),
            stderr=stack.enter_context(stderr.open("wb")),
        )
    try:
        yield Program(process, stdout, stderr)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(DEADLINE_SECONDS)
        WATCH.program(stderr.read_text("utf-8", "replace"))


def run_program(directory: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``yoi-runtime arguments`` to its end."""
    ended = subprocess.run(
        [sys.executable, "-m", "yoi_runtime", *arguments],
        cwd=directory,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    WATCH.program(ended.stderr)
    return ended


def server_url(data_dir: Path, program: Program) -> str:
    """Return the address in ``server.json``, once ``program`` has written it."""

    def written() -> dict[str, Any] | None:
        assert program.is_running(), (program.stdout, program.stderr)
        try:
            fields = json.loads((data_dir / "server.json").read_bytes())
        except FileNotFoundError:
            return None
        return fields if fields["pid"] == program.pid else None

    fields = wait_until(written, DEADLINE_SECONDS, "server.json")
    assert fields is not None
    return str(fields["url"])


def json_lines(text: str) -> list[dict[str, Any]]:
    """Return the envelopes of what ``tail --json`` printed; a line that is not whole yet is left out."""
    return [json.loads(line)["envelope"] for line in text.split("\n")[:-1]]


def python_command(code: str) -> Sequence[str]:
    """Return a command that runs ``code`` in a new Python, fast to start."""
    return [sys.executable, "-I", "-S", "-u", "-c", code]

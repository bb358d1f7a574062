"""Logs for the log tools to look at, and the tools run as a person runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.codebase.tree import ROOT
from yoi_runtime.events import TextDelta, TextDone
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime

__all__ = ["GOLDEN", "RECORDINGS", "make_log", "yoi_log"]

GOLDEN = ROOT / "tests" / "golden" / "v1"
RECORDINGS = ROOT / "tests" / "yoi_log" / "recordings"


def make_log(data_dir: Path, *, events: int = 60, retain_bytes: int | None = None) -> Path:
    """Return ``data_dir`` with a closed log: Worker ``coder`` with ``events`` deltas, ``helper`` with a tenth of them."""
    options = RuntimeOptions(segment_bytes=4096, retain_bytes=retain_bytes, retain_age_seconds=None)
    with Runtime.open(data_dir, options) as runtime:
        coder, helper = runtime.create_worker("coder"), runtime.create_worker("helper")
        for number in range(events):
            coder.emit(TextDelta(text=f"piece {number}"))
            if number % 10 == 9:
                helper.emit(TextDone(text=f"whole {number}"))
        coder.end("completed")
    return data_dir


def yoi_log(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own, away from any terminal."""
    command = [sys.executable, "-W", "error", "-m", "yoi_log", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT / "tools", capture_output=True, text=True, check=False)

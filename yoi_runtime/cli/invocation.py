"""How this program was called, so that a command it shows can be pasted."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

__all__ = ["PROGRAM", "program"]

PROGRAM = "yoi-runtime"


def program(argv0: str | None = None) -> str:
    """Return the words that start this program in the user's shell. ``argv0``: None means this process's own."""
    called = Path(sys.argv[0] if argv0 is None else argv0)
    if called.name == "__main__.py":
        return f"{sys.executable} -m yoi_runtime"
    found = shutil.which(PROGRAM)
    if called.name != PROGRAM or (found is not None and Path(found).resolve() == called.resolve()):
        return PROGRAM
    return str(called)

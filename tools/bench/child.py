"""One measurement is one fresh process: no heap, cache or thread of the last one is in its way.

    python -m tools.bench.child MODULE FUNCTION ARGUMENTS

calls ``tools.bench.MODULE.FUNCTION(**ARGUMENTS)`` and prints what it returns; both are JSON. Standard library
alone: the peers' interpreter runs this too.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["MeasurementError", "measure"]

_ROOT = Path(__file__).resolve().parents[2]


class MeasurementError(Exception):
    """A measuring process failed; the text is what it said."""


def measure(module: str, function: str, *, python: Path | None = None, may_die: bool = False, **arguments: Any) -> Any:
    """Return what a function of ``tools.bench`` returns in a fresh process; ``python`` is another environment's.

    ``may_die``: the function ends by killing its process; the answer is then None.

    Raises:
        MeasurementError: it failed.
    """
    program = [str(python or sys.executable), "-m", "tools.bench.child"]
    command = [*program, module, function, json.dumps(arguments)]
    ended = subprocess.run(command, cwd=_ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if may_die and ended.returncode < 0:
        return None
    if ended.returncode != 0:
        raise MeasurementError(f"{module}.{function} failed with status {ended.returncode}\n{ended.stderr.strip()}")
    return json.loads(ended.stdout)


def _main(module: str, function: str, arguments: str) -> None:
    called = getattr(importlib.import_module(f"tools.bench.{module}"), function)
    print(json.dumps(called(**json.loads(arguments))))


if __name__ == "__main__":
    _main(*sys.argv[1:])

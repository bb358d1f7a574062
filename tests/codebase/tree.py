"""The files that tests about the tree look at."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["LOG_TOOLS", "PACKAGE", "ROOT", "modules", "pyproject"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "yoi_runtime"
LOG_TOOLS = ROOT / "tools" / "yoi_log"


def modules(directory: Path = PACKAGE) -> Iterator[Path]:
    """Yield every Python file below ``directory``, in order."""
    yield from sorted(path for path in directory.rglob("*.py") if "__pycache__" not in path.parts)


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

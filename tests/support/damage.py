"""Damage to files, as a bad disk does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

__all__ = ["damage"]


def damage(path: Path, change: Callable[[bytearray], object]) -> None:
    """Let ``change`` work on the bytes of the file at ``path``, in place."""
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)

"""A report of deliveries that clients write to a file, followed while it grows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from yoi_runtime.conformance.deliveries import Deliveries

__all__ = ["follow_file"]

# A file tells nobody that it has grown; five times as often as a case waits for a cursor to be stored.
_LOOK_SECONDS: Final = 0.04


async def follow_file(path: Path, deliveries: Deliveries) -> None:
    """Give each whole line of ``path``, which need not exist yet, to ``deliveries``. Runs until it is cancelled."""
    at, unread = 0, b""
    while True:
        for piece in _piece(path, at):
            at += len(piece)
            *lines, unread = (unread + piece).split(b"\n")
            for line in lines:
                deliveries.line(line.decode("utf-8", "replace"))
        await asyncio.sleep(_LOOK_SECONDS)


def _piece(path: Path, at: int) -> list[bytes]:
    """Return what stands behind ``at``, if anything."""
    try:
        with path.open("rb") as file:
            file.seek(at)
            piece = file.read()
    except FileNotFoundError:
        return []
    return [piece] if piece else []

"""Keys and a status line for a served replay, when stdin and stderr are a terminal; nothing otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator

from yoi_log.pace import FLAT_OUT
from yoi_log.replay_server import ReplayStatus

__all__ = ["KEYS", "keys_in", "on_keys", "status_line"]

KEYS = "space pause, ← → 5 s back and on, ↑ ↓ faster and slower, Ctrl-C end"
_ARROWS = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1b[C": "right", b"\x1b[D": "left"}
_MARKS = {"playing": "▶", "paused": "⏸", "ended": "■"}


def keys_in(data: bytes) -> list[str]:
    """Return the keys that these bytes of a terminal mean; those that mean nothing here are passed over."""
    found, at = [], 0
    while at < len(data):
        if (arrow := _ARROWS.get(data[at : at + 3].replace(b"\x1bO", b"\x1b["))) is not None:
            found.append(arrow)
            at += 3
            continue
        if data[at : at + 1] == b" ":
            found.append("space")
        at += 1
    return found


def status_line(status: ReplayStatus) -> str:
    """Return where a replay is, in one line."""
    speed = "max" if status.speed == FLAT_OUT else f"{status.speed:g}x"
    turn = f"  turn {status.turn}" if status.turn > 1 else ""
    return (
        f"{_MARKS[status.state]} {_clock(status.now_us - status.from_us)} / {_clock(status.to_us - status.from_us)}"
        f"  {speed}  seq {status.seq}  {status.subscribers} connected{turn}"
    )


def _clock(us: int) -> str:
    seconds = max(0, us) // 1_000_000
    hours = f"{seconds // 3600}:" if seconds >= 3600 else ""
    return f"{hours}{seconds // 60 % 60:02}:{seconds % 60:02}"


@contextlib.contextmanager
def on_keys(act: Callable[[str], None]) -> Iterator[bool]:
    """Call ``act`` with each key while the block lasts; gives whether there is a terminal. Inside a running loop."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        yield False
        return
    loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()

    def read() -> None:
        for key in keys_in(os.read(fd, 64)):
            act(key)

    before = termios.tcgetattr(fd)
    # Keys one by one and unseen; Ctrl-C stays a signal.
    tty.setcbreak(fd)
    loop.add_reader(fd, read)
    try:
        yield True
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)

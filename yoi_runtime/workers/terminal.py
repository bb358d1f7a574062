"""A pseudo-terminal for a child process: made, sized, and taken by the child as its own.

The child finds it on stdin, stdout and stderr, and as its controlling terminal. Nobody types: what reads from it waits.
``terminal_text.py`` takes the codes out of what is written to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["TerminalOptions", "open_terminal", "take_terminal", "terminal_environment"]

_TYPE: Final = "xterm-256color"
_MOST: Final = 10_000
# They speak of the terminal that we were started in, if any. Programs believe them more than the terminal's own size.
_SIZE_VARIABLES: Final = ("COLUMNS", "LINES")


@dataclass(frozen=True, slots=True)
class TerminalOptions:
    """A window of so many characters; wider than usual, for programs cut and break lines at its edge.

    ``keep_codes``: leave what is written as it is, codes and all.
    """

    columns: int = 120
    rows: int = 40
    keep_codes: bool = False

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a window that no program expects."""
        if not (1 <= self.columns <= _MOST and 1 <= self.rows <= _MOST):
            raise ValueError(f"a window has 1 to {_MOST} columns and rows")


def open_terminal(options: TerminalOptions) -> tuple[int, int]:
    """Return the two ends of a new terminal: ours to read from, the child's. Neither is inherited by chance.

    Raises:
        OSError: there is none to be had.
    """
    ours, childs = os.openpty()
    try:
        fcntl.ioctl(childs, termios.TIOCSWINSZ, struct.pack("HHHH", options.rows, options.columns, 0, 0))
    except OSError:
        os.close(ours)
        os.close(childs)
        raise
    return ours, childs


def take_terminal(first: Callable[[], None] | None) -> Callable[[], None]:
    """Return what the child must call between fork and exec, after ``first``: its stdin becomes its controlling terminal.

    For a child that leads a session of its own and has the terminal on its stdin already. Looks nothing up in the
    child; see ``parent_death.py``.
    """
    ioctl, request = fcntl.ioctl, termios.TIOCSCTTY

    def in_child() -> None:
        if first is not None:
            first()
        ioctl(0, request, 0)

    return in_child


def terminal_environment(inherited: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child on a terminal: what it inherits, with the terminal's type, and its own."""
    environment = {**inherited, "TERM": _TYPE}
    for name in _SIZE_VARIABLES:
        with contextlib.suppress(KeyError):
            del environment[name]
    return {**environment, **own}

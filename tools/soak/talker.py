"""The Worker of a soak: writes lines at a steady rate, for ever. Standard library alone."""

from __future__ import annotations

import sys
import threading

__all__ = ["talk"]

_TICK_SECONDS = 0.05


def talk(lines_per_second: float, line_bytes: int) -> None:
    """Write so many lines of so many bytes each second; they differ."""
    pause, number, due = threading.Event(), 0, 0.0
    while True:
        due += lines_per_second * _TICK_SECONDS
        while number < due:
            number += 1
            print(f"{number:012d} ".ljust(line_bytes, "x"))
        sys.stdout.flush()
        pause.wait(_TICK_SECONDS)


if __name__ == "__main__":
    talk(float(sys.argv[1]), int(sys.argv[2]))

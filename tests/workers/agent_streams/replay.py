"""Print a stream as the agent did: each line at its time. ``replay.py FILE [SPEED]``; SPEED 0: all at once."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path


def main(path: str, speed: float) -> None:
    start, tick = time.monotonic(), threading.Event()
    for row in Path(path).read_bytes().split(b"\n")[:-1]:
        milliseconds, _, line = row.partition(b"\t")
        if speed:
            tick.wait(max(0.0, start + int(milliseconds) / 1000 / speed - time.monotonic()))
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)

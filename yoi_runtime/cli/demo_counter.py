"""The demo's second Worker: an ordinary program that prints lines, and has never heard of events.

Counts the lines of the larger packages in this Python's own library, with pauses so that one can watch.
"""

from __future__ import annotations

import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PROGRAM_FILE", "count_lines", "main"]

PROGRAM_FILE = Path(__file__)

_PAUSE_SECONDS = 0.8
_MIN_FILES = 8


def count_lines(library: Path) -> Iterator[str]:
    """Yield a line of text for each package of at least 8 files directly in ``library``."""
    for package in sorted(library.iterdir()):
        files = list(package.glob("*.py")) if package.name.isalpha() else []
        if len(files) >= _MIN_FILES:
            lines = sum(file.read_bytes().count(b"\n") for file in files)
            yield f"{package.name}: {lines} lines in {len(files)} files"


def main(pace: float = 1.0) -> None:
    """Print the counts; ``pace`` stretches the pauses."""
    never = threading.Event()
    for line in count_lines(Path(sysconfig.get_path("stdlib"))):
        print(line, flush=True)
        if pace > 0:
            never.wait(_PAUSE_SECONDS * pace)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)

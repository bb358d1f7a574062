"""What a bench is given: how large, how often, where, and the logs that several benches share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tools.bench.child import MeasurementError, measure

__all__ = ["LargeLog", "Setting", "Shelf"]

# Left free on the disk, beside the logs.
_SPARE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class LargeLog:
    """A log that was made for a bench; ``cursors`` are tokens of records spread over it."""

    data_dir: Path
    segment_bytes: int
    cursors: tuple[str, ...]

    @property
    def arguments(self) -> dict[str, Any]:
        """Return what a measuring process needs to open it."""
        return {"data_dir": str(self.data_dir), "segment_bytes": self.segment_bytes}


class Shelf:
    """The large logs of one run: each is made when a bench first asks for it and deleted at the end."""

    def __init__(self, directory: Path, *, quick: bool, say: Callable[[str], None]) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="yoi-bench-", dir=directory))
        self._quick = quick
        self._say = say
        self._logs: dict[tuple[int, int], LargeLog] = {}

    @property
    def directory(self) -> Path:
        """Return the directory for everything of this run; all in it is deleted at the end."""
        return self._root

    def log(self, segments: int, segment_mib: int = 16) -> LargeLog:
        """Return a cleanly closed log of so many segments of that size; a quick run's are fewer and tiny.

        Raises:
            MeasurementError: there is no room for it.
        """
        log = self._logs.get((segments, segment_mib))
        if log is None:
            log = self._logs[segments, segment_mib] = self._make(segments, segment_mib)
        return log

    def _make(self, segments: int, segment_mib: int) -> LargeLog:
        segment_bytes = segment_mib << 20
        if self._quick:
            segments, segment_bytes = max(3, segments // 16), segment_bytes // 256
        size = segments * segment_bytes
        free = shutil.disk_usage(self._root).free
        if free < size + (0 if self._quick else _SPARE_BYTES):
            raise MeasurementError(
                f"{free / 1e9:.1f} GB are free in {self._root.parent}; a log of {size / 1e9:.1f} GB is to be made there"
            )
        self._say(f"making a log of {size / 1e6:,.2f} MB in {segments} segments")
        data_dir = self._root / f"log-{segments}-{segment_mib}"
        cursors = measure("large_log", "make", data_dir=str(data_dir), size_bytes=size, segment_bytes=segment_bytes)
        return LargeLog(data_dir, segment_bytes, tuple(cursors))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._root)


@dataclass(frozen=True, slots=True)
class Setting:
    """``install``: whether a bench may install what its peers need. ``say`` speaks to the person who waits."""

    shelf: Shelf
    rounds: int
    quick: bool
    install: bool
    say: Callable[[str], None]

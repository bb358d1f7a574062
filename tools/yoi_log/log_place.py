"""Where a log is: people name the data directory, or the directory ``log`` in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yoi_runtime.catalog.catalog import CATALOG
from yoi_runtime.errors import LogNotFoundError
from yoi_runtime.segment_log.segment import segment_number
from yoi_runtime.segment_log.watermark import COMMITTED

__all__ = ["LogPlace", "find_log"]

_LOG = "log"


@dataclass(frozen=True, slots=True)
class LogPlace:
    """``log_directory`` holds the segments; ``data_directory`` the catalog, None when only the segments were found."""

    log_directory: Path
    data_directory: Path | None


def find_log(directory: Path) -> LogPlace:
    """Return the log that ``directory`` is, or holds. Touches nothing.

    Raises:
        LogNotFoundError: neither a segment nor a watermark is there.
        OSError: the directory cannot be read.
    """
    if _is_log(directory / _LOG):
        return LogPlace(directory / _LOG, directory)
    if _is_log(directory):
        beside = directory.parent
        return LogPlace(directory, beside if (beside / CATALOG).exists() else None)
    raise LogNotFoundError(directory)


def _is_log(directory: Path) -> bool:
    if not directory.is_dir():
        return False
    return any(path.name == COMMITTED or segment_number(path.name) is not None for path in directory.iterdir())

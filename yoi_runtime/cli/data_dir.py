"""Where a Runtime keeps its data when nobody says: after the XDG Base Directory Specification."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["DATA_DIR_VARIABLE", "choose_data_dir"]

DATA_DIR_VARIABLE = "YOI_DATA_DIR"
_NAME = "yoi-runtime"


def choose_data_dir(given: Path | None, environment: Mapping[str, str], home: Path) -> Path:
    """Return the data directory, absolute: as given, else $YOI_DATA_DIR, else the XDG place. Touches nothing."""
    if given is not None:
        return given.expanduser().absolute()
    if named := environment.get(DATA_DIR_VARIABLE):
        return Path(named).expanduser().absolute()
    base = Path(environment.get("XDG_DATA_HOME") or "")
    # The specification: a relative path is invalid and is to be ignored.
    return (base if base.is_absolute() else home / ".local" / "share") / _NAME

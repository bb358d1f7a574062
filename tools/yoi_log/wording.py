"""Numbers, sizes and times in words, the same in every command."""

from __future__ import annotations

__all__ = ["count", "size", "time_text"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def count(number: int, thing: str) -> str:
    """Return ``1 event``, ``1,234 events``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def size(number_bytes: int) -> str:
    """Return a size in binary units with three figures at most: ``999 B``, ``1.5 MiB``."""
    value = float(number_bytes)
    unit = 0
    while value >= 1023.5 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    digits = 0 if unit == 0 or value >= 99.95 else 1
    return f"{value:.{digits}f} {_UNITS[unit]}"


def time_text(time: str | None) -> str:
    """Return a record's time to the second, ``2026-11-22 17:37:23Z``; "" for none."""
    return "" if not time else f"{time[:19].replace('T', ' ')}Z"

"""Numbers, sizes and times in words, the same in every command."""

from __future__ import annotations

__all__ = ["count", "size", "span", "time_text"]

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


def span(seconds: float) -> str:
    """Return a duration with two figures or two units: ``340 µs``, ``12 ms``, ``1.5 s``, ``3 min 20 s``, ``2 d 4 h``."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.0f} {unit}"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for large, first, small, second in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= large:
            rest = whole % large // small
            return f"{whole // large} {first}" + (f" {rest} {second}" if rest else "")
    return f"{whole} s"

"""Members of the engine's own JSON lines, read strictly.

A checksum says that a line is as it was written, not that a sound program wrote it. What is not a number of the
right size is refused here, where the file can still be named, and not somewhere in the middle of an append.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["hex_id", "hex_number", "parse_object", "whole_number"]

_HEX_ID = re.compile(r"[0-9a-f]{16}")


def parse_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object in ``line``. Raises ``ValueError`` for anything else."""
    try:
        found = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def whole_number(value: object, bits: int = 56) -> int:
    """Return ``value`` if it is a whole number from 0 on that fits in ``bits`` (56: what a token has for a seq).

    Raises:
        ValueError: it is anything else.
    """
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise ValueError(f"{value!r:.40} is not a whole number of at most {bits} bits")
    return value


def hex_id(value: object) -> str:
    """Return ``value`` if it is 16 hexadecimal digits. Raises ``ValueError`` for anything else."""
    if not isinstance(value, str) or not _HEX_ID.fullmatch(value):
        raise ValueError(f"{value!r:.40} is not 16 hexadecimal digits")
    return value


def hex_number(value: object) -> int:
    """Return the number that 16 hexadecimal digits say. Raises ``ValueError`` for anything else."""
    return int(hex_id(value), 16)

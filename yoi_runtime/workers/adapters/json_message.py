"""One JSON object of a program we do not know well: parsed leniently, read without ever raising.

Agents print what their tools gave them, so a line may hold half an emoji or a key twice. Such a line is
mended, not refused: lone surrogates become U+FFFD, numbers that are not finite null; of repeated keys the last counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import TypeAlias

from pydantic_core import from_json, to_json

from yoi_runtime.workers.adapters.line_adapters import JSON_SPACE

__all__ = ["Message", "count", "json_text", "object_in", "objects", "parse_message", "string", "sum_of", "summary_of"]

Message: TypeAlias = Mapping[str, object]

# A message is kept four levels down in a record (record, envelope, data, item), and a payload may have 100.
MAX_LEVELS = 90
SUMMARY_CHARACTERS = 120
_MAX_COUNT = 2**64 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_message(text: str) -> dict[str, object] | None:
    """Return the object in ``text``; None when it is none, or nested deeper than 90 levels."""
    if not text.lstrip(JSON_SPACE).startswith("{"):
        return None
    try:
        try:
            value = from_json(text, allow_inf_nan=False)
            if text.count("{") + text.count("[") > MAX_LEVELS:
                value = _mended(value, MAX_LEVELS)
        except ValueError:
            value = _mended(json.loads(text), MAX_LEVELS)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _mended(value: object, levels_left: int) -> object:
    """Return ``value`` as something that can be written again.

    Raises:
        ValueError: it is nested deeper than so many levels.
    """
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if not isinstance(value, (dict, list)):
        return value
    if levels_left == 0:
        raise ValueError("nested too deep")
    if isinstance(value, list):
        return [_mended(item, levels_left - 1) for item in value]
    return {_SURROGATE.sub("\ufffd", key): _mended(item, levels_left - 1) for key, item in value.items()}


def string(message: Message, name: str) -> str:
    """Return a member that is a text, else an empty one."""
    value = message.get(name)
    return value if isinstance(value, str) else ""


def object_in(message: Message, name: str) -> Message:
    """Return a member that is an object, else an empty one."""
    value = message.get(name)
    return value if isinstance(value, dict) else {}


def objects(message: Message, name: str) -> list[Message]:
    """Return the objects in a member that is an array."""
    value = message.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def count(message: Message, name: str) -> int | None:
    """Return a member that is a whole number from 0 to 2**64 - 1, else None."""
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
        return None
    return value


def sum_of(*counts: int | None) -> int | None:
    """Return the sum of the counts that are known, None when none is or the sum is none that can be written."""
    known = [number for number in counts if number is not None]
    total = sum(known)
    return total if known and total <= _MAX_COUNT else None


def json_text(value: object) -> str:
    """Return a value as compact JSON."""
    return to_json(value).decode()


def summary_of(text: str) -> str:
    """Return what a tool's output is in a line: its first line, and how many there are."""
    lines = text.strip().split("\n")
    first = lines[0].strip()
    if not first:
        return "no output"
    shown = first if len(first) <= SUMMARY_CHARACTERS else first[:SUMMARY_CHARACTERS] + "…"
    return shown if len(lines) == 1 else f"{shown} ({len(lines)} lines)"

"""Cutting a payload that is too large for a record: its longest string, on a code point."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["cut_to_fit"]

# A payload with more long strings than this is not text but data; it is refused instead.
_MOST_CUTS = 8


def cut_to_fit(payload: bytes, max_bytes: int) -> tuple[bytes, str, int] | None:
    """Shorten the longest string of ``payload`` (the next longest if that is not enough) until it fits.

    Returns the new payload, the path of the first string cut (``data.output``) and how many bytes of
    UTF-8 were cut in all; None when strings are not what makes it large.
    """
    tree = json.loads(payload)
    cut_bytes, first_path = 0, ""
    for _ in range(_MOST_CUTS):
        excess = len(payload) - max_bytes
        if excess <= 0:
            return payload, first_path, cut_bytes
        holder, key, path = _longest_string(tree)
        if holder is None:
            return None
        text: str = holder[key]
        kept = _shorten(text, excess)
        cut_bytes += len(text.encode()) - len(kept.encode())
        first_path = first_path or path
        holder[key] = kept
        payload = json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
    return (payload, first_path, cut_bytes) if len(payload) <= max_bytes else None


def _shorten(text: str, excess: int) -> str:
    """Return a beginning of ``text`` whose JSON form is at least ``excess`` bytes shorter, "" if need be."""
    size = len(json.dumps(text, ensure_ascii=False).encode())
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if size - len(json.dumps(text[:middle], ensure_ascii=False).encode()) >= excess:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _longest_string(tree: Any) -> tuple[Any, Any, str]:
    """Return (holder, key, path) of the string with the most UTF-8 bytes under ``data``; names of members stay."""
    best: tuple[Any, Any, str] = (None, None, "")
    most = 0
    pending: list[tuple[Any, str]] = [(tree.get("data"), "data")]
    while pending:
        node, path = pending.pop()
        if isinstance(node, dict):
            members = [(key, value, f"{path}.{key}") for key, value in node.items()]
        elif isinstance(node, list):
            members = [(index, value, f"{path}[{index}]") for index, value in enumerate(node)]
        else:
            continue
        for key, value, where in members:
            if isinstance(value, str):
                size = len(value.encode())
                if size > most:
                    most, best = size, (node, key, where)
            else:
                pending.append((value, where))
    return best

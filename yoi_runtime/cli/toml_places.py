"""Where in a TOML text a key stands: what ``tomllib`` does not tell. Good enough for messages, and never wrong about it
for files as people write them; None where it is not found.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Final

__all__ = ["line_of"]

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_NAME: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER: Final = re.compile(rf"\s*\[\[?\s*({_NAME})\s*\]\]?\s*(?:#.*)?")
_KEY: Final = re.compile(rf"\s*({_NAME})\s*=(.*)")
_TRIPLE: Final = re.compile(r"\"\"\"|'''")


def line_of(text: str, path: Sequence[str]) -> int | None:
    """Return the number of the line, from 1, that gives ``path`` its value; else of what it stands in or begins."""
    wanted, table = tuple(path), tuple[str, ...]()
    best: tuple[int, int] | None = None
    within = False
    for number, line in enumerate(text.split("\n"), 1):
        inside = within
        if len(_TRIPLE.findall(line)) % 2:
            within = not within
        if inside:
            continue
        if header := _HEADER.fullmatch(line.rstrip("\r")):
            found = table = _parts(header[1])
        elif key := _KEY.match(line):
            found = (*table, *_parts(key[1]))
        else:
            continue
        if found == wanted:
            return number
        # The nearest: an inline table that holds it, or the header of what lacks it.
        common = len(found) if wanted[: len(found)] == found else 0
        if common and (best is None or common > best[0]):
            best = common, number
        elif best is None and wanted and found[: len(wanted)] == wanted:
            return number
    return best[1] if best is not None else None


def _parts(name: str) -> tuple[str, ...]:
    tree: object = tomllib.loads(f"{name} = 0")
    parts = []
    while isinstance(tree, dict):
        ((part, tree),) = tree.items()
        parts.append(part)
    return tuple(parts)

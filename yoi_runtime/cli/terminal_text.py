"""Text of strangers made harmless: what an agent prints must not move, colour or answer the operator's terminal.

Controls become visible instead of vanishing, so that an attempt can be seen.
"""

from __future__ import annotations

import unicodedata

__all__ = ["neutral", "neutral_json", "one_line"]

_TAB = "    "
# Letters that reorder what stands around them (Unicode Standard Annex 9): text would read as it is not.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Controls, halves of surrogate pairs, and the two separators that some terminals take for a new line.
_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


def neutral(text: str) -> str:
    r"""Return ``text`` with every control but the newline made visible: ESC as ``␛``, others as ``\x9b``, ``\u202e``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text.replace("\r\n", "\n")))


def one_line(text: str, limit: int | None = None) -> str:
    """Return ``neutral`` text on one line, newlines as ``⏎``, cut after ``limit`` characters with ``…``."""
    cut = limit is not None and len(text) > limit
    shown = neutral(text[:limit] if cut else text).replace("\n", "⏎")
    return f"{shown}…" if cut else shown


def neutral_json(line: bytes) -> bytes:
    """Return a line of JSON with the same value in which every such character is an escape.

    JSON escapes controls below 0x20 itself; the rest may stand in it as they are.
    """
    if line.isascii() and b"\x7f" not in line:
        return line
    text = line.decode("utf-8", "replace")
    return "".join(
        f"\\u{ord(letter):04x}" if letter >= "\x7f" and _steers(letter) else letter for letter in text
    ).encode()


def _steers(character: str) -> bool:
    return character in _BIDI or unicodedata.category(character) in _CATEGORIES


def _shown(character: str) -> str:
    if character == "\n" or not _steers(character):
        return character
    number = ord(character)
    if character == "\t":
        return _TAB
    if number < 0x20:
        return chr(0x2400 + number)  # the Unicode block of control pictures
    if number == 0x7F:
        return "\u2421"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"

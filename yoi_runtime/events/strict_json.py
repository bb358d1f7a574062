"""JSON from untrusted bytes, and the check that a Python value can become JSON.

Stricter than ``json``: UTF-8 only, no repeated keys, no NaN or infinity (also not by way of 1e999),
no lone surrogates, bounded nesting. Time and memory are linear in the input; the caller bounds its length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from math import isfinite

from pydantic_core import from_json, to_json

from yoi_runtime.errors import EventInvalidError

__all__ = ["MAX_DEPTH", "check_json", "json_path", "may_nest_deeper", "parse_json"]

MAX_DEPTH = 100
"""Arrays and objects inside each other, the outermost counted. Rust's serde_json gives up at 128."""

_KEY_LIMIT = 40
_MOST_INTEGER_BITS = (10**4300 - 1).bit_length()
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
# Strings are skipped whole; the closing quote is optional so that an unterminated one is skipped too
# (looking for it again from every later quote would be quadratic).
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class _RepeatedKeyDict(dict[str, object]):
    """An object in which ``repeated`` stood twice; exists only between parsing and refusal."""

    repeated: str


class _SuspectError(Exception):
    """Something that has to be refused was met; which place it has is found in a second pass."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _SuspectError
    return members


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise _SuspectError
    return value


def _refuse_constant(_text: str) -> float:
    raise _SuspectError


def _marked(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    marked = _RepeatedKeyDict(members)
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            marked.repeated = key
            break
        seen.add(key)
    return marked


# Made once: json.loads() with hooks builds a decoder per call, which doubled the time of a 150-byte payload.
_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant)
_MARKING = json.JSONDecoder(object_pairs_hook=_marked)


def parse_json(data: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Return the one JSON value in ``data``.

    Raises:
        EventInvalidError: not UTF-8, not JSON, a repeated key, a number that is not finite or has too
            many digits, a lone surrogate, or nested deeper than ``max_depth``. ``where`` is the path of
            the offending value, empty for what has none (syntax, encoding, depth).
    """
    try:
        value: object = from_json(data, allow_inf_nan=False)
    except ValueError:
        return _parse_suspect(data, max_depth)
    if may_nest_deeper(data, max_depth) and _is_deeper(value, max_depth):
        raise _too_deep(max_depth)
    # What comes out again byte for byte had no key twice. True of the compact JSON that serde and this package write:
    # 1.2 µs for 140 bytes, and 3.3 when the rest goes to a parser that shows its pairs.
    return value if to_json(value) == data else _parse(_text(data))


def _parse_suspect(data: bytes, max_depth: int) -> object:
    """Say what is wrong in words of ours, with a place; pydantic's parser tells neither lone surrogates nor depth."""
    text = _text(data)
    # Before parsing, which recurses: from_json() may have stopped anywhere.
    if _text_is_deeper(data, max_depth):
        raise _too_deep(max_depth)
    value = _parse(text)
    check_json(value, max_depth=max_depth)
    return value


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EventInvalidError(None, "", f"not UTF-8 at byte {error.start}") from None


def _too_deep(max_depth: int) -> EventInvalidError:
    return EventInvalidError(None, "", f"nested deeper than {max_depth} levels")


def _parse(text: str) -> object:
    try:
        return _STRICT.decode(text)
    except _SuspectError:
        pass
    except json.JSONDecodeError as error:
        raise EventInvalidError(None, "", f"not JSON: {error.msg} at character {error.pos}") from None
    except ValueError:
        # Python's own limit on the digits of an integer (4300 unless changed).
        raise EventInvalidError(None, "", "an integer has too many digits") from None
    try:
        value = _MARKING.decode(text)
    except json.JSONDecodeError as error:
        raise EventInvalidError(None, "", f"not JSON: {error.msg} at character {error.pos}") from None
    except ValueError:
        raise EventInvalidError(None, "", "an integer has too many digits") from None
    check_json(value)
    raise EventInvalidError(None, "", "a repeated key or a number that is not finite")


def may_nest_deeper(data: bytes, levels: int) -> bool:
    """Say whether the JSON text ``data`` has more brackets than ``levels``, those inside of strings counted (0.3 µs)."""
    return data.count(b"{") + data.count(b"[") > levels


def _is_deeper(value: object, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        containers = [item for item in layer if isinstance(item, (dict, list))]
        if not containers:
            return False
        layer = [item for held in containers for item in (held.values() if isinstance(held, dict) else held)]
    return True


def _text_is_deeper(data: bytes, levels: int) -> bool:
    """Count the brackets of text that may be anything; stops at the first too many."""
    depth = 0
    for found in _BRACKETS.finditer(data):
        match data[found.start()]:
            case 0x5B | 0x7B:  # [ {
                depth += 1
                if depth > levels:
                    return True
            case 0x5D | 0x7D:  # ] }
                depth -= 1
            case _:
                pass  # a string
    return False


def check_json(value: object, *, max_depth: int = MAX_DEPTH) -> None:
    """Check that ``value`` is JSON as this module's ``parse_json`` returns it; tuples pass for lists.

    Raises:
        EventInvalidError: it is not; ``where`` is the path of the first offending value.
    """
    fault = _fault(value, max_depth)
    if fault is not None:
        path, reason = fault
        raise EventInvalidError(None, json_path(reversed(path)), reason)


def _fault(value: object, levels_left: int) -> tuple[list[str | int], str] | None:
    """Return (path from the innermost part outwards, reason) of the first fault. Recursion is bounded by the levels."""
    if isinstance(value, str):
        return _text_fault(value)
    if value is None:
        return None
    if isinstance(value, int):
        # Pydantic writes more digits than Python reads back.
        return None if value.bit_length() <= _MOST_INTEGER_BITS else ([], "an integer of more than 4300 digits")
    if isinstance(value, float):
        return None if isfinite(value) else ([], "not a finite number")
    if not isinstance(value, (dict, list, tuple)):
        return [], f"{type(value).__name__} is not a JSON type"
    if levels_left == 0:
        return [], "nested too deep"
    if isinstance(value, dict):
        return _dict_fault(value, levels_left)
    for index, item in enumerate(value):
        fault = _fault(item, levels_left - 1)
        if fault is not None:
            fault[0].append(index)
            return fault
    return None


def _dict_fault(members: dict[object, object], levels_left: int) -> tuple[list[str | int], str] | None:
    if isinstance(members, _RepeatedKeyDict):
        return [members.repeated], "the key stands twice"
    for key, item in members.items():
        if not isinstance(key, str):
            return [], f"a key of type {type(key).__name__} is not text"
        fault = _text_fault(key) or _fault(item, levels_left - 1)
        if fault is not None:
            fault[0].append(key)
            return fault
    return None


def _text_fault(text: str) -> tuple[list[str | int], str] | None:
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            return [], f"a lone surrogate at character {error.start}"
    return None


def json_path(parts: Iterable[str | int]) -> str:
    """Return ``parts`` as a path such as ``data.segments[0].content``; unusual keys are quoted, cut and escaped."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part) is not None:
            path += f".{part}" if path else part
        else:
            shown = part if len(part) <= _KEY_LIMIT else part[: _KEY_LIMIT - 1] + "…"
            path += f"[{json.dumps(shown)}]"
    return path

"""Members of the engine's own JSON lines: what a sound program writes passes, everything else is refused."""

from __future__ import annotations

import pytest

from yoi_runtime.segment_log.json_fields import hex_id, hex_number, parse_object, whole_number


@pytest.mark.parametrize("value", [0, 1, 2**56 - 1])
def test_a_whole_number_that_fits_passes(value: int):
    assert whole_number(value) == value


@pytest.mark.parametrize(
    "value",
    [-1, 2**56, 10**400, True, 1.0, float("inf"), float("nan"), "1", None, [], {}],
    ids=lambda value: repr(value)[:20],
)
def test_anything_else_is_no_number(value: object):
    with pytest.raises(ValueError, match="whole number"):
        whole_number(value)


def test_the_bound_of_a_number_can_be_lower():
    assert whole_number(255, 8) == 255
    with pytest.raises(ValueError, match="8 bits"):
        whole_number(256, 8)


def test_sixteen_hexadecimal_digits_are_an_id_and_a_number():
    assert hex_id("00000000000000ff") == "00000000000000ff"
    assert hex_number("00000000000000ff") == 255


@pytest.mark.parametrize(
    "value", ["", "ff", "00000000000000FF", "0x000000000000ff", "f" * 17, "f" * 15 + "\n", "é" * 16, 255, None]
)
def test_anything_else_is_no_id(value: object):
    with pytest.raises(ValueError, match="hexadecimal"):
        hex_id(value)


def test_an_object_is_read():
    assert parse_object(b'{"a":[1]}') == {"a": [1]}


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"1", b'"x"', b"null", b'{"a"', b"\xff", b"{" * 100_000, b'{"a":' + b"[" * 100_000],
    ids=lambda line: repr(line)[:20],
)
def test_anything_else_is_no_object(line: bytes):
    with pytest.raises(ValueError):
        parse_object(line)

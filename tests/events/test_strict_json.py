from __future__ import annotations

import json
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events.strict_json import MAX_DEPTH, check_json, json_path, may_nest_deeper, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.booleans(), st.booleans())
def test_any_sound_json_is_read_as_the_standard_library_reads_it(value, ascii_only, spaced):
    text = json.dumps(value, ensure_ascii=ascii_only, separators=None if spaced else (",", ":"))
    parsed = parse_json(text.encode())
    assert parsed == value
    assert json.dumps(parsed) == json.dumps(value)  # 1, 1.0 and True are equal, and members have an order


@given(
    st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u dD89aA018eE.-+nultrfsNI\x00\n', max_size=40).map(str.encode)
)
@example(b"\xef\xbb\xbf{}")
@example(b'"\\ud83d\\ude00"')
@example(b'"\\ud83d\\u0041"')
@example(b'"\\ude00\\ud83d"')
@example("{}".encode("utf-16"))
def test_whatever_comes_is_read_as_the_standard_library_does_or_refused(data):
    try:
        value = parse_json(data)
    except EventInvalidError:
        return
    assert json.dumps(value) == json.dumps(json.loads(data.decode("utf-8")))
    check_json(value)


@pytest.mark.parametrize(
    "data, where, reason",
    [
        (b"", "", "not JSON: Expecting value at character 0"),
        (b"nul", "", "not JSON: Expecting value at character 0"),
        (b"{} {}", "", "not JSON: Extra data at character 3"),
        (b"{'a':1}", "", "not JSON: Expecting property name enclosed in double quotes at character 1"),
        (b"[1,]", "", None),
        (b'"a\nb"', "", "not JSON: Invalid control character at at character 2"),
        (b"[01]", "", None),
        (b'{"a":"\xff"}', "", "not UTF-8 at byte 6"),
        (b'"\xed\xa0\x80"', "", "not UTF-8 at byte 1"),  # a surrogate in UTF-8's clothes
        (b'"\xc0\xaf"', "", "not UTF-8 at byte 1"),  # longer than need be
        (b"\xef\xbb\xbf{}", "", None),
        ("{}".encode("utf-16"), "", "not UTF-8 at byte 0"),
        (b'{"a":1,"a":1}', "a", "the key stands twice"),
        (b'{"a":1,"\\u0061":2}', "a", "the key stands twice"),
        (b'{"d":{"s":[{},{"k":1,"j":2,"k":3}]}}', "d.s[1].k", "the key stands twice"),
        (b'{"a":{"b":1,"b":2},"a":{}}', "a", "the key stands twice"),
        (b'{"data":{"x":[1,NaN]}}', "data.x[1]", "not a finite number"),
        (b'{"data":Infinity}', "data", "not a finite number"),
        (b"[-Infinity]", "[0]", "not a finite number"),
        (b'{"data":[1e999]}', "data[0]", "not a finite number"),
        (b"-1e999", "", "not a finite number"),
        (b'{"data":{"text":"ab\\ud800"}}', "data.text", "a lone surrogate at character 2"),
        (b'["\\uDfff"]', "[0]", "a lone surrogate at character 0"),
        (b'["\\ud800\\ud800"]', "[0]", "a lone surrogate at character 0"),
        (b'{"a":{"\\udc00":1}}', 'a["\\udc00"]', "a lone surrogate at character 0"),
    ],
)
def test_unsound_json_is_refused_with_its_place(data, where, reason):
    with pytest.raises(EventInvalidError) as caught:
        parse_json(data)
    assert caught.value.where == where
    assert caught.value.event_name is None
    if reason is not None:
        assert caught.value.reason == reason


def test_an_escaped_backslash_before_u_is_no_surrogate():
    assert parse_json(b'["\\\\ud800", "\\ud83d\\ude00"]') == ["\\ud800", "😀"]


@pytest.mark.parametrize("opening, closing", [(b"[", b"]"), (b'{"a":', b"}"), (b'[ {"a":', b"}]")])
def test_nesting_is_bounded_exactly(opening, closing):
    per_round = opening.count(b"[") + opening.count(b"{")
    rounds = MAX_DEPTH // per_round
    parse_json(opening * rounds + b"1" + closing * rounds)
    with pytest.raises(EventInvalidError, match="deeper than 100 levels"):
        parse_json(b"[" + opening * rounds + b"1" + closing * rounds + b"]")


def test_nesting_is_bounded_exactly_where_something_else_is_wrong_too():
    for levels, reason in ((MAX_DEPTH, "lone surrogate"), (MAX_DEPTH + 1, "deeper than 100 levels")):
        with pytest.raises(EventInvalidError, match=reason):
            parse_json(b"[" * levels + b'"[[\\ud800"' + b"]" * levels)


def test_brackets_in_texts_and_side_by_side_are_not_nesting():
    value = {"t": '[{"' * 500, "l": [[]] * 300, "e": "\\"}
    assert parse_json(json.dumps(value, separators=(",", ":")).encode()) == value
    assert parse_json(json.dumps(value).encode()) == value


def test_the_bound_of_nesting_can_be_moved():
    assert parse_json(b"[" * 104 + b"]" * 104, max_depth=104)
    with pytest.raises(EventInvalidError):
        parse_json(b"[[]]", max_depth=1)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b"]" * 1_000_000,
        b'"' + b'\\"' * 500_000,  # quadratic for whoever looks for the closing quote from every quote
        b"[" * 101 + b'"' + b'\\"' * 500_000,
        b"[" * 90 + b'"' + b'["' * 300_000,
        b"[" + b"-" * 1_000_000,
        b"1" * 1_000_000,
        b"1e" + b"9" * 1_000_000,
        b"[" + b"9" * 5000 + b"]",
        b'{"a":1' + b',"a":1' * 200_000 + b"}",
    ],
    ids=lambda data: f"{data[:12]!r}…",
)
def test_hostile_input_is_refused_in_time_linear_in_its_length(data):
    with pytest.raises(EventInvalidError):
        parse_json(data)


def test_deep_text_is_refused_however_little_stack_is_left():
    def sink(levels: int) -> None:
        if levels:
            sink(levels - 1)
        else:
            parse_json(b"[" * 200 + b"]" * 200)

    with pytest.raises(EventInvalidError, match="deeper"):
        sink(sys.getrecursionlimit() // 2)


def test_integers_beyond_64_bits_are_kept_where_any_json_is():
    for digits in (20, 400, 4300):
        assert parse_json(b"[" + b"7" * digits + b"]") == [int("7" * digits)]


def test_deep_and_circular_values_are_refused_without_recursing_to_death():
    circular: list[object] = []
    circular.append(circular)
    with pytest.raises(EventInvalidError, match="too deep"):
        check_json(circular)


def test_check_stops_at_the_same_depth_as_parse():
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    check_json(value)
    with pytest.raises(EventInvalidError, match="too deep"):
        check_json([value])


def test_counting_brackets_errs_on_the_safe_side():
    assert not may_nest_deeper(b"[[]]", 2)
    assert may_nest_deeper(b'[["["]]', 2)


@pytest.mark.parametrize(
    "parts, path",
    [
        ([], ""),
        (["data", "segments", 0, "content"], "data.segments[0].content"),
        (["data", "a b"], 'data["a b"]'),
        (["a\n\u2028"], '["a\\n\\u2028"]'),
        ([0, ""], '[0][""]'),
        (["k" * 41], '["' + "k" * 39 + '\\u2026"]'),
    ],
)
def test_paths_read_like_code_and_hold_no_raw_control_characters(parts, path):
    assert json_path(parts) == path


def test_an_integer_that_could_not_be_read_back_is_refused_before_it_is_written():
    longest = 10**4300 - 1
    check_json({"n": [longest, -longest]})
    assert parse_json(json.dumps({"n": longest}).encode()) == {"n": longest}
    with pytest.raises(EventInvalidError, match="more than 4300 digits") as caught:
        check_json({"n": [1, 1 << (longest.bit_length() + 1)]})
    assert caught.value.where == "n[1]"

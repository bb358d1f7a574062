from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.events.strict_json import check_json
from yoi_runtime.workers.adapters.json_message import (
    MAX_LEVELS,
    count,
    json_text,
    object_in,
    objects,
    parse_message,
    string,
    sum_of,
    summary_of,
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", {}),
        (' \t{"a":[1,2.5,null,true,"é"]}\r', {"a": [1, 2.5, None, True, "é"]}),
        ('{"a":1,"a":2}', {"a": 2}),
        ('{"a":"x\\ud83d","\\ude00":"\\ud83d\\ude00"}', {"a": "x\ufffd", "\ufffd": "😀"}),
        ('{"a":NaN,"b":-Infinity,"c":1e999}', {"a": None, "b": None, "c": None}),
        ('{"a":' + "[" * 89 + "]" * 89 + "}", None),
    ],
    ids=["empty", "plain", "a key twice", "surrogates", "not finite", "deep"],
)
def test_an_object_is_read_leniently(text: str, message: dict[str, Any] | None):
    assert parse_message(text) == (json.loads(text) if message is None else message)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "hello",
        "null",
        "[1]",
        '"{}"',
        "{",
        '{"a":1',
        "{}{}",
        "{} x",
        "\ufeff{}",
        '{"a":' + "9" * 5000 + "}",
        '{"a":' + "[" * 90 + "]" * 90 + "}",
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"a":' + "[" * 100_000,
    ],
    ids=lambda text: f"{text[:12]}… {len(text)}",
)
def test_what_is_no_object_is_none(text: str):
    assert parse_message(text) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    )
)
def test_whatever_is_read_can_be_written_again(value: object):
    message = parse_message(json.dumps({"a": value}))
    assert message is not None
    check_json(message, max_depth=MAX_LEVELS)
    assert parse_message(json_text(message)) == message


ODD: list[object] = [None, True, 0, -1, 1.5, 2**64, "x", [], ["x", 1, None], {}, {"x": 1}]


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_members_of_another_type_are_as_good_as_none(value: object):
    message = {"m": value}
    assert string(message, "m") == (value if value == "x" else "")
    assert object_in(message, "m") == (value if isinstance(value, dict) else {})
    assert objects(message, "m") == []
    assert count(message, "m") == (0 if value == 0 and value is not False else None)
    assert string({}, "m") == ""
    assert count({}, "m") is None


def test_the_objects_of_an_array_are_found_among_others():
    assert objects({"m": [1, {"a": 1}, [], {}]}, "m") == [{"a": 1}, {}]
    assert count({"m": 2**64 - 1}, "m") == 2**64 - 1


def test_a_sum_is_of_what_is_known():
    assert sum_of(1, None, 2) == 3
    assert sum_of(0) == 0
    assert sum_of(None, None) is None
    assert sum_of(2**64 - 1, 0) == 2**64 - 1
    assert sum_of(2**64 - 1, 1) is None


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("", "no output"),
        (" \n ", "no output"),
        ("one", "one"),
        ("one\n", "one"),
        ("\n one \ntwo\nthree\n", "one (3 lines)"),
        ("x" * 121, "x" * 120 + "…"),
    ],
)
def test_a_summary_is_one_line(text: str, summary: str):
    assert summary_of(text) == summary

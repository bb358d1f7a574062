from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from yoi_runtime.events.scalars import I32, I64, U16, U32, U64, Flag, Json, Str, UtcTime, WorkerId

RANGES = [
    (U16, 0, 65_535),
    (U32, 0, 4_294_967_295),
    (U64, 0, 18_446_744_073_709_551_615),
    (I32, -2_147_483_648, 2_147_483_647),
    (I64, -9_223_372_036_854_775_808, 9_223_372_036_854_775_807),
]


@pytest.mark.parametrize("kind, least, most", RANGES, ids=["u16", "u32", "u64", "i32", "i64"])
def test_an_integer_has_the_range_of_its_rust_type(kind, least, most):
    adapter = TypeAdapter(kind)
    for inside in (least, most):
        assert adapter.validate_python(inside) == inside
    for outside in (least - 1, most + 1):
        with pytest.raises(ValidationError):
            adapter.validate_python(outside)


@pytest.mark.parametrize("kind", [row[0] for row in RANGES], ids=["u16", "u32", "u64", "i32", "i64"])
@pytest.mark.parametrize("value", [True, False, 1.0, 0.5, "1", None, [1]])
def test_what_is_no_integer_in_json_is_none_here(kind, value):
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize("kind, value", [(Str, 1), (Str, b"x"), (Str, None), (Flag, 1), (Flag, "true"), (Flag, None)])
def test_text_and_flags_are_not_converted(kind, value):
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize("text", ["2026-11-22T17:37:23.123456Z", "2026-11-22T17:37:23Z", "2026-11-22T17:37:23.1Z"])
def test_utc_times_pass(text):
    assert TypeAdapter(UtcTime).validate_python(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-22T17:37:23.123456",
        "2026-11-22T17:37:23.123456+00:00",
        "2026-11-22 17:37:23Z",
        "2026-11-22T17:37:23Z\n",
        "x2026-11-22T17:37:23Z",
        "2026-11-22T17:37:23.Z",
        "٢٠٢٦-11-22T17:37:23Z",
    ],
)
def test_other_times_do_not(text):
    with pytest.raises(ValidationError):
        TypeAdapter(UtcTime).validate_python(text)


@pytest.mark.parametrize("text", ["a", "A-z_9", "x" * 64])
def test_worker_ids_pass(text):
    assert TypeAdapter(WorkerId).validate_python(text) == text


@pytest.mark.parametrize("text", ["", "x" * 65, "a b", "a/b", "a\n", "é", "a.b"])
def test_other_worker_ids_do_not(text):
    with pytest.raises(ValidationError):
        TypeAdapter(WorkerId).validate_python(text)


@pytest.mark.parametrize("value", [None, True, 0, -1, 2**70, 0.5, "", "é", [], {}, {"a": [{"b": None}]}, (1, 2)])
def test_json_values_pass(value):
    assert TypeAdapter(Json).validate_python(value) == value


@pytest.mark.parametrize(
    "value, message",
    [
        ({"a{b}": [1, float("nan")]}, 'not a finite number at ["a{b}"][1]'),
        (float("-inf"), "not a finite number"),
        ({"a": "\ud800"}, "a lone surrogate at character 0 at a"),
        ({1: 2}, "a key of type int is not text"),
        ([b"x"], "bytes is not a JSON type at [0]"),
        ({"a": {1, 2}}, "set is not a JSON type at a"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(value, message):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Json).validate_python(value)
    assert caught.value.errors()[0]["msg"] == message

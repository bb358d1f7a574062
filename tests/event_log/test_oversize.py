"""yoi_runtime.event_log.oversize: what is cut, where, and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.event_log.oversize import cut_to_fit


def payload_of(data: object) -> bytes:
    return json.dumps({"event": "made_up", "data": data}, ensure_ascii=False, separators=(",", ":")).encode()


def data_in(payload: bytes) -> Any:
    tree = json.loads(payload)
    assert tree.pop("event") == "made_up"
    data = tree.pop("data")
    assert not tree
    return data


@pytest.mark.parametrize("over", [-1, 0])
def test_what_fits_stays_as_it_is(over: int):
    payload = payload_of({"text": "x" * 100})
    cut = cut_to_fit(payload, len(payload) - over)
    assert cut is not None
    assert (cut.payload, cut.strings, cut.cut_bytes) == (payload, 0, 0)


@pytest.mark.parametrize("over", [1, 2, 3, 4, 5, 50])
@pytest.mark.parametrize(
    "unit",
    ["a", "é", "日", "😀", "e\u0301", "👩\u200d👩\u200d👧", '"', "\\", "\n", "\x01", "\x7f", "\u2028", "/"],
    ids=ascii,
)
def test_a_string_is_cut_on_a_code_point_and_no_more_than_it_must(unit: str, over: int):
    text = unit * 60
    payload = payload_of({"text": text, "id": "kept"})
    limit = len(payload) - over
    cut = cut_to_fit(payload, limit)
    assert cut is not None
    assert len(cut.payload) <= limit
    data = data_in(cut.payload)
    kept = data.pop("text")
    assert data == {"id": "kept"}
    assert text.startswith(kept)
    assert cut.cut_bytes == len(text.encode()) - len(kept.encode())
    assert (cut.path, cut.strings) == ("data.text", 1)
    one_more = payload_of({"text": text[: len(kept) + 1], "id": "kept"})
    assert len(one_more) > limit, "a code point more would have fitted"


def test_ten_times_too_large_is_cut_to_the_limit():
    payload = payload_of({"text": "日" * 100_000})
    cut = cut_to_fit(payload, len(payload) // 10)
    assert cut is not None
    assert len(payload) // 10 - 3 <= len(cut.payload) <= len(payload) // 10


def test_the_longest_string_is_the_one_of_most_bytes():
    cut = cut_to_fit(payload_of({"latin": "x" * 100, "kanji": "日" * 50}), 250)
    assert cut is not None
    assert cut.path == "data.kanji"
    assert data_in(cut.payload)["latin"] == "x" * 100


def test_when_one_string_is_not_enough_the_next_longest_follows():
    data = {"a": "a" * 300, "b": "b" * 400, "c": "c" * 200, "short": "s"}
    cut = cut_to_fit(payload_of(data), 300)
    assert cut is not None
    kept = data_in(cut.payload)
    assert (kept["b"], kept["c"], kept["short"]) == ("", "c" * 200, "s")
    assert 0 < len(kept["a"]) < 300
    assert (cut.path, cut.strings) == ("data.b", 2)
    assert cut.cut_bytes == 700 - len(kept["a"])


def test_eight_strings_are_cut_and_not_a_ninth():
    texts = ["x" * 100] * 20
    size = len(payload_of(texts))
    cut = cut_to_fit(payload_of(texts), size - 800)
    assert cut is not None
    assert (cut.strings, cut.cut_bytes) == (8, 800)
    assert cut_to_fit(payload_of(texts), size - 801) is None


@pytest.mark.parametrize(
    "data",
    [
        list(range(200)),
        {"k" * 500: "v"},
        {"empty": [""] * 200},
        None,
        "",
        {},
    ],
    ids=["numbers", "a member's name", "empty strings", "null", "no text", "no members"],
)
def test_where_no_string_makes_it_large_nothing_can_be_cut(data: object):
    payload = payload_of(data)
    assert cut_to_fit(payload, len(payload) // 2) is None


def test_a_payload_without_data_cannot_be_cut():
    assert cut_to_fit(b'{"event":"%s"}' % (b"x" * 500), 200) is None


def test_data_that_is_a_string_itself_is_cut():
    cut = cut_to_fit(payload_of("x" * 500), 200)
    assert cut is not None
    assert (cut.path, len(cut.payload)) == ("data", 200)


def test_the_path_leads_through_members_and_places():
    data: Any = "x" * 400
    for level in range(48):
        data = [0, data] if level % 2 else {"in": data}
    cut = cut_to_fit(payload_of({"item": data}), 500)
    assert cut is not None
    assert cut.path == "data.item" + "[1].in" * 24


def test_a_path_through_long_names_stays_short():
    cut = cut_to_fit(payload_of({"k" * 300: {"l" * 300: "x" * 400}}), 800)
    assert cut is not None
    assert cut.path.startswith("data[")
    assert len(cut.path) < 120


def test_numbers_and_escapes_come_through_the_cut():
    data = {"float": 1.5, "big": 2**64 - 1, "odd": '\u2028"\\\x00', "text": "x" * 400, "none": None, "yes": True}
    cut = cut_to_fit(payload_of(data), 300)
    assert cut is not None
    kept = data_in(cut.payload)
    assert kept | {"text": ""} == data | {"text": ""}


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
    max_leaves=20,
)


def check_cut(before: object, after: object) -> int:
    """Check that ``after`` is ``before`` with some strings shortened; return how many bytes of text went."""
    if isinstance(before, str):
        assert isinstance(after, str)
        assert before.startswith(after)
        return len(before.encode()) - len(after.encode())
    if isinstance(before, dict):
        assert isinstance(after, dict)
        assert list(before) == list(after)
        return sum(check_cut(before[key], after[key]) for key in before)
    if isinstance(before, list):
        assert isinstance(after, list)
        assert len(before) == len(after)
        return sum(check_cut(one, other) for one, other in zip(before, after, strict=True))
    assert before == after
    return 0


@given(trees, st.integers(min_value=20, max_value=2000))
def test_whatever_the_data_a_cut_shortens_strings_and_nothing_else(data: object, limit: int):
    payload = payload_of(data)
    cut = cut_to_fit(payload, limit)
    if cut is None:
        assert len(payload) > limit
        return
    assert len(cut.payload) <= limit
    assert check_cut(data, data_in(cut.payload)) == cut.cut_bytes
    assert (cut.strings == 0) == (len(payload) <= limit)

from __future__ import annotations

import pytest

from yoi_runtime.errors import RequestInvalidError
from yoi_runtime.protocol.page_request import MAX_PAGE_WORKERS, PageRequest, parse_page_request


def test_who_asks_for_nothing_gets_the_first_page_as_large_as_it_may_be():
    assert parse_page_request([]) == PageRequest("", MAX_PAGE_WORKERS)
    assert MAX_PAGE_WORKERS == 1000


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_a_page_begins_after_an_id_and_has_a_limit(limit: int):
    assert parse_page_request([("after", "w-1"), ("limit", str(limit))]) == PageRequest("w-1", limit)


def test_any_text_may_be_what_the_page_begins_after():
    """It is compared, never looked up: a Worker that is gone is no reason to begin anew."""
    for text in ("", "nobody", "é\u2028", "~" * 64):
        assert parse_page_request([("after", text)]).after == text


@pytest.mark.parametrize(
    "parameters, parameter",
    [
        ([("limit", text)], "limit")
        for text in ("0", "1001", "-1", "", "ten", "1.0", " 1", "+1", "\u0661", "9" * 5000, "1e3")
    ]
    + [
        ([("limit", "1"), ("limit", "1")], "limit"),
        ([("after", "a"), ("after", "b")], "after"),
        ([("after", "x" * 65)], "after"),
        ([("limti", "3")], "limti"),
        ([("offset", "3"), ("limit", "1")], "offset"),
    ],
)
def test_what_is_wrong_is_named(parameters: list[tuple[str, str]], parameter: str):
    with pytest.raises(RequestInvalidError) as caught:
        parse_page_request(parameters)
    assert caught.value.parameter == parameter

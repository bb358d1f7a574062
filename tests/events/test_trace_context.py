from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.events.trace_context import traceparent_fault

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"00-{TRACE}-{PARENT}-00",
        f"00-{TRACE}-{PARENT}-ff",
        f"cc-{TRACE}-{PARENT}-01",
        f"01-{TRACE}-{PARENT}-01-what-comes-later",
    ],
)
def test_a_traceparent_of_this_version_or_a_later_one_is_one(text: str):
    assert traceparent_fault(text) is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "version-"),
        (None, "not a text"),
        (1, "not a text"),
        (f"ff-{TRACE}-{PARENT}-01", "version-"),
        (f"00-{'0' * 32}-{PARENT}-01", "trace id is all zero"),
        (f"00-{TRACE}-{'0' * 16}-01", "parent id is all zero"),
        (f"cc-{'0' * 32}-{PARENT}-01", "trace id is all zero"),
        (f"{GOOD}-extra", "version-"),
        (f"{GOOD}-", "version-"),
        (f"01-{TRACE}-{PARENT}-01.extra", "version-"),
        (f"01-{TRACE}-{PARENT}-01-{'x' * 201}", "version-"),
        (GOOD.upper(), "version-"),
        (f" {GOOD}", "version-"),
        (f"{GOOD}\n", "version-"),
        (GOOD[:-1], "version-"),
        (f"00-{TRACE[1:]}-{PARENT}-01", "version-"),
        (GOOD.replace("4", "٤"), "version-"),
    ],
)
def test_anything_else_is_none_and_it_is_said_why(text: object, part: str):
    assert part in str(traceparent_fault(text))


@given(
    st.text(alphabet="0f9ag-", min_size=50, max_size=60)
    | st.from_regex(r"[0-9a-f]{2}-[0f]{32}-[0f]{16}-[0-9a-f]{2}", fullmatch=True)
)
def test_the_grammar_agrees_with_the_one_of_the_specification(text: str):
    """Written anew from section 3.2.2: four fields between dashes, no ff, no zeros; more fields only in later versions."""
    fields = text.split("-")
    right = len(fields) >= 4 and [len(field) for field in fields[:4]] == [2, 32, 16, 2]
    right = right and all(re.fullmatch("[0-9a-f]+", field) for field in fields[:4])
    right = right and fields[0] != "ff" and (len(fields) == 4 or fields[0] != "00")
    right = right and int(fields[1], 16) != 0 and int(fields[2], 16) != 0
    assert (traceparent_fault(text) is None) == right

"""Times are RFC 3339, UTC, 27 characters, whatever the clock says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.segment_log.timestamp import TimestampFormat, parse_timestamp

_YEAR_1_US = -62_135_596_800_000_000
_YEAR_9999_US = 253_402_300_799_999_999


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_795_369_043_123_456, "2026-11-22T17:37:23.123456Z"),
        (_YEAR_1_US, "0001-01-01T00:00:00.000000Z"),
        (_YEAR_9999_US, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_times_are_written_in_rfc_3339(us: int, text: str):
    assert TimestampFormat()(us) == text
    assert parse_timestamp(text) == us


@pytest.mark.parametrize(
    ("us", "text"),
    [(_YEAR_1_US - 1, "0001-01-01T00:00:00.000000Z"), (_YEAR_9999_US + 1, "9999-12-31T23:59:59.999999Z")],
)
def test_a_clock_outside_the_calendar_is_cut_to_its_nearest_end(us: int, text: str):
    assert TimestampFormat()(us) == text


@given(st.lists(st.integers(_YEAR_1_US, _YEAR_9999_US), min_size=1, max_size=5))
def test_one_format_writes_any_times_in_any_order_and_each_parses_back(times: list[int]):
    form = TimestampFormat()
    # Each with its neighbours: of the same millisecond, the next, the one before, and of the next second.
    near = [us + step for us in times for step in (0, 1, 999, 1000, -1, -1000, 1_000_000, 0)]
    for us in (us for us in near if _YEAR_1_US <= us <= _YEAR_9999_US):
        text = form(us)
        assert len(text) == 27
        assert parse_timestamp(text) == us


@pytest.mark.parametrize(
    "text", ["", "2026-11-22", "2026-11-22T17:37:23Z", "2026-11-22 17:37:23.123456Z", "2026-13-22T17:37:23.123456Z"]
)
def test_any_other_text_is_no_timestamp(text: str):
    with pytest.raises(ValueError):
        parse_timestamp(text)

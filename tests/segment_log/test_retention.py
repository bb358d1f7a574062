"""Which segments go: decided on numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.clocks import ManualClock
from yoi_runtime.segment_log.retention import Aged, RetentionPolicy, SteadyClock, count_to_rotate_out


@dataclass(frozen=True)
class Age:
    segment: int
    size_bytes: int
    sealed_us: int


DAY_US = 86_400_000_000
NOW_US = 1_800_000_000_000_000
KEEP_ALL = RetentionPolicy(retain_bytes=None, retain_age_seconds=None, retain_segments=None)
# Four sealed segments of 100 bytes, sealed 8, 6, 4 and 2 days ago.
FOUR = [Age(number, 100, NOW_US - (10 - 2 * number) * DAY_US) for number in range(1, 5)]


@pytest.mark.parametrize(
    ("policy", "active_bytes", "count"),
    [
        (KEEP_ALL, 10**12, 0),
        (RetentionPolicy(450, None), 50, 0),
        (RetentionPolicy(449, None), 50, 1),
        (RetentionPolicy(350, None), 50, 1),
        (RetentionPolicy(349, None), 50, 2),
        (RetentionPolicy(0, None), 0, 4),
        (RetentionPolicy(1, None), 50, 4),
        (RetentionPolicy(None, 9 * 86_400), 0, 0),
        (RetentionPolicy(None, 8 * 86_400), 0, 0),
        (RetentionPolicy(None, 7 * 86_400), 0, 1),
        (RetentionPolicy(None, 3 * 86_400), 0, 3),
        (RetentionPolicy(None, 0.5), 0, 4),
        (RetentionPolicy(None, None, 6), 0, 0),
        (RetentionPolicy(None, None, 5), 0, 0),
        (RetentionPolicy(None, None, 4), 0, 1),
        (RetentionPolicy(None, None, 1), 0, 4),
        (RetentionPolicy(None, None, 0), 0, 4),
        (RetentionPolicy(350, 5 * 86_400, 5), 50, 2),
        (RetentionPolicy(250, 7 * 86_400, 5), 50, 2),
        (RetentionPolicy(450, 7 * 86_400, 2), 50, 3),
        (RetentionPolicy(), 0, 1),
    ],
)
def test_the_rule_that_bites_first_decides(policy: RetentionPolicy, active_bytes: int, count: int):
    assert count_to_rotate_out(FOUR, active_bytes, policy, NOW_US) == count


def test_a_log_without_sealed_segments_loses_nothing():
    assert count_to_rotate_out([], 10**12, RetentionPolicy(0, 0.0, 0), NOW_US) == 0


@given(
    st.lists(st.integers(0, 1000), max_size=8),
    st.integers(0, 2000),
    st.none() | st.integers(0, 5000),
    st.none() | st.integers(0, 12),
    st.none() | st.integers(0, 20),
)
def test_afterwards_no_rule_is_broken_and_nothing_more_went(sizes, active, retain_bytes, retain_segments, days):
    sealed = [Age(number, size, NOW_US - (20 - number) * DAY_US) for number, size in enumerate(sizes)]
    policy = RetentionPolicy(retain_bytes, None if days is None else days * 86_400, retain_segments)
    count = count_to_rotate_out(sealed, active, policy, NOW_US)

    def within(kept: list[Age]) -> bool:
        return (
            (retain_bytes is None or active + sum(segment.size_bytes for segment in kept) <= retain_bytes)
            and (retain_segments is None or len(kept) + 1 <= retain_segments)
            and (days is None or all(NOW_US - segment.sealed_us <= days * DAY_US for segment in kept))
        )

    assert within(sealed[count:]) or count == len(sealed)
    assert not any(within(sealed[fewer:]) for fewer in range(count))


def test_steady_time_goes_on_as_the_monotonic_clock_does():
    clock = ManualClock(now_us=NOW_US)
    steady = SteadyClock(clock, NOW_US - DAY_US)
    assert steady.now_us() == NOW_US
    clock.pass_seconds(90)
    assert steady.now_us() == NOW_US + 90_000_000
    for jump in (-1.0, 315_360_000.0, -630_720_000.0):
        clock.jump_wall(jump)
        assert steady.now_us() == NOW_US + 90_000_000


@pytest.mark.parametrize(
    ("newest_us", "start_us"),
    [
        (None, NOW_US),
        (NOW_US, NOW_US),
        (NOW_US - 399 * DAY_US, NOW_US),
        (NOW_US - 400 * DAY_US, NOW_US),
        (NOW_US - 401 * DAY_US, NOW_US - 401 * DAY_US),
        (NOW_US + 1, NOW_US + 1),
        (NOW_US + 3650 * DAY_US, NOW_US + 3650 * DAY_US),
    ],
    ids=["new log", "just now", "399 days", "400 days", "401 days", "clock went back", "clock was ten years ahead"],
)
def test_steady_time_starts_at_the_wall_clock_unless_that_jumped(newest_us: int | None, start_us: int):
    assert SteadyClock(ManualClock(now_us=NOW_US), newest_us).now_us() == start_us


class Unlooked:
    """A segment that nobody has to look at."""

    @property
    def size_bytes(self) -> int:
        pytest.fail("its size was asked for")

    @property
    def sealed_us(self) -> int:
        pytest.fail("its age was asked for")


def test_only_what_a_rule_asks_for_is_looked_at():
    later: Sequence[Aged] = [Unlooked() for _ in range(9)]
    assert count_to_rotate_out(later, 0, KEEP_ALL, NOW_US) == 0
    assert count_to_rotate_out([FOUR[0], FOUR[1], *later], 0, RetentionPolicy(None, 7 * 86_400), NOW_US) == 1
    assert count_to_rotate_out([FOUR[0], *later], 0, RetentionPolicy(None, None, 10), NOW_US) == 1

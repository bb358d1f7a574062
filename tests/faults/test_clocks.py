"""tests.faults.clocks."""

from __future__ import annotations

import pytest

from tests.faults.clocks import ManualClock
from yoi_runtime.segment_log.platform import Clock


def test_time_goes_by_on_both_clocks_and_only_when_told():
    clock: Clock = (manual := ManualClock(now_us=5_000_000, monotonic_seconds=100.0))
    assert (clock.now_us(), clock.monotonic()) == (5_000_000, 100.0) == (clock.now_us(), clock.monotonic())
    manual.pass_seconds(1.5)
    assert (clock.now_us(), clock.monotonic()) == (6_500_000, 101.5)


def test_a_jump_of_the_wall_clock_leaves_the_monotonic_one_alone():
    clock = ManualClock(now_us=5_000_000, monotonic_seconds=100.0)
    clock.jump_wall(-3)
    assert (clock.now_us(), clock.monotonic()) == (2_000_000, 100.0)


def test_time_does_not_go_back():
    with pytest.raises(ValueError, match="jump_wall"):
        ManualClock().pass_seconds(-1)

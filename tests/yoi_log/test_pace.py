from __future__ import annotations

import math

import pytest
from yoi_log.pace import FLAT_OUT, Pace, parse_speed


class Clock:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(("text", "speed"), [("10x", 10.0), ("0.5", 0.5), ("1x", 1.0), ("max", FLAT_OUT)])
def test_speeds_are_factors_or_max(text: str, speed: float):
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["0", "0x", "-1", "fast", "", "1e3", "x"])
def test_what_is_no_speed_is_refused_with_what_is_one(text: str):
    with pytest.raises(ValueError, match=r"10x or 0\.5, or max"):
        parse_speed(text)


def test_the_first_moment_is_due_at_once_and_the_others_by_their_distance():
    clock = Clock()
    pace = Pace(2.0, clock)
    assert pace.wait_seconds(7_000_000) == 0
    assert pace.wait_seconds(17_000_000) == 5
    clock.seconds += 3
    assert pace.wait_seconds(17_000_000) == 2
    assert pace.wait_seconds(8_000_000) == 0
    assert pace.now_us() == 13_000_000


def test_flat_out_everything_is_due():
    pace = Pace(FLAT_OUT, Clock())
    assert [pace.wait_seconds(moment) for moment in (0, 10**15)] == [0, 0]


def test_a_pause_takes_no_time_and_what_was_due_stays_due():
    clock = Clock()
    pace = Pace(1.0, clock)
    pace.wait_seconds(0)
    clock.seconds += 2
    pace.pause(pace.now_us())
    clock.seconds += 50
    assert (pace.wait_seconds(1_000_000), pace.wait_seconds(3_000_000)) == (0, math.inf)
    pace.go_on()
    assert pace.wait_seconds(3_000_000) == 1


def test_flat_out_a_pause_holds():
    pace = Pace(FLAT_OUT, Clock())
    pace.wait_seconds(0)
    pace.pause(5)
    assert pace.wait_seconds(6) == math.inf
    pace.go_on()
    assert pace.wait_seconds(6) == 0


def test_jumps_and_changes_of_speed_begin_where_they_are_made():
    clock = Clock()
    pace = Pace(1.0, clock)
    pace.wait_seconds(0)
    pace.jump(60_000_000)
    assert pace.wait_seconds(61_000_000) == 1
    pace.change_speed(4.0, 60_000_000)
    assert pace.wait_seconds(64_000_000) == 1

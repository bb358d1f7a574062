"""A run that exercised less than it should has failed, and says how to do it again."""

from __future__ import annotations

from random import Random

import pytest

from tests.torture.report import Budget, Goal, Report, Size, VacuousError

GOAL = Goal(short=3, small=10, large=100, per_second=0.5)


def rounds_of(report: Report, goal: Goal = GOAL) -> list[int]:
    numbers = []
    for number in report.until("rounds", goal):
        report.count("rounds")
        numbers.append(number)
    return numbers


@pytest.mark.parametrize(("size", "count"), [("short", 3), ("small", 10), ("large", 100)])
def test_a_counted_run_goes_on_until_enough_is_done(size: Size, count: int):
    report = Report("power", 1, Budget(size))
    assert rounds_of(report) == list(range(count))
    assert report.floors == {"rounds": count}
    report.finish()


def test_a_run_in_time_goes_on_until_time_is_up_and_does_one_round_at_least():
    report = Report("power", 1, Budget(seconds=1000))
    rounds = report.until("rounds", GOAL)
    for number in range(10):
        assert next(rounds) == number
        report.count("rounds")
    assert rounds_of(Report("power", 1, Budget(seconds=0))) == [0]


def test_what_is_due_in_a_run_in_time_follows_the_processors_time_it_got():
    report = Report("power", 1, Budget(seconds=1000))
    next(report.until("rounds", GOAL))
    assert report.floors == {"rounds": 25}, "and that it got none is no excuse"
    report.processor_seconds = 500.0
    assert report.floors == {"rounds": 250}
    report.processor_seconds = 5000.0
    assert report.floors == {"rounds": 500}
    report = Report("power", 1, Budget("small"))
    next(report.until("rounds", GOAL))
    assert report.floors == {"rounds": 10}


def test_parts_have_rounds_of_their_own_and_are_due_what_is_due_by_all_together():
    parts = [Report("power", 1, Budget("small", part=part, parts=3)) for part in range(3)]
    numbers = [rounds_of(part) for part in parts]
    assert numbers == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    whole = Report("power", 1, Budget("small", parts=3))
    parts[0].processor_seconds = parts[1].processor_seconds = 2.0
    whole.take_in(parts[0])
    whole.take_in(parts[1])
    assert whole.processor_seconds == 4.0
    with pytest.raises(VacuousError):
        whole.finish()
    whole.take_in(parts[2])
    assert whole.finish().counts["rounds"] == 12


def test_cases_are_gone_through_by_all_parts_together_once():
    seen = []
    for part in range(2):
        report = Report("kill", 1, Budget("small", part=part, parts=2))
        seen += list(report.each("calls", range(7), Random(1), short=2, per_second=1))
        assert report.floors == {"calls": 7}
        assert report.counts["calls"] == len(range(part, 7, 2))
    assert sorted(seen) == list(range(7))


def test_of_cases_a_short_run_takes_a_sample_and_a_run_in_time_as_many_as_it_can():
    report = Report("kill", 1, Budget("short"))
    assert len(list(report.each("calls", range(70), Random(1), short=5, per_second=1))) == 5
    report = Report("kill", 1, Budget(seconds=1000))
    assert sorted(report.each("calls", range(70), Random(1), short=5, per_second=1)) == list(range(70))
    report = Report("kill", 1, Budget(seconds=0))
    assert len(list(report.each("calls", range(70), Random(1), short=5, per_second=1))) == 1


def test_what_was_gone_through_before_counts():
    report = Report("kill", 1, Budget("short"))
    list(report.each("rounds", range(70), Random(1), short=3, per_second=1))
    assert rounds_of(report) == []


def test_a_suite_that_gets_no_further_is_stopped():
    report = Report("kill", 1, Budget("short"))
    with pytest.raises(VacuousError):
        list(report.until("rounds", GOAL))


def test_a_run_that_exercised_enough_says_what():
    report = Report("power", 7, Budget("short"))
    report.count("states", 1200)
    report.count("scripts")
    report.note_peak("seconds", 0.25)
    report.note_peak("seconds", 0.125)
    report.require("states", 1000)
    text = str(report.finish())
    assert report.summary() == "power, seed 7, 0 s: 1,200 states"
    assert text.startswith("power: seed 7, size short, took ")
    assert "     1,200  states  (at least 1,000)" in text
    assert "         1  scripts" in text
    assert "      0.25  seconds, at most" in text


def test_a_run_takes_until_it_is_stopped_however_late_that_is_told():
    report = Report("power", 7, Budget("short")).stop()
    took = report.elapsed_seconds
    assert report.elapsed_seconds == took


def test_a_run_that_exercised_too_little_fails():
    report = Report("power", 7, Budget("short"))
    report.count("states", 999)
    report.require("states", 1000)
    report.require("cuts", 1)
    with pytest.raises(VacuousError) as caught:
        report.finish()
    assert "power, seed 7" in str(caught.value)
    assert "states: 999, at least 1000 are due" in str(caught.value)
    assert "cuts: 0, at least 1 are due" in str(caught.value)


def test_what_comes_with_the_rounds_is_due_as_a_share_of_them():
    report = Report("power", 7, Budget("small"))
    rounds_of(report)
    report.require_share("torn tails", 0.3)
    report.count("torn tails", 2)
    with pytest.raises(VacuousError) as caught:
        report.finish()
    assert "torn tails: 2, at least 3 are due" in str(caught.value)


def test_a_failure_names_the_case_and_the_part():
    report = Report("kill", 3, Budget("small"))
    with pytest.raises(ValueError) as caught, report.case("before call 17"):
        raise ValueError("wrong")
    assert caught.value.__notes__ == ["kill, seed 3: before call 17"]
    report = Report("kill", 3, Budget("small", part=1, parts=2))
    with pytest.raises(ValueError) as caught, report.case("before call 17"):
        raise ValueError("wrong")
    assert caught.value.__notes__ == ["kill, seed 3, part 2 of 2: before call 17"]

"""A run that exercised less than it should has failed, and says how to do it again."""

from __future__ import annotations

import pytest

from tests.torture.report import Budget, Report, VacuousError


def test_a_small_run_is_counted():
    budget = Budget.small()
    assert budget.is_small
    assert list(budget.rounds(small=3)) == [0, 1, 2]
    assert budget.floor(small=7, per_second=100) == 7


def test_a_run_in_time_goes_on_until_time_is_up_and_does_one_round_at_least():
    budget = Budget.of_seconds(1000)
    assert not budget.is_small
    rounds = budget.rounds(small=3)
    assert [next(rounds) for _ in range(10)] == list(range(10))
    assert budget.floor(small=7, per_second=0.5) == 500
    assert budget.floor(small=7, per_second=None) == 7
    assert list(Budget.of_seconds(0).rounds(small=3)) == [0]


def test_a_run_that_exercised_enough_says_what():
    report = Report("power", 7, Budget.small())
    report.count("states", 1200)
    report.count("scripts")
    report.require("states", 1000)
    text = str(report.finish())
    assert report.summary() == "power, seed 7, 0 s: 1,200 states"
    assert text.startswith("power: seed 7, size small, ")
    assert "     1,200  states  (at least 1000)" in text
    assert "         1  scripts" in text


def test_a_run_that_exercised_too_little_fails():
    report = Report("power", 7, Budget.small())
    report.count("states", 999)
    report.require("states", 1000)
    report.require("cuts", 0)
    with pytest.raises(VacuousError) as caught:
        report.finish()
    assert "power, seed 7" in str(caught.value)
    assert "states: 999, at least 1000 are due" in str(caught.value)
    assert "cuts: 0, at least 1 are due" in str(caught.value)


def test_a_failure_names_the_case():
    report = Report("kill", 3, Budget.small())
    with pytest.raises(ValueError) as caught, report.case("before call 17"):
        raise ValueError("wrong")
    assert caught.value.__notes__ == ["kill, seed 3: before call 17"]

"""Figures: medians, ratios round by round, targets."""

from __future__ import annotations

import pytest

from tools.bench.figures import Figure, Target, ratio, show


def test_a_ratio_is_taken_round_by_round():
    # The machine was three times as slow in the second round, for both.
    figure = ratio("ours to theirs", [200, 60, 210], [100, 33, 100])
    assert figure.values == pytest.approx((2.0, 60 / 33, 2.1))
    assert figure.median == 2.0


def test_a_ratio_of_unequal_rounds_is_a_mistake():
    with pytest.raises(ValueError):
        ratio("ours to theirs", [1, 2], [1])


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (Target(at_least=100), 100, True),
        (Target(at_least=100), 99.9, False),
        (Target(at_most=100), 100, True),
        (Target(at_most=100), 100.1, False),
        (Target(at_least=1, at_most=2), 1.5, True),
        (Target(at_least=1, at_most=2), 2.5, False),
    ],
)
def test_the_median_is_held_against_the_target(target: Target, value: float, met: bool):
    assert Figure("it", "/s", (0, value, 1_000), target).is_met is met
    assert Figure("it", "/s", (0, value, 1_000)).is_met is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (123_456, "123,000"),
        (1_000, "1,000"),
        (999.4, "999"),
        (12.34, "12.3"),
        (0.012345, "0.0123"),
        (2.0, "2"),
        (0, "0"),
    ],
)
def test_people_read_three_digits(value: float, text: str):
    assert show(value) == text


def test_json_has_every_value():
    assert Figure("it", "ms", (3.0, 1.0, 2.0), Target(at_most=2)).to_json() == {
        "name": "it",
        "unit": "ms",
        "median": 2.0,
        "lowest": 1.0,
        "highest": 3.0,
        "values": [3.0, 1.0, 2.0],
        "target": "<= 2",
        "met": True,
    }

from __future__ import annotations

import random

from yoi_log.measures import Durations, Longest, NameCounts


def test_percentiles_are_right_to_a_twentieth():
    chance = random.Random(7)
    durations, plain = Durations(), sorted(chance.expovariate(2) for _ in range(5000))
    for seconds in plain:
        durations.add(seconds)
    for share in (0.5, 0.95):
        exact = plain[int(share * len(plain)) - 1]
        assert exact <= durations.percentile(share) <= exact * 1.06
    assert durations.longest_seconds == plain[-1]
    assert abs(durations.total_seconds - sum(plain)) < 1e-6


def test_a_clock_that_was_set_back_gives_no_negative_duration():
    durations = Durations()
    durations.add(-5)
    assert (durations.count, durations.total_seconds, durations.percentile(0.5)) == (1, 0, 0)


def test_no_durations_are_zeros():
    assert set(Durations().summary().values()) == {0}


def test_the_longest_are_kept_in_order_and_of_equal_ones_the_earlier():
    longest: Longest[str] = Longest(3)
    for measure, thing in [(1, "a"), (5, "b"), (3, "c"), (3, "d"), (4, "e")]:
        longest.offer(measure, thing)
    assert list(longest) == ["b", "e", "c"]


def test_more_names_than_may_be_are_counted_together():
    counts = NameCounts(most=2)
    for name in ("a", "b", "b", "c", "d", "a", "b"):
        counts.add(name)
    assert counts.by_count() == {"b": 3, "(others)": 2, "a": 2}

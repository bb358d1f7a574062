"""Positions are ordered as the log is."""

from __future__ import annotations

from itertools import permutations

from yoi_runtime.segment_log.position import Position


def test_positions_are_ordered_as_the_log_is():
    in_order = (
        Position(1, 900, 300, 0),
        Position(1, 900, 800, 1),
        Position(1, 900, 10_000, 2),
        Position(2, 5, 300, 2),
        Position(10, 1, 300, 2),
    )
    for shuffled in permutations(in_order):
        assert sorted(shuffled) == list(in_order)


def test_end_and_beginning_of_neighbours_are_two_names_with_one_seq():
    end, beginning = Position(1, 900, 800, 1), Position(2, 5, 300, 1)
    assert end != beginning
    assert end.seq == beginning.seq

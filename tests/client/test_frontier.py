from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.client.frontier import Frontier


def test_the_safe_cursor_waits_for_the_oldest():
    frontier = Frontier("c0")
    first, second = frontier.add("c1"), frontier.add("c2")
    frontier.dealt(second)
    assert frontier.safe_cursor == "c0"
    frontier.dealt(first)
    assert frontier.safe_cursor == "c2"


def test_a_mere_place_is_passed_as_soon_as_nothing_before_it_is_open():
    frontier = Frontier(None)
    frontier.add("c1", 0)
    assert frontier.safe_cursor == "c1"
    event = frontier.add("c2")
    frontier.add("c3", 0)
    assert frontier.safe_cursor == "c1"
    frontier.dealt(event)
    assert frontier.safe_cursor == "c3"


def test_what_goes_to_two_is_open_until_both_have_dealt_with_it():
    frontier = Frontier("c0")
    gap = frontier.add("c1", 2)
    frontier.dealt(gap)
    assert frontier.safe_cursor == "c0"
    frontier.dealt(gap)
    assert frontier.safe_cursor == "c1"


def test_an_item_without_a_cursor_gives_no_place():
    frontier = Frontier("c0")
    frontier.dealt(frontier.add(None))
    assert frontier.safe_cursor == "c0"


@given(st.permutations(range(1, 9)))
def test_in_whatever_order_nothing_open_is_ever_passed(order: list[int]):
    frontier = Frontier("0")
    pending = {n: frontier.add(str(n)) for n in range(1, 9)}
    left = set(pending)
    for n in order:
        frontier.dealt(pending[n])
        left.discard(n)
        assert frontier.safe_cursor == str(min(left, default=9) - 1)
    assert not frontier._pending

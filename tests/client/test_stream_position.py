from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.client.stream_position import StreamPosition
from yoi_runtime.protocol.stream_request import FromCursor, FromNow, FromOldest


def test_it_begins_where_it_was_told():
    assert (StreamPosition(FromNow()).start, StreamPosition(FromNow()).safe_cursor) == (FromNow(), None)
    assert (StreamPosition(FromOldest()).start, StreamPosition(FromOldest()).safe_cursor) == (FromOldest(), None)
    position = StreamPosition(FromCursor("c1"))
    assert (position.start, position.safe_cursor) == (FromCursor("c1"), "c1")


def test_an_opening_gives_a_place_before_any_event():
    position = StreamPosition(FromNow())
    position.opened("c1")
    assert (position.start, position.safe_cursor) == (FromCursor("c1"), "c1")


def test_what_was_received_is_not_asked_for_again_but_not_yet_safe():
    position = StreamPosition(FromCursor("c1"))
    position.received("c2")
    assert (position.start, position.safe_cursor) == (FromCursor("c2"), "c1")
    position.taken("c2")
    assert position.safe_cursor == "c1"
    position.ack()
    assert position.safe_cursor == "c2"


def test_acknowledging_nothing_or_twice_changes_nothing():
    position = StreamPosition(FromCursor("c1"))
    position.ack()
    position.received("c2")
    position.received("c3")
    position.taken("c2")
    position.ack()
    position.ack()
    assert position.safe_cursor == "c2"


def test_an_opening_behind_open_events_becomes_safe_after_them():
    position = StreamPosition(FromCursor("c1"))
    position.received("c2")
    position.received("c3")
    position.opened("floor")
    assert (position.start, position.safe_cursor) == (FromCursor("floor"), "c1")
    position.taken("c2")
    position.ack()
    assert position.safe_cursor == "c2"
    position.taken("c3")
    assert position.safe_cursor == "c2"
    position.ack()
    assert position.safe_cursor == "floor"


def test_an_opening_before_a_later_event_never_becomes_safe_after_it():
    position = StreamPosition(FromCursor("c1"))
    position.received("c2")
    position.opened("c2")
    position.received("c3")
    for cursor in ("c2", "c3"):
        position.taken(cursor)
        position.ack()
    assert position.safe_cursor == "c3"


def test_behind_a_gap_it_goes_on_at_the_cursor_after_it():
    position = StreamPosition(FromCursor("old"))
    position.restarts("floor")
    assert (position.start, position.safe_cursor) == (FromCursor("floor"), "old")
    position.taken("floor")
    position.ack()
    assert position.safe_cursor == "floor"


def test_behind_a_gap_of_unknown_end_it_goes_on_at_the_oldest_and_knows_no_new_place():
    position = StreamPosition(FromCursor("old"))
    position.restarts(None)
    position.taken(None)
    position.ack()
    assert (position.start, position.safe_cursor) == (FromOldest(), "old")


@given(st.lists(st.sampled_from(["receive", "open", "take", "ack"]), max_size=40))
def test_the_safe_cursor_never_passes_an_event_that_is_not_dealt_with(steps: list[str]):
    position = StreamPosition(FromCursor("0"))
    newest, waiting, in_hand = 0, [], None
    for step in steps:
        if step in ("receive", "open"):
            newest += 1
            if step == "open":
                position.opened(str(newest))
            else:
                position.received(str(newest))
                waiting.append(newest)
        elif step == "ack" or (step == "take" and waiting):
            position.ack()
            in_hand = None
            if step == "take":
                in_hand = waiting.pop(0)
                position.taken(str(in_hand))
        open_events = ([in_hand] if in_hand is not None else []) + waiting
        safe = int(position.safe_cursor or "")
        assert safe < open_events[0] if open_events else safe == newest
        assert position.start == FromCursor(str(newest))

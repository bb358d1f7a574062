from __future__ import annotations

from yoi_runtime.client.stream_position import StreamPosition
from yoi_runtime.protocol.stream_request import FromCursor, FromNow, FromOldest, Start


def test_it_begins_where_it_was_told():
    for start in (FromNow(), FromOldest(), FromCursor("c1")):
        assert StreamPosition(start).start == start


def test_what_has_arrived_is_not_asked_for_again():
    position = StreamPosition(FromNow())
    position.reached("c1")
    position.reached("c2")
    assert position.start == FromCursor("c2")


def test_behind_a_gap_it_goes_on_at_the_cursor_after_it_or_else_at_the_oldest():
    position = StreamPosition(FromCursor("old"))
    starts: list[Start] = []
    for cursor in ("floor", None):
        position.restarts(cursor)
        starts.append(position.start)
    assert starts == [FromCursor("floor"), FromOldest()]

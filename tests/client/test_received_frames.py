from __future__ import annotations

import pytest

from tests.client.scripted_runtime import batch, bookmark, caught_up, end, event, hello
from yoi_runtime.client.received_frames import (
    ReceivedBookmark,
    ReceivedCaughtUp,
    ReceivedEnd,
    ReceivedHello,
    frames_in,
    frames_of_batch,
    parse_v1_frame,
)
from yoi_runtime.errors import FrameInvalidError


def test_a_batch_is_taken_apart_without_a_copy_of_what_is_none():
    events = [event(1), event(2, payload={"event": "text_delta", "data": {"text": "a,\n]}\u2028"}}), hello("c")]
    assert frames_in(batch(*events)) == events
    assert frames_in(batch(event(1))) == [event(1)]
    assert frames_in(batch(b'{"a":\n1}', event(1))) == [b'{"a":\n1}', event(1)]
    # Where no comma stands there is no joint, and nothing is taken off: such a frame is not JSON, and refused as that.
    for between in (b"\n", b" \n", b";\n"):
        glued = event(1) + between + event(2)
        assert frames_in(batch(glued)) == [glued]
        assert frames_in(batch(event(0), glued, event(3))) == [event(0), glued, event(3)]
    single = event(1)
    assert frames_in(single)[0] is single


def test_a_batch_in_another_hand_is_parsed():
    assert frames_of_batch(b'{"frames": [ {"kind":"x"}, {"kind" : "y"} ], "kind": "batch"}') == [
        b'{"kind":"x"}',
        b'{"kind":"y"}',
    ]
    for bad in (b'{"kind":"batch"}', b'{"kind":"batch","frames":[1]}', b'{"kind":"batch","frames":{}}'):
        with pytest.raises(FrameInvalidError):
            frames_of_batch(bad)


def test_each_frame_gives_what_a_client_acts_on():
    greeting = parse_v1_frame(ReceivedHello, "hello", hello("c1"))
    assert greeting.scope is not None
    assert (greeting.resumed_from, greeting.scope.worker_id, greeting.heartbeat_ms) == ("c1", "a", 3_600_000)
    assert parse_v1_frame(ReceivedCaughtUp, "caught_up", caught_up("c2", 7)).replayed == 7
    mark = parse_v1_frame(ReceivedBookmark, "bookmark", bookmark("c3", worker_seq=5))
    assert mark.behind is not None
    assert (mark.cursor, mark.worker_seq, mark.behind.events) == ("c3", 5, 0)
    assert parse_v1_frame(ReceivedEnd, "end", end("c4", "lost")).outcome == "lost"


def test_a_newer_runtime_may_say_more_and_less():
    assert parse_v1_frame(ReceivedHello, "hello", b'{"kind":"hello","resumed_from":"c","mood":1}').heartbeat_ms is None
    assert parse_v1_frame(ReceivedBookmark, "bookmark", b'{"kind":"bookmark","cursor":"c"}').behind is None


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b'{"kind":"hello"}', "resumed_from"),
        (b'{"kind":"hello","resumed_from":""}', "resumed_from"),
        (b'{"kind":"hello","resumed_from":"c","heartbeat_ms":-1}', "heartbeat_ms"),
        (b'{"kind":"hello","resumed_from":"c","scope":{"worker_id":7}}', "scope.worker_id"),
    ],
)
def test_what_a_client_needs_and_cannot_read_is_named_and_not_quoted(raw: bytes, place: str):
    with pytest.raises(FrameInvalidError, match=f"hello frame, {place}: "):
        parse_v1_frame(ReceivedHello, "hello", raw)

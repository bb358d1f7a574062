"""What messages mean, without a socket: the same events in every wrapping, and every frame that says something else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.scripted_runtime import (
    batch,
    bookmark,
    caught_up,
    end,
    event,
    hello,
    opened,
    problem,
    snapshot,
)
from yoi_runtime.client.event_sequence import EventSequence
from yoi_runtime.client.resume import Closed
from yoi_runtime.client.session import Ended, Heard, Session, StreamView
from yoi_runtime.client.stream_event import Place, StreamEvent, StreamGap, StreamItem
from yoi_runtime.client.stream_position import StreamPosition
from yoi_runtime.client.stream_state import StreamState
from yoi_runtime.errors import FrameInvalidError, StreamFrameError, StreamGapError
from yoi_runtime.protocol.diagnostics import DiagnosticCode, Recovery
from yoi_runtime.protocol.stream_request import FromCursor, FromNow
from yoi_runtime.protocol.versions import ProtocolVersion


class Talk:
    """A session, and everything it has said so far."""

    def __init__(self, version: ProtocolVersion = ProtocolVersion.V1, worker_id: str | None = "a", **view: Any) -> None:
        self.view = StreamView("ws://r", worker_id, **view)
        self.position = StreamPosition(FromNow())
        sequence = EventSequence("ws://r", of_one_worker=worker_id is not None, filtered=self.view.events is not None)
        self.session = Session(self.view, version, sequence, self.position)
        self.items: list[StreamItem] = []
        self.states: list[StreamState] = []
        self.verdict: object = None

    def hear(self, *messages: str | bytes) -> Heard:
        heard = Heard()
        for message in messages:
            assert self.verdict is None
            heard = self.session.receive(message)
            self.items += heard.items
            self.states += [heard.state] if heard.state is not None else []
            self.verdict = heard.verdict
        return heard

    @property
    def said(self) -> list[str]:
        """Return what the consumer gets: events and gaps by cursor, mere places in brackets."""
        return [f"[{item.cursor}]" if isinstance(item, Place) else str(item.cursor) for item in self.items]


# Events.


def test_a_stream_of_v1_from_hello_to_end():
    talk = Talk()
    talk.hear(hello("c0"), batch(event(1), event(2)), event(3), caught_up("c3", 3), bookmark("c3"), event(4), end("c4"))
    assert talk.said == ["[c0]", "c1", "c2", "c3", "[c3]", "[c3]", "c4", "[c4]"]
    assert talk.states == [StreamState.REPLAYING, StreamState.LIVE]
    assert (talk.verdict, talk.position.start) == (Ended("completed"), FromCursor("c4"))


@given(st.lists(st.integers(1, 5), max_size=8), st.booleans())
def test_batches_of_any_size_bring_the_same_events(sizes: list[int], as_text: bool):
    talk, n = Talk(), 0
    for size in sizes:
        frames = [event(n + step) for step in range(1, size + 1)]
        message = batch(*frames) if size > 1 else frames[0]
        talk.hear(message.decode() if as_text else message)
        n += size
    events = [item for item in talk.items if isinstance(item, StreamEvent)]
    assert [item.raw for item in events] == [event(step) for step in range(1, n + 1)]


def test_a_batch_in_another_hand_brings_the_same_events():
    frames = [json.loads(event(n)) for n in (1, 2)]
    for message in (
        json.dumps({"kind": "batch", "frames": frames}),
        json.dumps({"frames": frames, "kind": "batch"}, indent=1),
    ):
        talk = Talk()
        talk.hear(message)
        assert talk.said == ["c1", "c2"]
    pretty = b'{"kind":"batch","frames":[' + json.dumps(frames[0], indent=1).replace(",\n", " ,\n").encode() + b"]}"
    talk = Talk()
    talk.hear(pretty.replace(b" ,\n", b",\n"))
    assert talk.said == ["c1"]


def test_members_in_another_order_bring_the_same_event():
    frame = json.loads(event(1))
    shuffled = {"envelope": dict(reversed(frame["envelope"].items())), "kind": "event"}
    talk = Talk()
    talk.hear(json.dumps(shuffled))
    (item,) = talk.items
    assert isinstance(item, StreamEvent)
    assert (item.cursor, item.worker_seq, item.payload) == ("c1", 1, frame["envelope"]["payload"])


def test_what_stands_before_a_hole_in_a_batch_is_handed_over():
    talk = Talk()
    talk.hear(batch(event(1), event(2), event(4), event(5)))
    assert talk.said == ["c1", "c2"]
    assert isinstance(talk.verdict, StreamGapError)
    assert talk.position.start == FromCursor("c2")


def test_a_cut_off_event_is_no_event():
    for cut in (event(1)[:-1], event(1)[:-30], event(1)[:200]):
        talk = Talk()
        talk.hear(cut)
        assert isinstance(talk.verdict, StreamFrameError)
        assert talk.said == []


def test_a_flipped_byte_is_found_and_what_stands_before_it_is_handed_over():
    damaged = event(2).replace(b"text 2", b"text 3")
    talk = Talk(verify_crc=True)
    talk.hear(batch(event(1), damaged, event(3)))
    assert talk.said == ["c1"]
    assert isinstance(talk.verdict, StreamFrameError)
    assert "event e2" in str(talk.verdict)
    careless = Talk()
    careless.hear(batch(event(1), damaged, event(3)))
    assert careless.said == ["c1", "c2", "c3"]


def test_an_event_without_a_checksum_cannot_be_judged_by_it():
    talk = Talk(verify_crc=True)
    talk.hear(event(1)[: -len(',"crc":"00000000"}')] + b"}")
    assert talk.said == ["c1"]


# Places.


def test_a_bookmark_that_knows_of_an_event_which_never_came_is_a_hole():
    talk = Talk()
    talk.hear(hello("c0"), event(1), bookmark("c9", worker_seq=1))
    assert talk.verdict is None
    talk.hear(bookmark("c9", worker_seq=2))
    assert isinstance(talk.verdict, StreamGapError)
    assert (talk.verdict.expected, talk.verdict.got, talk.position.start) == (2, 3, FromCursor("c9"))


def test_a_bookmark_tells_how_far_the_end_is():
    talk = Talk()
    talk.hear(hello("c0"))
    assert talk.session.behind is None
    talk.hear(bookmark("c1", behind={"events": 12, "bytes": 3400}))
    assert talk.session.behind == (12, 3400)
    talk.hear(caught_up("c1"))
    assert talk.session.behind == (0, 0)


def test_hello_tells_the_heartbeat():
    talk = Talk()
    talk.hear(hello("c0", heartbeat_ms=15000))
    assert talk.session.heartbeat_seconds == 15


@pytest.mark.parametrize(("worker_id", "theirs"), [("a", "b"), ("a", None), (None, "a")])
def test_a_stream_of_something_else_is_not_taken(worker_id: str | None, theirs: str | None):
    talk = Talk(worker_id=worker_id)
    talk.hear(hello("c0", scope={"worker_id": theirs}))
    assert isinstance(talk.verdict, StreamFrameError)


def test_a_filtered_stream_is_held_against_the_count():
    names = frozenset({"text_delta"})
    talk = Talk(events=names)
    talk.hear(hello("c0"), event(1), event(5), caught_up("c9", 2))
    assert talk.verdict is None
    short = Talk(events=names)
    short.hear(hello("c0"), event(1), caught_up("c9", 2))
    assert isinstance(short.verdict, StreamGapError)
    assert (short.verdict.numbering, short.verdict.expected, short.verdict.got) == ("replayed", 3, 1)


# Diagnostics.


def corrupt(**fields: Any) -> bytes:
    sent = problem(DiagnosticCode.RECORD_CORRUPT, resume_cursor="c7", **fields)
    return sent.model_copy(update={"recovery": Recovery.NONE}).frame()


def test_damage_is_a_verdict_by_default():
    talk = Talk()
    talk.hear(event(1), corrupt())
    assert isinstance(talk.verdict, Closed)
    assert talk.verdict.diagnostic is not None
    assert talk.verdict.diagnostic.resume_cursor == "c7"


def test_damage_is_a_gap_when_chosen_and_what_lies_behind_follows():
    talk = Talk(on_corrupt="gap")
    talk.hear(event(1), corrupt(), event(8))
    assert talk.said == ["c1", "c7", "c8"]
    gap = talk.items[1]
    assert isinstance(gap, StreamGap)
    assert (gap.code, gap.cursor) == ("runtime.record_corrupt", "c7")
    assert talk.verdict is None


def test_damage_without_a_place_behind_it_is_a_verdict_whatever_was_chosen():
    talk = Talk(on_corrupt="gap")
    talk.hear(b'{"kind":"diagnostic","diagnostic":{"code":"runtime.record_corrupt","message":"m","recovery":"none"}}')
    assert isinstance(talk.verdict, Closed)


def test_advice_is_a_verdict_and_a_complaint_waits_for_the_close_code():
    talk = Talk()
    talk.hear(b'{"kind":"diagnostic","diagnostic":{"code":"runtime.hiccup","message":"m"}}')
    assert talk.session.complaint is not None
    talk.hear(event(1))
    assert talk.session.complaint is None
    talk.hear(problem(DiagnosticCode.SHUTTING_DOWN).frame())
    assert isinstance(talk.verdict, Closed)


@pytest.mark.parametrize("version", ProtocolVersion)
def test_what_a_newer_runtime_says_is_passed_over(version: ProtocolVersion):
    talk = Talk(version)
    talk.hear('{"kind":"weather","sun":true}', event(1, mood="new"), event(2))
    assert talk.said == ["c1", "c2"]


@pytest.mark.parametrize("message", ["", "{", "[]", '"x"', "\ud800", '{"kind":1}', '{"kind":"hello"}', b"\xff\xfe"])
def test_what_cannot_be_read_ends_the_stream(message: str | bytes):
    talk = Talk()
    talk.hear(message)
    assert isinstance(talk.verdict, StreamFrameError)


# v0.


def test_a_workers_stream_of_v0():
    talk = Talk(ProtocolVersion.V0)
    talk.hear(snapshot("c0", "paused"), event(1), '{"kind":"hello"}', '{"kind":"end"}', event(2))
    assert talk.said == ["[c0]", "c1", "c2"]
    assert (talk.session.worker_status, talk.states) == ("paused", [StreamState.LIVE])


def test_the_stream_of_everything_of_v0():
    talk = Talk(ProtocolVersion.V0, None)
    talk.hear(opened("c0"), event(1))
    assert talk.said == ["[c0]", "c1"]


def test_in_v0_the_client_does_the_filtering_and_keeps_the_places():
    talk = Talk(ProtocolVersion.V0, events=frozenset({"status"}))
    talk.hear(event(1), event(2, payload={"event": "status", "data": {"status": "idle"}}), event(3))
    assert talk.said == ["[c1]", "c2", "[c3]"]


def test_only_v0_wraps():
    item = {"kind": "yoi.event", "event": "worker_ended", "data": {"worker_id": "a"}}
    wrapped = event(1, payload={"event": "system_item", "data": {"item": item}})
    for version, name in ((ProtocolVersion.V0, "worker_ended"), (ProtocolVersion.V1, "system_item")):
        talk = Talk(version)
        talk.hear(wrapped)
        (found,) = talk.items
        assert isinstance(found, StreamEvent)
        assert found.event_name == name
        assert found.raw == wrapped


@pytest.mark.parametrize("bad", ["a\\", "\\q", "\\ud800", b"\xff"])
@pytest.mark.parametrize("member", ["cursor", "event_id", "worker_id"])
def test_what_is_not_json_between_an_envelopes_quotes_ends_the_stream_or_is_told_to_who_asks(
    member: str, bad: str | bytes
):
    good = event(1)
    usual = b'"%s":"%s"' % (member.encode(), json.loads(good)["envelope"][member].encode())
    broken = good.replace(usual, b'"%s":"%s"' % (member.encode(), bad if isinstance(bad, bytes) else bad.encode()))
    assert broken != good
    talk = Talk()
    talk.hear(hello("c0"), broken)
    if member == "cursor":
        assert isinstance(talk.verdict, StreamFrameError)
        return
    with pytest.raises(FrameInvalidError):
        getattr(talk.items[-1], member)

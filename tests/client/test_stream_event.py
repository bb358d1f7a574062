from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.client.scripted_runtime import event
from tests.events.examples import FULL
from yoi_runtime.client.stream_event import StreamEvent, StreamGap, event_of_frame, event_of_line, unwrapped
from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events.codec import decode_payload, encode_payload
from yoi_runtime.events.conversation_events import SystemItem
from yoi_runtime.events.event import Event
from yoi_runtime.events.extended_event import traced
from yoi_runtime.events.output_events import TextDelta
from yoi_runtime.events.runtime_events import WorkerEnded
from yoi_runtime.events.v0_payload import wrap_for_v0
from yoi_runtime.events.vocabulary import UnknownEvent
from yoi_runtime.protocol.frames import EventFrame, decode_frame


def came(message: bytes) -> StreamEvent:
    found = event_of_line(message)
    if found is None:
        frame = decode_frame(message)
        assert isinstance(frame, EventFrame)
        found = event_of_frame(frame)
    return unwrapped(found)


def with_payload(payload: Any) -> StreamEvent:
    return came(event(1, payload=payload))


def test_it_shows_the_envelope():
    message = event(7, seq=70)
    seen = came(message)
    assert seen.raw == message
    assert (seen.cursor, seen.event_id, seen.seq, seen.worker_id, seen.worker_seq) == ("c7", "e7", 70, "a", 7)
    assert seen.time == "2026-01-02T03:04:05.000006Z"
    assert (seen.event_name, seen.payload) == ("text_delta", {"event": "text_delta", "data": {"text": "text 7"}})
    assert repr(seen) == "StreamEvent('text_delta', worker_id='a', event_id='e7')"


@pytest.mark.parametrize("name", ["a\\b", 'a"b', "\\", "é", "\u2028"])
def test_escapes_of_another_runtime_are_read_as_json_means_them(name: str):
    """Ours needs none in an envelope; what stands between its quotes is not looked at when it arrives."""
    payload = {"event": name, "data": {"text": name}}
    message = (
        event(1, payload=payload).replace(b'"c1"', b'"c\\u0031"').replace(b'"worker_id":"a"', b'"worker_id":"\\u0061"')
    )
    assert json.loads(message)["envelope"]["cursor"] == "c1"
    seen = came(message)
    assert (seen.cursor, seen.worker_id, seen.event_name, seen.payload) == ("c1", "a", name, payload)


def test_what_the_runtime_did_not_send_is_none():
    seen = came(b'{"kind":"event","envelope":{"cursor":"c","event_id":"e","payload":{"event":"shutdown"}}}')
    assert (seen.seq, seen.worker_id, seen.worker_seq, seen.time) == (None, None, None, None)


def test_decoding_gives_the_typed_event():
    assert came(event(7)).decode() == TextDelta(text="text 7")


@pytest.mark.parametrize("example", [example.event for example in FULL], ids=str)
def test_decoding_in_place_and_the_thorough_way_come_to_the_same(example: Event):
    found = with_payload(json.loads(encode_payload(example)))
    assert found.decode() == decode_payload(encode_payload(example)) == example
    assert found.payload == json.loads(found.payload_json) == json.loads(encode_payload(example))


@pytest.mark.parametrize(
    "data",
    [{"text": 3}, {"text": None}, {}, {"text": "a", "more": [1, {"b": 2.5}]}, [], None, {"text": "\ud800"}, {"text": "\u2028\n\\"}],
)  # fmt: skip
def test_whatever_the_data_of_a_frequent_event_is_both_ways_say_the_same(data: object):
    payload = b'{"event":"text_delta","data":%s}' % json.dumps(data).encode()
    found = with_payload(json.loads(payload))
    assert said(found.decode) == said(lambda: decode_payload(payload))


def said(decode: Callable[[], Event]) -> object:
    """Return the event, or what is wrong with it and where."""
    try:
        return decode()
    except EventInvalidError as error:
        return error.where, error.reason


def test_decoding_a_name_of_a_newer_runtime_gives_an_unknown_event():
    decoded = with_payload({"event": "brand_new", "data": [1]}).decode()
    assert isinstance(decoded, UnknownEvent)
    assert decoded.data == [1]


def test_decoding_finds_data_that_breaks_the_rules():
    with pytest.raises(EventInvalidError):
        with_payload({"event": "text_delta", "data": {"text": 3}}).decode()


# As the log holds it: the server looks at the order of the members.
RECORD = b'{"kind":"event","envelope":{"cursor":"c1","event_id":"e1","seq":1,"worker_id":"a","worker_seq":1,"time":"2026-01-02T03:04:05.000006Z","payload":%s},"crc":"00000000"}'  # fmt: skip


def test_what_v0_wraps_is_unwrapped():
    payload = {"event": "worker_ended", "data": {"worker_id": "a", "outcome": "completed"}}
    wrapped = wrap_for_v0(RECORD % json.dumps(payload, separators=(",", ":")).encode())
    assert b'"yoi.event"' in wrapped
    seen = came(wrapped)
    assert (seen.event_name, seen.payload) == ("worker_ended", payload)
    assert seen.decode() == WorkerEnded(worker_id="a", outcome="completed")
    assert seen.raw == wrapped


def test_an_event_without_data_is_unwrapped_without_data():
    seen = came(wrap_for_v0(RECORD % b'{"event":"runtime_stopping"}'))
    assert seen.payload == {"event": "runtime_stopping"}


@pytest.mark.parametrize(
    "item",
    [{"kind": "note", "event": "x"}, {"kind": "yoi.event"}, {"kind": "yoi.event", "event": ""}, "yoi.event", None],
)
def test_other_system_items_stay_as_they_are(item: object):
    payload = {"event": "system_item", "data": {"item": item}}
    seen = with_payload(payload)
    assert (seen.event_name, seen.payload) == ("system_item", payload)
    assert isinstance(seen.decode(), SystemItem)


def test_a_gap_is_compared_by_value():
    assert StreamGap("a", "b", None, {}) == StreamGap("a", "b", None, {})


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "inner", [TextDelta(text="x"), UnknownEvent(name="brain_wave"), UnknownEvent(name="b", data=1)]
)
def test_the_trace_of_an_event_is_told_in_both_dialects(inner: Event):
    payload = json.loads(encode_payload(traced(inner, TRACE)))
    message = event(1, payload=payload)
    for frame in (message, wrap_for_v0(message)):
        seen = came(frame)
        assert (seen.traceparent, seen.decode(), seen.payload) == (TRACE, inner, payload)


@pytest.mark.parametrize("value", [None, 1, "", f"ff{TRACE[2:]}", [TRACE]])
def test_what_is_no_trace_context_is_none(value: object):
    payload = {"event": "text_delta", "data": {"text": '"traceparent":'}, "traceparent": value}
    assert with_payload(payload).traceparent is None
    assert with_payload({"event": "text_delta", "data": {"traceparent": TRACE, "text": ""}}).traceparent is None

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events import (
    Event,
    ExtendedEvent,
    PayloadAdapter,
    Shutdown,
    TextDelta,
    TextDone,
    UnknownEvent,
    decode_extended,
    decode_payload,
    decode_record,
    encode_payload,
    extended,
    parse_head,
    payload_bytes,
    plain,
    traced,
    wrap_for_v0,
)

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
EVENTS: list[Event] = [
    TextDelta(text="hi"),
    TextDelta.model_validate({"text": "hi", "new": [1]}),
    Shutdown(),
    UnknownEvent(name="brain_wave"),
    UnknownEvent(name="brain_wave", data={"hz": 40}),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event_name)
def test_the_members_stand_after_event_and_data_and_readers_of_the_event_pass_over_them(event: Event):
    carried = extended(event, {"traceparent": GOOD, "key": 'a"ü'})
    payload = encode_payload(carried)
    assert payload == encode_payload(event)[:-1] + b',"traceparent":"%s","key":"a\\"\xc3\xbc"}' % GOOD.encode()
    assert decode_payload(payload) == event
    assert decode_extended(payload) == carried
    assert decode_extended(encode_payload(event)) == event
    assert PayloadAdapter.dump_python(carried) == json.loads(payload)
    assert (carried.event_name, plain(carried), plain(event)) == (event.event_name, event, event)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event_name)
def test_a_record_with_further_members_is_one_and_v0_keeps_them(event: Event):
    payload = encode_payload(traced(event, GOOD))
    record = (
        b'{"kind":"event","envelope":{"cursor":"wo1x","event_id":"a-1","seq":1,"worker_id":"a","worker_seq":1,'
        b'"time":"2026-11-22T00:00:00.000000Z","payload":%s},"crc":"00000000"}' % payload
    )
    head = parse_head(record)
    assert head is not None
    assert payload_bytes(record, head) == payload
    assert decode_record(record).payload == event
    wrapped = json.loads(wrap_for_v0(record))["envelope"]["payload"]
    if event.event_name == "brain_wave":
        data = {"hz": 40} if isinstance(event, UnknownEvent) and event.has_data else None
        item = {"kind": "yoi.event", "event": "brain_wave", "data": data, "traceparent": GOOD}
        assert wrapped == {"event": "system_item", "data": {"item": item}}
    else:
        assert wrapped == json.loads(payload)


def test_members_are_added_to_those_there_are_and_none_is_none():
    event = TextDone(text="hi")
    both = extended(extended(event, {"key": "1", "traceparent": "old"}), {"traceparent": GOOD})
    assert isinstance(both, ExtendedEvent)
    assert (both.event, both.members) == (event, {"key": "1", "traceparent": GOOD})
    assert extended(event, {}) is event


def test_a_member_that_is_no_text_is_passed_over():
    assert decode_extended(b'{"event":"shutdown","key":1,"other":{"a":"b"}}') == Shutdown()


@pytest.mark.parametrize("name", ["event", "data"])
def test_what_a_payload_has_already_is_no_further_member(name: str):
    with pytest.raises(ValidationError, match="has already"):
        extended(Shutdown(), {name: "x"})


def test_a_traceparent_that_is_none_is_refused():
    with pytest.raises(EventInvalidError, match="traceparent: the trace id is all zero"):
        traced(TextDone(text="hi"), f"00-{'0' * 32}-00f067aa0ba902b7-01")


def test_a_lone_surrogate_in_a_member_is_found_when_it_is_encoded():
    with pytest.raises(EventInvalidError, match="surrogate"):
        encode_payload(extended(Shutdown(), {"key": "\ud800"}))

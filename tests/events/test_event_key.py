"""Keys stand in records where readers pass them over, and are found again."""

from __future__ import annotations

import json

import pytest

from yoi_runtime.events import (
    CompactStart,
    Event,
    TextDelta,
    TextDone,
    UnknownEvent,
    decode_payload,
    decode_record,
    encode_payload,
    encode_payloads,
    is_event_key,
    keyed_records,
    parse_head,
    payload_bytes,
    with_key,
    wrap_for_v0,
)

EVENTS: list[Event] = [
    TextDone(text='a "key":"x"}},"crc":"00000000"}'),
    CompactStart(),
    UnknownEvent(name="bare"),
    UnknownEvent(name="text", data='","key":"abc"'),
    UnknownEvent(name="listed", data=[{"key": "abc"}]),
    UnknownEvent(name="held", data={"key": "abc"}),
]


def record(payload: bytes, worker_id: str | None = "coder") -> bytes:
    head = (
        b'{"kind":"event","envelope":{"cursor":"wo1abc","event_id":"m2MpMh_MdvM-d","seq":13,"worker_id":%s,'
        b'"worker_seq":6,"time":"2026-11-22T00:00:02.500000Z","payload":'
    )
    return head % json.dumps(worker_id).encode() + payload + b'},"crc":"bb5c85f2"}\n'


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event_name)
def test_a_key_is_passed_over_by_who_decodes_and_found_by_who_looks_for_it(event: Event):
    keyed = with_key(encode_payload(event), "run-7:1.2")
    assert decode_payload(keyed) == event
    assert json.loads(keyed)["key"] == "run-7:1.2"
    line = record(keyed)
    assert decode_record(line[:-1]).payload == event
    head = parse_head(line[:-1])
    assert head is not None
    assert payload_bytes(line[:-1], head) == keyed
    assert keyed_records(line) == [("coder", "run-7:1.2", "wo1abc")]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event_name)
def test_what_looks_like_a_key_inside_of_an_event_is_none(event: Event):
    assert keyed_records(record(encode_payload(event))) == []


def test_the_runtimes_own_events_have_no_key():
    assert keyed_records(record(b'{"event":"x","key":"abc"}', None)) == []


def test_of_many_records_those_with_a_key_are_found_in_order():
    lines = b"".join(
        record(with_key(b'{"event":"x"}', str(number)) if number % 3 else b'{"event":"x"}') for number in range(9)
    )
    assert [found.key for found in keyed_records(lines)] == ["1", "2", "4", "5", "7", "8"]


def test_a_text_that_a_newer_writer_puts_beside_the_key_does_not_hide_it():
    payload = b'{"event":"x","key":"abc","trace":"a\\"b"}'
    assert keyed_records(record(payload)) == [("coder", "abc", "wo1abc")]


@pytest.mark.parametrize("key", ["a", "A-Z.a_z:0-9", "x" * 64])
def test_a_key_is_short_and_plain(key: str):
    assert is_event_key(key)


@pytest.mark.parametrize("key", ["", "x" * 65, "a b", 'a"', "a\n", "ä", "a/b"])
def test_anything_else_is_no_key(key: str):
    assert not is_event_key(key)


def test_each_event_has_its_own_key_or_none():
    events = [TextDelta(text="a"), TextDelta(text="b")]
    assert encode_payloads(events) == [encode_payload(event) for event in events]
    assert encode_payloads(events, [None, "k"]) == [
        encode_payload(events[0]),
        b'{"event":"text_delta","data":{"text":"b"},"key":"k"}',
    ]
    with pytest.raises(ValueError):
        encode_payloads(events, ["k"])


def test_an_event_that_is_wrapped_for_v0_takes_its_key_along():
    wrapped = json.loads(wrap_for_v0(record(with_key(b'{"event":"brain_wave"}', "k"))[:-1]))
    assert wrapped["envelope"]["payload"]["data"]["item"] == {
        "kind": "yoi.event",
        "event": "brain_wave",
        "key": "k",
        "data": None,
    }

from __future__ import annotations

import pytest

from tests.events.examples import Example, examples_of
from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events import decode_payload, encode_payload
from yoi_runtime.events.session_events import SESSION_EVENTS


@pytest.mark.parametrize("row", examples_of(SESSION_EVENTS), ids=str)
def test_every_event_has_exactly_these_bytes_and_comes_back(row: Example):
    assert encode_payload(row.event).decode() == row.json
    assert decode_payload(row.text_in) == row.event
    assert decode_payload(row.json) == row.event


SNAPSHOT = (
    '{"event":"snapshot","data":{"entries":[],"greeting":{"worker_name":"w","cwd":"","provider":"","model":"",'
    '"scope_summary":"","tools":[],"context_window":0,"context_tokens":0},"status":"idle"%s}}'
)


@pytest.mark.parametrize("in_flight", ['"in_flight":{}', '"in_flight":{"blocks":[]}'])
def test_an_empty_in_flight_is_left_out(in_flight):
    event = decode_payload(SNAPSHOT % f",{in_flight}")
    assert encode_payload(event).decode() == SNAPSHOT % ""


@pytest.mark.parametrize(
    "in_flight",
    [
        '{"speed":3}',
        '{"blocks":[{"kind":"text","text":""}]}',
        '{"blocks":[{"kind":"thinking","text":"","finished":true,"new":[]}],"speed":3}',
        '{"blocks":[{"kind":"tool_call","id":"","name":"","args":""}]}',
        '{"blocks":[{"kind":"tool_call","id":"","name":"","args":"","state":"done"}]}',
    ],
)
def test_what_is_in_flight_round_trips(in_flight):
    json = SNAPSHOT % f',"in_flight":{in_flight}'
    assert encode_payload(decode_payload(json)).decode() == json


def test_defaults_inside_blocks_are_left_out():
    given = SNAPSHOT % (
        ',"in_flight":{"blocks":[{"kind":"text","text":"","finished":false},'
        '{"kind":"tool_call","id":"","name":"","args":"","state":"pending"}]}'
    )
    left = SNAPSHOT % (
        ',"in_flight":{"blocks":[{"kind":"text","text":""},{"kind":"tool_call","id":"","name":"","args":""}]}'
    )
    assert encode_payload(decode_payload(given)).decode() == left


@pytest.mark.parametrize(
    "member, where",
    [
        ('"in_flight":null', "data.in_flight"),
        ('"in_flight":{"blocks":null}', "data.in_flight.blocks"),
        ('"in_flight":{"blocks":[{"kind":"image"}]}', "data.in_flight.blocks[0]"),
        ('"in_flight":{"blocks":[{"text":""}]}', "data.in_flight.blocks[0]"),
        ('"in_flight":{"blocks":[{"kind":"text","text":1}]}', "data.in_flight.blocks[0].text"),
        (
            '"in_flight":{"blocks":[{"kind":"tool_call","id":"","name":"","args":"","state":"x"}]}',
            "data.in_flight.blocks[0].state",
        ),
    ],
)
def test_what_upstream_refuses_in_flight_is_refused_with_its_place(member, where):
    with pytest.raises(EventInvalidError) as caught:
        decode_payload(SNAPSHOT % f",{member}")
    assert (caught.value.event_name, caught.value.where) == ("snapshot", where)


def test_a_snapshots_status_may_be_absent_but_not_null():
    sparse = SNAPSHOT.replace(',"status":"idle"', "") % ""
    assert encode_payload(decode_payload(sparse)).decode() == SNAPSHOT % ""
    with pytest.raises(EventInvalidError):
        decode_payload(SNAPSHOT.replace('"idle"', "null") % "")


@pytest.mark.parametrize("kind", ["file", "knowledge", "workflow"])
def test_completions_are_of_three_kinds(kind):
    json = '{"event":"completions","data":{"kind":"%s","entries":[]}}'
    assert encode_payload(decode_payload(json % kind)).decode() == json % kind
    with pytest.raises(EventInvalidError):
        decode_payload(json % "agent")


def test_a_uuid_is_written_in_its_usual_form():
    for text in ("0192F0E8-4D84-7D6E-A000-000000000001", "urn:uuid:0192f0e8-4d84-7d6e-a000-000000000001"):
        event = decode_payload('{"event":"compact_done","data":{"new_segment_id":"%s"}}' % text)
        assert b'"0192f0e8-4d84-7d6e-a000-000000000001"' in encode_payload(event)
    for bad in ('"x"', "1", "null", '"0192f0e8-4d84-7d6e-a000-00000000000"'):
        with pytest.raises(EventInvalidError) as caught:
            decode_payload('{"event":"compact_done","data":{"new_segment_id":%s}}' % bad)
        assert caught.value.where == "data.new_segment_id"

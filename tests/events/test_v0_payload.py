from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.events.examples import FULL, MINIMAL, Example, record
from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events import SystemItem, UnknownEvent, decode_record, encode_payload, wrap_for_v0
from yoi_runtime.events.vocabulary import EVENT_CLASSES, UPSTREAM_EVENT_NAMES

ROWS = [*FULL, *MINIMAL]
UPSTREAM = [row for row in ROWS if row.event.event_name in UPSTREAM_EVENT_NAMES]
OURS = [row for row in ROWS if row.event.event_name not in UPSTREAM_EVENT_NAMES]


@pytest.mark.parametrize("row", UPSTREAM, ids=str)
def test_a_record_that_upstream_knows_is_passed_on_as_the_same_object(row: Example):
    line = record(row.json.encode())
    assert wrap_for_v0(line) is line


@pytest.mark.parametrize("row", OURS, ids=str)
def test_any_other_record_keeps_its_envelope_and_gets_a_system_item(row: Example):
    line = record(row.json.encode(), worker_id=None, worker_seq=None)
    start = line.index(b'{"event"')
    item = '{"kind":"yoi.event",' + (row.json[1:] if '"data":' in row.json else row.json[1:-1] + ',"data":null}')
    assert wrap_for_v0(line) == line[:start] + b'{"event":"system_item","data":{"item":%s}}}}' % item.encode()


def test_a_wrapped_event_without_data_has_null_for_it():
    wrapped = wrap_for_v0(record(b'{"event":"brain_wave"}'))
    assert b'"item":{"kind":"yoi.event","event":"brain_wave","data":null}}}}}' in wrapped
    assert b"crc" not in wrapped


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["data", "event"]) | st.text(), inner),
    max_leaves=8,
)
TEXTS = st.lists(st.sampled_from(['"', "\\", ',"data":', '"payload":{"event":"', "}"]) | st.text(max_size=5)).map(
    "".join
)


@given(TEXTS.filter(lambda name: name not in EVENT_CLASSES), JSON_VALUES, st.booleans())
def test_whatever_is_wrapped_can_be_unwrapped(name, data, has_data):
    event = UnknownEvent(name=name, data=data) if has_data else UnknownEvent(name=name)
    line = record(encode_payload(event))
    wrapped = wrap_for_v0(line)
    expected = json.loads(line)
    del expected["crc"]
    item = {"kind": "yoi.event", "event": name, "data": data if has_data else None}
    expected["envelope"]["payload"] = {"event": "system_item", "data": {"item": item}}
    assert json.dumps(json.loads(wrapped)) == json.dumps(expected)
    assert decode_record(wrapped).payload == SystemItem(item=item)


def test_a_payload_of_the_greatest_depth_is_still_read_when_wrapped():
    data = json.loads("[" * 99 + "]" * 99)
    wrapped = wrap_for_v0(record(encode_payload(UnknownEvent(name="x", data=data))))
    assert decode_record(wrapped).payload == SystemItem(item={"kind": "yoi.event", "event": "x", "data": data})


def test_wrapping_twice_is_wrapping_once():
    wrapped = wrap_for_v0(record(b'{"event":"brain_wave","data":1}'))
    assert wrap_for_v0(wrapped) is wrapped


def test_a_known_name_spelled_with_escapes_is_known():
    line = record(b'{"event":"text\\u005fdelta","data":{"text":"hi"}}')
    assert wrap_for_v0(line) is line


def test_a_name_that_begins_like_a_known_one_is_unknown():
    for name in (b"status\\u0020", b"status\\\\", b'status\\"', b"statu", b"Status"):
        line = record(b'{"event":"%s"}' % name)
        assert wrap_for_v0(line) != line


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b'{"kind":"event","envelope":{"payload":{"event":"brain_wave"}}}',
        record(b'{"event":"brain_wave"}')[:-1],
    ],
)
def test_what_is_no_record_of_ours_is_refused(line):
    with pytest.raises(EventInvalidError):
        wrap_for_v0(line)

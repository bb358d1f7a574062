from __future__ import annotations

import pytest

from tests.events.examples import Example, examples_of
from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events import decode_payload, encode_payload
from yoi_runtime.events.runtime_events import RUNTIME_EVENTS, EventsLost, Lost


@pytest.mark.parametrize("row", examples_of((*RUNTIME_EVENTS, EventsLost, Lost)), ids=str)
def test_every_event_has_exactly_these_bytes_and_comes_back(row: Example):
    assert encode_payload(row.event).decode() == row.json
    assert decode_payload(row.text_in) == row.event


@pytest.mark.parametrize("outcome", ["completed", "failed", "cancelled", "crashed", "lost"])
def test_a_run_ends_in_one_of_five_ways(outcome):
    json = '{"event":"worker_ended","data":{"worker_id":"a","outcome":"%s","exit_code":-1}}' % outcome
    assert encode_payload(decode_payload(json)).decode() == json


@pytest.mark.parametrize(
    "name, data, where",
    [
        ("worker_ended", '{"worker_id":"a","outcome":"vanished"}', "data.outcome"),
        ("worker_ended", '{"worker_id":"a","outcome":"lost","exit_code":2147483648}', "data.exit_code"),
        ("worker_created", '{"worker_id":"a b"}', "data.worker_id"),
        ("worker_created", '{"worker_id":""}', "data.worker_id"),
        ("worker_started", '{"worker_id":"a","run":0}', "data.run"),
        ("worker_started", '{"worker_id":"a","run":1,"command":"sh"}', "data.command"),
        ("worker_started", '{"worker_id":"a","run":1,"command":["sh",1]}', "data.command[1]"),
        ("runtime_started", '{"version":"1","pid":-1}', "data.pid"),
        ("events_lost", '{"count":1,"from_time":"now","to_time":"2026-11-22T17:37:23Z"}', "data.from_time"),
        ("log_recovered", '{"segment":1,"kept_events":1,"reason":""}', "data.dropped_bytes"),
    ],
)
def test_what_breaks_the_rules_is_refused_with_its_place(name, data, where):
    with pytest.raises(EventInvalidError) as caught:
        decode_payload('{"event":"%s","data":%s}' % (name, data))
    assert (caught.value.event_name, caught.value.where) == (name, where)


def test_null_counts_as_left_out():
    event = decode_payload('{"event":"worker_started","data":{"worker_id":"a","run":1,"command":null,"pid":null}}')
    assert encode_payload(event) == b'{"event":"worker_started","data":{"worker_id":"a","run":1}}'

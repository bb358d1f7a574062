from __future__ import annotations

import pytest

from tests.events.examples import Example, examples_of
from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events import decode_payload, encode_payload
from yoi_runtime.events.conversation_events import CONVERSATION_EVENTS


@pytest.mark.parametrize("row", examples_of(CONVERSATION_EVENTS), ids=str)
def test_every_event_has_exactly_these_bytes_and_comes_back(row: Example):
    assert encode_payload(row.event).decode() == row.json
    assert decode_payload(row.text_in) == row.event
    assert decode_payload(row.json) == row.event


SETS = {
    '{"event":"invoke_start","data":{"kind":%s}}': "user_send notify worker_event system_reminder wakeup",
    '{"event":"turn_end","data":{"turn":1,"result":%s}}': "finished paused",
    '{"event":"run_end","data":{"result":%s}}': "finished paused limit_reached rolled_back",
    '{"event":"status","data":{"status":%s}}': "idle running paused",
    '{"event":"error","data":{"code":%s,"message":""}}': (
        "already_running not_running not_paused provider_error tool_error invalid_request internal"
    ),
    '{"event":"alert","data":{"level":%s,"source":"worker","message":"","timestamp_ms":0}}': "warn error",
    '{"event":"alert","data":{"level":"warn","source":%s,"message":"","timestamp_ms":0}}': (
        "worker engine compactor agents_md"
    ),
}


@pytest.mark.parametrize("frame, values", SETS.items(), ids=lambda text: text[10:22])
def test_closed_sets_hold_upstreams_values_and_no_others(frame: str, values: str):
    for value in values.split():
        json = frame % f'"{value}"'
        assert encode_payload(decode_payload(json)).decode() == json
    for other in ('"exploded"', '"Idle"', '""', "1", "null", "[]"):
        with pytest.raises(EventInvalidError, match=r"Input should be '"):
            decode_payload(frame % other)


def test_a_retrys_status_may_be_absent_or_null_and_is_then_left_out():
    retry = (
        '{"event":"llm_retry","data":{"llm_call":1,"failed_attempt":1,"max_attempts":2,"wait_ms":3,"elapsed_ms":4,'
        '%s"error":"e"}}'
    )
    for status in ("", '"status":null,'):
        assert encode_payload(decode_payload(retry % status)).decode() == retry % ""
    with pytest.raises(EventInvalidError) as caught:
        decode_payload(retry % '"status":65536,')
    assert caught.value.where == "data.status"


def test_an_item_has_to_be_there_but_may_be_anything():
    for item in ("null", "0", '"x"', "[]", "{}", '[{"kind":1}]'):
        json = '{"event":"system_item","data":{"item":%s}}' % item
        assert encode_payload(decode_payload(json)).decode() == json
    with pytest.raises(EventInvalidError) as caught:
        decode_payload('{"event":"system_item","data":{}}')
    assert caught.value.where == "data.item"

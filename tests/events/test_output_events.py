from __future__ import annotations

import pytest

from tests.events.examples import Example, examples_of
from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events import ToolCallArgsDelta, decode_payload, encode_payload
from yoi_runtime.events.output_events import OUTPUT_EVENTS


@pytest.mark.parametrize("row", examples_of(OUTPUT_EVENTS), ids=str)
def test_every_event_has_exactly_these_bytes_and_comes_back(row: Example):
    assert encode_payload(row.event).decode() == row.json
    assert decode_payload(row.text_in) == row.event
    assert decode_payload(row.json) == row.event


def test_the_field_named_json_is_a_plain_text():
    event = ToolCallArgsDelta(id="c1", json="{")
    assert event.json == "{"


def test_usage_keeps_null_apart_from_absence():
    for data, encoded in (
        ("{}", '{"input_tokens":null,"output_tokens":null}'),
        ('{"input_tokens":1}', '{"input_tokens":1,"output_tokens":null}'),
        (
            '{"cache_read_input_tokens":null,"output_tokens":18446744073709551615}',
            '{"input_tokens":null,"output_tokens":18446744073709551615}',
        ),
        (
            '{"input_tokens":null,"output_tokens":null,"cache_read_input_tokens":0}',
            '{"input_tokens":null,"output_tokens":null,"cache_read_input_tokens":0}',
        ),
    ):
        event = decode_payload('{"event":"usage","data":%s}' % data)
        assert encode_payload(event).decode() == '{"event":"usage","data":%s}' % encoded


@pytest.mark.parametrize("data", ['{"id":"","summary":"","is_error":null}', '{"id":"","summary":"","is_error":0}'])
def test_is_error_may_be_absent_but_not_null(data):
    with pytest.raises(EventInvalidError) as caught:
        decode_payload('{"event":"tool_result","data":%s}' % data)
    assert caught.value.where == "data.is_error"

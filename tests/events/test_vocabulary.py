from __future__ import annotations

import itertools
import json
import re

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from tests.events.examples import FULL, MINIMAL, Example
from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events import (
    AnyEvent,
    CompactStart,
    PayloadAdapter,
    TextDelta,
    UnitEvent,
    UnknownEvent,
    decode_payload,
    encode_payload,
)
from yoi_runtime.events.vocabulary import (
    EVENT_CLASSES,
    RESERVED_EVENT_NAMES,
    RUNTIME_EVENT_NAMES,
    UPSTREAM_EVENT_NAMES,
)

# The variants of protocol::Event at 9807acca, in its order.
UPSTREAM = """
user_message system_item invoke_start turn_start turn_end llm_call_start llm_call_end llm_retry llm_continuation
text_delta text_done thinking_start thinking_delta thinking_done tool_call_start tool_call_args_delta tool_call_done
tool_result usage run_end error snapshot segment_rotated status completions rewind_targets rewind_applied
workers_listed worker_restored peer_registered alert memory_worker compact_start compact_done compact_failed shutdown
"""

ROWS = list(dict.fromkeys((*FULL, *MINIMAL)))


def test_the_names_are_upstreams_ours_and_no_others():
    ours = {"runtime_started", "runtime_stopping", "worker_created", "worker_started", "worker_ended", "log_recovered"}
    assert set(UPSTREAM.split()) == UPSTREAM_EVENT_NAMES
    assert ours == RUNTIME_EVENT_NAMES
    assert ours | {"events_lost", "lost"} == RESERVED_EVENT_NAMES
    assert set(EVENT_CLASSES) == UPSTREAM_EVENT_NAMES | RESERVED_EVENT_NAMES
    assert not UPSTREAM_EVENT_NAMES & RESERVED_EVENT_NAMES


def test_a_class_is_named_after_its_event():
    for name, cls in EVENT_CLASSES.items():
        camel = "".join(word.capitalize() for word in name.split("_"))
        assert cls.__name__ == ("ErrorEvent" if name == "error" else camel)
        assert cls.event_name == name


def test_unit_events_are_upstreams_and_the_one_that_repair_has_little_room_for():
    units = {cls.event_name for cls in EVENT_CLASSES.values() if issubclass(cls, UnitEvent)}
    assert units == {"thinking_start", "compact_start", "shutdown", "lost"}


def test_the_examples_cover_every_event():
    for rows in (FULL, MINIMAL):
        assert [row.event.event_name for row in rows if list(EVENT_CLASSES).count(row.event.event_name) != 1] == []
        assert {row.event.event_name for row in rows} == set(EVENT_CLASSES)
    for row in FULL:
        assert row.event.model_fields_set == set(type(row.event).model_fields), row


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_adapter_and_the_codec_agree(row: Example):
    assert PayloadAdapter.dump_json(row.event).decode() == row.json
    assert PayloadAdapter.validate_python(json.loads(row.text_in)) == row.event
    assert PayloadAdapter.validate_json(row.text_in) == row.event


@pytest.mark.parametrize("has_data, given", [(True, {"event": "x", "data": None}), (False, {"event": "x"})])
def test_an_unknown_event_keeps_null_apart_from_absence(has_data, given):
    event = PayloadAdapter.validate_python(given)
    assert event == UnknownEvent.model_validate({"name": "x", "data": None, "has_data": has_data})
    assert PayloadAdapter.dump_python(event) == given
    assert event != UnknownEvent.model_validate({"name": "x", "has_data": not has_data})


def test_an_unknown_event_notes_whether_it_was_given_data():
    assert UnknownEvent(name="x").has_data is False
    assert UnknownEvent(name="x", data=None).has_data is True
    assert UnknownEvent(name="x", data=[1]).has_data is True
    with pytest.raises(ValidationError, match="has_data"):
        UnknownEvent(name="x", data=[1], has_data=False)


def test_an_unknown_event_bears_its_own_name_and_cannot_take_a_known_one():
    assert UnknownEvent(name="brain_wave").event_name == "brain_wave"
    for name in EVENT_CLASSES:
        with pytest.raises(ValidationError, match="own class"):
            UnknownEvent(name=name)


def test_any_event_is_a_field_type_for_models():
    class Box(BaseModel):
        payload: AnyEvent

    box = Box.model_validate({"payload": {"event": "text_delta", "data": {"text": "hi"}}})
    assert box.payload == TextDelta(text="hi")
    assert Box(payload=CompactStart()).model_dump_json() == '{"payload":{"event":"compact_start"}}'
    assert box.model_dump() == {"payload": {"event": "text_delta", "data": {"text": "hi"}}}
    with pytest.raises(ValidationError):
        Box.model_validate({"payload": "text_delta"})


def test_members_beside_event_and_data_are_ignored_as_serde_ignores_them():
    event = decode_payload('{"trace":1,"data":{"text":"hi"},"event":"text_delta"}')
    assert encode_payload(event) == b'{"event":"text_delta","data":{"text":"hi"}}'


def _integer_members(schema: dict[str, object], definitions: dict[str, dict], path: str) -> dict[str, tuple[int, int]]:
    """Return path -> (minimum, maximum) of every integer that a schema describes."""
    found: dict[str, tuple[int, int]] = {}
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[1]
        return _integer_members(definitions[name], definitions, path)
    if schema.get("type") == "integer":
        found[path] = (schema["minimum"], schema["maximum"])  # type: ignore[assignment]
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):  # type: ignore[misc]
        found |= _integer_members(branch, definitions, path)
    for name, member in schema.get("properties", {}).items():  # type: ignore[attr-defined]
        found |= _integer_members(member, definitions, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        found |= _integer_members(schema["items"], definitions, f"{path}[]")  # type: ignore[arg-type]
    return found


U16, U32, U64 = (0, 2**16 - 1), (0, 2**32 - 1), (0, 2**64 - 1)
I32, I64 = (-(2**31), 2**31 - 1), (-(2**63), 2**63 - 1)

INTEGERS = {
    "user_message.segments[].id": U32,
    "user_message.segments[].chars": U32,
    "user_message.segments[].lines": U32,
    "rewind_applied.input[].id": U32,
    "rewind_applied.input[].chars": U32,
    "rewind_applied.input[].lines": U32,
    "turn_start.turn": U64,
    "turn_end.turn": U64,
    "llm_call_start.llm_call": U64,
    "llm_call_end.llm_call": U64,
    "llm_retry.llm_call": U64,
    "llm_retry.failed_attempt": U32,
    "llm_retry.max_attempts": U32,
    "llm_retry.wait_ms": U64,
    "llm_retry.elapsed_ms": U64,
    "llm_retry.status": U16,
    "llm_continuation.llm_call": U64,
    "llm_continuation.attempt": U32,
    "llm_continuation.max_attempts": U32,
    "usage.input_tokens": U64,
    "usage.output_tokens": U64,
    "usage.cache_read_input_tokens": U64,
    "snapshot.greeting.context_window": U64,
    "snapshot.greeting.context_tokens": U64,
    "rewind_targets.head_entries": U64,
    "rewind_targets.targets[].id.user_input_entry_index": U64,
    "rewind_targets.targets[].expected_head_entries": U64,
    "rewind_targets.targets[].truncate_entries": U64,
    "rewind_targets.targets[].turn_index": U64,
    "rewind_targets.targets[].timestamp_ms": U64,
    "rewind_applied.summary.truncated_to_entries": U64,
    "rewind_applied.summary.discarded_entries": U64,
    "alert.timestamp_ms": I64,
    "memory_worker.timestamp_ms": I64,
    "runtime_started.pid": U32,
    "worker_started.run": (1, 2**32 - 1),
    "worker_started.pid": U32,
    "worker_ended.exit_code": I32,
    "log_recovered.segment": U64,
    "log_recovered.kept_events": U64,
    "log_recovered.dropped_bytes": U64,
    "events_lost.count": U64,
}


def test_every_integer_has_the_range_of_its_rust_type():
    found: dict[str, tuple[int, int]] = {}
    for name, cls in EVENT_CLASSES.items():
        schema = cls.model_json_schema()
        found |= _integer_members(schema, schema.get("$defs", {}), name)
    assert found == INTEGERS


@pytest.mark.parametrize("path", INTEGERS)
def test_an_integers_both_ends_decode_and_what_lies_beyond_does_not(path: str):
    name, *members = re.split(r"[.]|(?=\[)", path)
    least, most = INTEGERS[path]

    def with_value(value: object) -> str:
        payload = json.loads(next(row.json for row in FULL if row.event.event_name == name))
        at = payload["data"]
        for member, following in itertools.pairwise(members):
            at = at[member] if member != "[]" else next(item for item in at if following in item)
        assert members[-1] in at
        at[members[-1]] = value
        return json.dumps(payload, separators=(",", ":"), ensure_ascii=False)

    for value in (least, most):
        assert encode_payload(decode_payload(with_value(value))).decode() == with_value(value)
    for wrong in (least - 1, most + 1, True, 1.0, str(most)):
        with pytest.raises(EventInvalidError) as caught:
            decode_payload(with_value(wrong))
        assert re.sub(r"\[\d+\]", "[]", caught.value.where) == "data." + ".".join(members).replace(".[]", "[]")


def test_the_schema_describes_every_payload():
    for mode in ("validation", "serialization"):
        schema = PayloadAdapter.json_schema(mode=mode)
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema)
        for row in ROWS:
            assert not list(validator.iter_errors(json.loads(row.json))), row
        assert validator.is_valid({"event": "brain_wave"})
        assert validator.is_valid({"event": "brain_wave", "data": [1]})


@pytest.mark.parametrize(
    "payload",
    [
        {"event": "text_delta"},
        {"event": "text_delta", "data": {"text": 1}},
        {"event": "text_delta", "data": {}},
        {"event": "status", "data": {"status": "exploded"}},
        {"event": "compact_start", "data": {"x": 1}},
        {"event": "turn_start", "data": {"turn": -1}},
        {"event": "turn_start", "data": {"turn": 2**64}},
        {"event": "user_message", "data": {"segments": [{"kind": "text"}]}},
        {"event": "user_message", "data": {"segments": [{"path": "x"}]}},
        {"event": "user_message", "data": {"segments": ["x"]}},
        {"event": 1},
        {"data": {}},
        [],
    ],
    ids=json.dumps,
)
def test_the_schema_and_the_codec_refuse_the_same(payload):
    assert not Draft202012Validator(PayloadAdapter.json_schema()).is_valid(payload)
    with pytest.raises(EventInvalidError):
        decode_payload(json.dumps(payload))

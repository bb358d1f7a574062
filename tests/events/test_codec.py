from __future__ import annotations

import json
import warnings
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.events.examples import FULL, MINIMAL, Example
from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events import (
    CompactStart,
    Event,
    Greeting,
    RewindApplied,
    SegmentRotated,
    Snapshot,
    SystemItem,
    TextDelta,
    TextSegment,
    UnknownEvent,
    UserMessage,
    decode_payload,
    decode_payload_object,
    encode_payload,
)
from yoi_runtime.events import codec as codec_module
from yoi_runtime.events.strict_json import MAX_DEPTH
from yoi_runtime.events.vocabulary import EVENT_CLASSES

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
NAMES = st.text().filter(lambda name: name not in EVENT_CLASSES)


def same_json(one: object, other: object) -> bool:
    """Compare with 1, 1.0 and True apart, and the order of members."""
    return json.dumps(one) == json.dumps(other)


@given(st.text())
def test_any_text_becomes_one_line_of_json_and_comes_back(text):
    payload = encode_payload(TextDelta(text=text))
    assert b"\n" not in payload
    assert json.loads(payload) == {"event": "text_delta", "data": {"text": text}}
    assert decode_payload(payload) == TextDelta(text=text)


@given(JSON_VALUES)
def test_any_item_becomes_one_line_of_json_and_comes_back(item):
    payload = encode_payload(SystemItem(item=item))
    assert b"\n" not in payload
    event = decode_payload(payload)
    assert isinstance(event, SystemItem)
    assert same_json(event.item, item)
    assert encode_payload(event) == payload


@given(NAMES, JSON_VALUES)
def test_an_unknown_event_is_carried_through_unchanged(name, data):
    for given_payload in ({"event": name, "data": data}, {"event": name}):
        event = decode_payload(json.dumps(given_payload))
        assert isinstance(event, UnknownEvent)
        assert event.event_name == name
        assert same_json(json.loads(encode_payload(event)), given_payload)
        assert encode_payload(decode_payload_object(given_payload)) == encode_payload(event)


@given(st.dictionaries(st.text().filter(lambda key: key != "text"), JSON_VALUES))
def test_unknown_members_are_carried_through_unchanged(members):
    data = {"text": "hi", **members}
    event = decode_payload(json.dumps({"event": "text_delta", "data": data}))
    assert isinstance(event, TextDelta)
    assert same_json(json.loads(encode_payload(event)), {"event": "text_delta", "data": data})


@pytest.mark.parametrize("row", [*FULL, *MINIMAL], ids=str)
def test_text_bytes_and_parsed_objects_decode_alike(row: Example):
    for decoded in (
        decode_payload(row.text_in),
        decode_payload(row.text_in.encode()),
        decode_payload(f"  {row.text_in}\r\n"),
        decode_payload(json.dumps(json.loads(row.text_in), indent=1)),
        decode_payload_object(MappingProxyType(json.loads(row.text_in))),
    ):
        assert decoded == row.event
        assert type(decoded) is type(row.event)


@pytest.mark.parametrize("row", [*FULL, *MINIMAL], ids=str)
def test_data_may_stand_before_the_name(row: Example):
    payload = json.loads(row.text_in)
    assert decode_payload(json.dumps(dict(reversed(payload.items())))) == row.event


@pytest.mark.parametrize("row", FULL, ids=str)
def test_each_missing_member_is_defaulted_or_refused_under_its_name(row: Example):
    payload = json.loads(row.json)
    for member, field in type(row.event).model_fields.items():
        data = {key: value for key, value in payload["data"].items() if key != member}
        if field.is_required():
            with pytest.raises(EventInvalidError) as caught:
                decode_payload_object({"event": payload["event"], "data": data})
            assert (caught.value.event_name, caught.value.where) == (payload["event"], f"data.{member}")
        else:
            decoded = decode_payload_object({"event": payload["event"], "data": data})
            assert getattr(decoded, member) == field.default


@pytest.mark.parametrize("name", ["thinking_start", "compact_start", "shutdown"])
def test_an_event_without_data_tolerates_null_and_nothing_else(name):
    expected = b'{"event":"%s"}' % name.encode()
    for payload in ('{"event":"%s"}', '{"event":"%s","data":null}', '{"event":"%s","data":{}}'):
        event = decode_payload(payload % name)
        assert type(event) is EVENT_CLASSES[name]
        assert encode_payload(event) == expected
    for data in ('{"x":1}', "[]", "0", "false", '""', "[[]]"):
        with pytest.raises(EventInvalidError) as caught:
            decode_payload('{"event":"%s","data":%s}' % (name, data))
        assert (caught.value.event_name, caught.value.where) == (name, "data")


@pytest.mark.parametrize(
    "payload, name, where",
    [
        ("[]", None, ""),
        ("null", None, ""),
        ('"text_delta"', None, ""),
        ("{}", None, ""),
        ('{"event":1}', None, ""),
        ('{"event":["text_delta"],"data":{"text":""}}', None, ""),
        ('{"Event":"text_delta"}', None, ""),
        ('{"event":"text_delta"}', "text_delta", "data"),
        ('{"event":"usage"}', "usage", "data"),
        ('{"event":"runtime_stopping"}', "runtime_stopping", "data"),
        ('{"event":"text_delta","data":null}', "text_delta", "data"),
        ('{"event":"text_delta","data":["hi"]}', "text_delta", "data"),
        ('{"event":"text_delta","data":{"text":null}}', "text_delta", "data.text"),
        ('{"event":"text_delta","data":{"text":"a","text":"b"}}', None, "data.text"),
        ('{"event":"text_delta","event":"text_delta"}', None, "event"),
        ('{"event":"x","data":{"a":[1,NaN]}}', None, "data.a[1]"),
        ('{"event":"text_delta","data":{"text":"\\ud800"}}', None, "data.text"),
        ('{"event":"\\ud800"}', None, "event"),
        ('{"event":"snapshot","data":{"entries":{},"greeting":{}}}', "snapshot", "data.entries"),
        ('{"event":"snapshot","data":{"entries":[],"greeting":{}}}', "snapshot", "data.greeting.worker_name"),
    ],
)
def test_a_bad_payload_is_refused_with_its_place(payload, name, where):
    with pytest.raises(EventInvalidError) as caught:
        decode_payload(payload)
    assert (caught.value.event_name, caught.value.where) == (name, where)


@pytest.mark.parametrize(
    "payload, where",
    [
        ({"event": "x", "data": {"a": [float("nan")]}}, "data.a[0]"),
        ({"event": "x", "data": {"a": "\udfff"}}, "data.a"),
        ({"event": "x", "data": {1: 2}}, "data"),
        ({"event": "x", "data": b""}, "data"),
        ({"event": "x", "data": TextDelta(text="")}, "data"),
    ],
)
def test_an_object_parsed_by_others_is_checked_as_strictly(payload, where):
    with pytest.raises(EventInvalidError) as caught:
        decode_payload_object(payload)
    assert (caught.value.event_name, caught.value.where) == ("x", where)


def test_text_with_a_lone_surrogate_is_refused():
    with pytest.raises(EventInvalidError, match="lone surrogate at character 10"):
        decode_payload('{"event":"\ud800"}')


@pytest.mark.parametrize(
    "event, where",
    [
        (TextDelta(text="ab\ud800"), "data.text"),
        (UserMessage(segments=(TextSegment(content=""), TextSegment(content="\udfff"))), "data.segments[1].content"),
        (
            Snapshot(
                entries=(),
                greeting=Greeting(worker_name="", cwd="", provider="", model="", scope_summary="", tools=("\ud800",)),
            ),
            "data.greeting.tools[0]",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_lone_surrogate_in_a_text_is_refused_on_encoding(event: Event, where: str):
    with pytest.raises(EventInvalidError) as caught:
        encode_payload(event)
    assert (caught.value.event_name, caught.value.where) == (event.event_name, where)
    assert "lone surrogate" in caught.value.reason


def test_an_unknown_events_name_with_a_lone_surrogate_is_refused_on_encoding():
    with pytest.raises(EventInvalidError) as caught:
        encode_payload(UnknownEvent(name="\ud800"))
    assert caught.value.where == "event"


@pytest.mark.parametrize(
    "bad, reason",
    [
        (float("nan"), "not a finite number"),
        (float("inf"), "not a finite number"),
        (float("-inf"), "not a finite number"),
        ("\ud800", "a lone surrogate at character 0"),
    ],
)
def test_what_was_put_into_an_event_after_it_was_built_is_refused_on_encoding(bad, reason):
    held: dict[str, object] = {"a": [0]}
    for event, where in (
        (SystemItem(item=held), "data.item.a[0]"),
        (SegmentRotated(entry=held), "data.entry.a[0]"),
        (UnknownEvent(name="x", data=held), "data.a[0]"),
        (TextDelta.model_validate({"text": "hi", "more": held}), "data.more.a[0]"),
    ):
        held["a"] = [0]
        encode_payload(event)
        held["a"] = [bad]
        with pytest.raises(EventInvalidError) as caught:
            encode_payload(event)
        assert (caught.value.event_name, caught.value.where) == (event.event_name, where)
        assert caught.value.reason == reason


def test_a_value_that_holds_itself_is_refused_on_encoding():
    held: list[object] = []
    event = SystemItem(item=held)
    held.append(held)
    with pytest.raises(EventInvalidError) as caught:
        encode_payload(event)
    assert caught.value.event_name == "system_item"


def test_words_that_look_like_bad_numbers_are_only_words():
    for text in ("NaN", "Infinity", "-Infinity", '[NaN,"Infinity"]'):
        event = SystemItem(item={"text": text, text: 1})
        assert decode_payload(encode_payload(event)) == event


def test_depth_is_bounded_alike_in_both_directions():
    def nested(levels: int) -> object:
        return json.loads("[" * levels + "]" * levels)

    # The payload object and its data are two levels themselves.
    fits, too_deep = SystemItem(item=nested(MAX_DEPTH - 2)), SystemItem(item=nested(MAX_DEPTH - 1))
    payload = encode_payload(fits)
    assert decode_payload(payload) == fits
    with pytest.raises(EventInvalidError, match="deeper"):
        encode_payload(too_deep)
    with pytest.raises(EventInvalidError, match="deeper"):
        decode_payload(payload.replace(b"[]", b"[[]]"))
    with pytest.raises(EventInvalidError, match="deep"):
        decode_payload_object({"event": "system_item", "data": {"item": nested(MAX_DEPTH - 1)}})


def test_many_brackets_side_by_side_are_not_depth():
    event = RewindApplied.model_validate(
        {
            "entries": [{"text": "[{"}] * 300,
            "input": [],
            "summary": {"truncated_to_entries": 0, "discarded_entries": 0, "tool_side_effect_warning": False},
        }
    )
    assert decode_payload(encode_payload(event)) == event


def test_only_events_that_cannot_hold_free_json_skip_the_look_at_the_bytes():
    free = {cls.__name__ for cls in EVENT_CLASSES.values()} - {cls.__name__ for cls in codec_module._FLAT}
    units = {"CompactStart", "Lost", "Shutdown", "ThinkingStart"}
    assert free == units | {
        "UserMessage",
        "SystemItem",
        "Snapshot",
        "SegmentRotated",
        "Completions",
        "RewindTargets",
        "RewindApplied",
        "WorkersListed",
        "WorkerRestored",
        "PeerRegistered",
    }


def test_encoding_never_writes_a_key_twice_or_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for row in (*FULL, *MINIMAL):
            decode_payload(encode_payload(row.event))
    assert encode_payload(CompactStart()) == b'{"event":"compact_start"}'

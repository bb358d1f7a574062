from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events import (
    FileRefSegment,
    InputSegment,
    KnowledgeRefSegment,
    PasteSegment,
    TextSegment,
    UnknownSegment,
    UserMessage,
    WorkflowInvokeSegment,
    decode_payload,
    encode_payload,
)

SEGMENTS: TypeAdapter[object] = TypeAdapter(InputSegment)


@pytest.mark.parametrize(
    "segment, json",
    [
        (TextSegment(content="hi"), b'{"kind":"text","content":"hi"}'),
        (
            PasteSegment(id=0, chars=4_294_967_295, lines=1, content="\n"),
            b'{"kind":"paste","id":0,"chars":4294967295,"lines":1,"content":"\\n"}',
        ),
        (FileRefSegment(path="a/b"), b'{"kind":"file_ref","path":"a/b"}'),
        (KnowledgeRefSegment(slug="s"), b'{"kind":"knowledge_ref","slug":"s"}'),
        (WorkflowInvokeSegment(slug="s"), b'{"kind":"workflow_invoke","slug":"s"}'),
        (UnknownSegment.model_validate({"kind": "image", "url": "u"}), b'{"kind":"image","url":"u"}'),
        (UnknownSegment(kind="unknown"), b'{"kind":"unknown"}'),
        (UnknownSegment(kind=""), b'{"kind":""}'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_round_trips(segment, json):
    assert SEGMENTS.dump_json(segment) == json
    assert SEGMENTS.validate_json(json) == segment


def test_an_unknown_kind_survives_beside_known_ones():
    json = (
        b'{"event":"user_message","data":{"segments":[{"kind":"text","content":"a","bold":true},'
        b'{"kind":"image_ref","url":"u","size":{"w":1,"h":[]}}]}}'
    )
    event = decode_payload(json)
    assert isinstance(event, UserMessage)
    unknown = event.segments[1]
    assert isinstance(unknown, UnknownSegment)
    assert (unknown.kind, unknown.model_extra) == ("image_ref", {"url": "u", "size": {"w": 1, "h": []}})
    assert encode_payload(event) == json


def test_an_unknown_segment_cannot_pass_for_a_known_one():
    with pytest.raises(ValidationError, match="own model"):
        UnknownSegment.model_validate({"kind": "text", "content": 1})


@pytest.mark.parametrize(
    "segment, where",
    [
        ('{"kind":"text"}', "data.segments[1].content"),
        ('{"kind":"text","content":1}', "data.segments[1].content"),
        ('{"kind":"paste","id":4294967296,"chars":1,"lines":1,"content":""}', "data.segments[1].id"),
        ('{"kind":"paste","id":1,"chars":true,"lines":1,"content":""}', "data.segments[1].chars"),
        ('{"kind":"paste","id":1,"chars":1,"lines":1.0,"content":""}', "data.segments[1].lines"),
        ('{"content":"x"}', "data.segments[1]"),
        ('{"kind":null}', "data.segments[1]"),
        ('"text"', "data.segments[1]"),
        ("[]", "data.segments[1]"),
    ],
)
def test_a_bad_segment_is_refused_with_its_place(segment, where):
    json = '{"event":"user_message","data":{"segments":[{"kind":"file_ref","path":""},' + segment + "]}}"
    with pytest.raises(EventInvalidError) as caught:
        decode_payload(json)
    assert (caught.value.event_name, caught.value.where) == ("user_message", where)

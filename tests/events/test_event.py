from __future__ import annotations

from typing import ClassVar

import pytest
from pydantic import ValidationError

from yoi_runtime.events import Greeting, Shutdown, TextDelta, TextSegment, ToolResult, encode_payload
from yoi_runtime.events.event import Event, KindPart, UnitEvent


def test_an_event_cannot_be_changed():
    event = TextDelta(text="hi")
    with pytest.raises(ValidationError, match="frozen"):
        event.text = "ho"


def test_events_are_values():
    assert TextDelta(text="hi") == TextDelta(text="hi")
    assert TextDelta(text="hi") != TextDelta(text="ho")
    assert len({TextDelta(text="hi"), TextDelta(text="hi"), Shutdown(), Shutdown()}) == 2


def test_the_name_is_the_classs_and_no_member_of_the_data():
    assert TextDelta.event_name == TextDelta(text="").event_name == "text_delta"
    assert "event_name" not in TextDelta.model_fields


def test_members_of_a_newer_vocabulary_are_kept_in_events_and_their_parts():
    event = TextDelta.model_validate({"text": "hi", "lang": "en", "deep": {"a": [1, None]}})
    assert event.model_extra == {"lang": "en", "deep": {"a": [1, None]}}
    assert encode_payload(event) == b'{"event":"text_delta","data":{"text":"hi","lang":"en","deep":{"a":[1,null]}}}'
    assert Greeting.model_validate(
        {"worker_name": "", "cwd": "", "provider": "", "model": "", "scope_summary": "", "tools": [], "new": 1}
    ).model_extra == {"new": 1}


def test_members_of_a_newer_vocabulary_have_to_be_json():
    with pytest.raises(ValidationError, match="not a finite number"):
        TextDelta.model_validate({"text": "hi", "x": float("inf")})
    with pytest.raises(ValidationError, match="not a JSON type"):
        TextSegment.model_validate({"content": "hi", "x": object()})


def test_an_event_without_data_takes_no_members():
    assert issubclass(Shutdown, UnitEvent)
    with pytest.raises(ValidationError, match="Extra inputs"):
        Shutdown.model_validate({"why": "x"})


def test_what_is_missing_or_of_another_type_is_refused_on_building():
    for data in ({"id": "1"}, {"id": 1, "summary": ""}, {"id": "1", "summary": "", "is_error": 0}):
        with pytest.raises(ValidationError):
            ToolResult.model_validate(data)


def test_a_kind_is_a_default_in_python_and_required_in_the_schema():
    assert issubclass(TextSegment, KindPart)
    assert TextSegment(content="").kind == "text"
    assert TextSegment.model_json_schema()["required"] == ["kind", "content"]


def test_an_event_of_somebodys_own_is_encoded_under_its_name():
    class Cheer(Event):
        """Somebody cheered."""

        event_name: ClassVar[str] = "cheer"
        volume: float

    assert encode_payload(Cheer(volume=0.5)) == b'{"event":"cheer","data":{"volume":0.5}}'

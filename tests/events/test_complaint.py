from __future__ import annotations

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from yoi_runtime.events.complaint import first_complaint
from yoi_runtime.events.input_segments import InputSegment


class Part(BaseModel):
    text: str


class Whole(BaseModel, extra="forbid"):
    count: int = 0
    parts: list[Part] = []
    segments: list[InputSegment] = []


def error_about(value: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Whole).validate_python(value)
    return caught.value


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"count": "secret"}, "count"),
        ({"parts": [{"text": "a"}, {"text": ["secret"]}]}, "parts[1].text"),
        ({"segments": [{"kind": "text", "content": ["secret"]}]}, "segments[0].content"),
        ({"\x1b[2J": "secret"}, r'["\u001b[2J"]'),
        ("secret", ""),
    ],
    ids=["member", "item", "union", "escaped", "whole"],
)
def test_place_and_reason_are_told_and_never_the_value(value: object, where: str) -> None:
    complaint = first_complaint(error_about(value))
    assert complaint.where == where
    assert complaint.reason
    assert "secret" not in complaint.reason
    assert str(complaint) == (f"{where}: {complaint.reason}" if where else complaint.reason)


def test_of_several_the_first_is_told() -> None:
    assert first_complaint(error_about({"count": [], "parts": 1})).where == "count"


def test_the_place_lies_beneath_the_member_that_was_checked() -> None:
    assert first_complaint(error_about({"count": []}), "data").where == "data.count"
    assert first_complaint(error_about(1), "data").where == "data"

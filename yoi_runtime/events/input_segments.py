"""The typed pieces of a user's input (``user_message.segments``, ``rewind_applied.input``).

Upstream's word is kept for them; they have nothing to do with the files of the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from yoi_runtime.events.event import KindPart
from yoi_runtime.events.scalars import U32, Str

__all__ = [
    "FileRefSegment",
    "InputSegment",
    "KnowledgeRefSegment",
    "PasteSegment",
    "TextSegment",
    "UnknownSegment",
    "WorkflowInvokeSegment",
]


class TextSegment(KindPart):
    """Plain text."""

    kind: Literal["text"] = "text"
    content: Str


class PasteSegment(KindPart):
    """Pasted text, with the numbers a client shows in its place."""

    kind: Literal["paste"] = "paste"
    id: U32
    chars: U32
    lines: U32
    content: Str


class FileRefSegment(KindPart):
    """A file or directory the user pointed at."""

    kind: Literal["file_ref"] = "file_ref"
    path: Str


class KnowledgeRefSegment(KindPart):
    """A knowledge entry the user pointed at."""

    kind: Literal["knowledge_ref"] = "knowledge_ref"
    slug: Str


class WorkflowInvokeSegment(KindPart):
    """A workflow the user called by name."""

    kind: Literal["workflow_invoke"] = "workflow_invoke"
    slug: Str


_KNOWN = ("text", "paste", "file_ref", "knowledge_ref", "workflow_invoke")


def _not_known(kind: str) -> str:
    if kind in _KNOWN:
        raise PydanticCustomError("known_kind", "the kind is known and has its own model")
    return kind


class UnknownSegment(KindPart):
    """A kind of a newer vocabulary; its members are in ``model_extra``, unchanged."""

    kind: Annotated[Str, Field(json_schema_extra={"not": {"enum": list(_KNOWN)}}), AfterValidator(_not_known)]


def _tag(value: object) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    if not isinstance(kind, str):
        return None
    return f"<{kind}>" if kind in _KNOWN else "<>"


# A tag becomes a part of pydantic's error paths; the angle brackets tell it from a member's name.
InputSegment = Annotated[
    Annotated[TextSegment, Tag("<text>")]
    | Annotated[PasteSegment, Tag("<paste>")]
    | Annotated[FileRefSegment, Tag("<file_ref>")]
    | Annotated[KnowledgeRefSegment, Tag("<knowledge_ref>")]
    | Annotated[WorkflowInvokeSegment, Tag("<workflow_invoke>")]
    | Annotated[UnknownSegment, Tag("<>")],
    Discriminator(
        _tag,
        custom_error_type="input_segment",
        custom_error_message="Input should be an object with a text as its kind",
    ),
]
"""One piece; an unknown ``kind`` is an ``UnknownSegment``, as upstream carries it on instead of failing."""

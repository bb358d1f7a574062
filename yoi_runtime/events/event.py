"""What every event and every part of one is: a frozen model that keeps members it does not know.

An event's fields are the members of its ``data``; how it becomes bytes is ``codec``'s affair.
"""

# No "from __future__ import annotations": pydantic 2.12 looks up the names in the annotation of __pydantic_extra__
# in the module of each subclass, where they are not.

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from yoi_runtime.events.scalars import Json

__all__ = ["Event", "EventPart", "KindPart", "UnitEvent"]


class EventPart(BaseModel):
    """An object inside an event's data. Members of a newer vocabulary are kept in ``model_extra``."""

    # "constants": NaN must come out as a token that the codec can find and refuse, not as null.
    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="constants")

    # init=False: for type checkers, which would take it for an argument.
    __pydantic_extra__: dict[str, Json] = Field(init=False)


def _require_kind(schema: JsonDict) -> None:
    required = schema.setdefault("required", [])
    if isinstance(required, list) and "kind" not in required:
        required.insert(0, "kind")


class KindPart(EventPart):
    """One of several objects told apart by ``kind``: a default in Python, yet never absent from the JSON."""

    model_config = ConfigDict(json_schema_extra=_require_kind)


class Event(EventPart):
    """Something that happened; the fields are the members of its ``data``.

    Building one validates it (``pydantic.ValidationError``), except for lone surrogates in texts, which
    only ``encode_payload`` looks for. Not validated: ``model_construct`` and ``model_copy(update=...)``.
    """

    event_name: ClassVar[str]


class UnitEvent(Event):
    """An event without data. It takes no unknown members: its payload has no place for them."""

    model_config = ConfigDict(extra="forbid")

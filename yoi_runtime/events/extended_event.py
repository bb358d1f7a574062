"""An event and what stands beside ``event`` and ``data`` in its payload: members for machines on its way.

    {"event":"text_done","data":{"text":"hi"},"traceparent":"00-4bf9…-00f0…-01"}

Readers pass over members that they do not know, upstream's among them (serde does so for an adjacently tagged enum):
so these need no new event, no new envelope and no new version. Decision: docs/decisions/0030-trace-context.md.
"""

# No "from __future__ import annotations": see event.py.

from collections.abc import Mapping
from typing import Annotated

from pydantic import ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events.event import Event
from yoi_runtime.events.scalars import Str
from yoi_runtime.events.trace_context import TRACEPARENT, traceparent_fault

__all__ = ["ExtendedEvent", "extended", "plain", "traced"]

_TAKEN = ("event", "data")


class ExtendedEvent(Event):
    """``event`` with further ``members`` of its payload object. Made by ``extended``; ``plain`` takes it off again."""

    model_config = ConfigDict(extra="forbid")

    event: Event
    members: Annotated[dict[str, Str], Field(min_length=1)]

    @field_validator("members")
    @classmethod
    def _not_taken(cls, members: dict[str, str]) -> dict[str, str]:
        for name in _TAKEN:
            if name in members:
                raise PydanticCustomError("taken", "{name} is what a payload has already", {"name": name})
        return members

    @property
    def event_name(self) -> str:  # type: ignore[override]  # the instance's, where the others have the class's
        """The name that the payload bears."""
        return self.event.event_name


def extended(event: Event, members: Mapping[str, str]) -> Event:
    """Return ``event`` with these members beside it, in addition to those it has; as it is when there are none."""
    if isinstance(event, ExtendedEvent):
        members = {**event.members, **members}
        event = event.event
    return ExtendedEvent(event=event, members=dict(members)) if members else event


def plain(event: Event) -> Event:
    """Return the event alone."""
    return event.event if isinstance(event, ExtendedEvent) else event


def traced(event: Event, traceparent: str) -> Event:
    """Return ``event`` as part of the trace that ``traceparent`` names (W3C Trace Context).

    Raises:
        EventInvalidError: it is none.
    """
    if fault := traceparent_fault(traceparent):
        raise EventInvalidError(event.event_name, TRACEPARENT, fault)
    return extended(event, {TRACEPARENT: traceparent})

"""The whole vocabulary: every event by name, the unknown event, and the union in its form on the wire.

A payload is adjacently tagged, ``{"event": name, "data": {...}}``; unit events have no ``data``. Members
beside these two are passed over, as serde passes over them (``extended_event.py``); members *inside* ``data`` are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Protocol, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from yoi_runtime.events.conversation_events import CONVERSATION_EVENTS
from yoi_runtime.events.event import Event, UnitEvent
from yoi_runtime.events.extended_event import ExtendedEvent
from yoi_runtime.events.output_events import OUTPUT_EVENTS
from yoi_runtime.events.runtime_events import RUNTIME_EVENTS, EventsLost, Lost
from yoi_runtime.events.scalars import Json, Str
from yoi_runtime.events.session_events import SESSION_EVENTS

__all__ = [
    "EVENT_CLASSES",
    "RESERVED_EVENT_NAMES",
    "RUNTIME_EVENT_NAMES",
    "UPSTREAM_EVENT_NAMES",
    "AnyEvent",
    "Event",
    "PayloadAdapter",
    "UnknownEvent",
]

_UPSTREAM: tuple[type[Event], ...] = (*CONVERSATION_EVENTS, *OUTPUT_EVENTS, *SESSION_EVENTS)

_ALL: tuple[type[Event], ...] = (*_UPSTREAM, *RUNTIME_EVENTS, EventsLost, Lost)

EVENT_CLASSES: Mapping[str, type[Event]] = MappingProxyType({cls.event_name: cls for cls in _ALL})

UPSTREAM_EVENT_NAMES: frozenset[str] = frozenset(cls.event_name for cls in _UPSTREAM)
"""What upstream's clients can decode; anything else has to be wrapped for them."""

RUNTIME_EVENT_NAMES: frozenset[str] = frozenset(cls.event_name for cls in RUNTIME_EVENTS)
"""Events without a Worker of their own."""

RESERVED_EVENT_NAMES: frozenset[str] = RUNTIME_EVENT_NAMES | {EventsLost.event_name, Lost.event_name}
"""What only the Runtime and the log tools may write: from a child process these names are refused."""

_KNOWN_NAMES = sorted(EVENT_CLASSES)


def _not_known(name: str) -> str:
    if name in EVENT_CLASSES:
        raise PydanticCustomError("known_event", "the event is known and has its own class")
    return name


_UnknownName = Annotated[Str, Field(json_schema_extra={"not": {"enum": [*_KNOWN_NAMES]}}), AfterValidator(_not_known)]


class UnknownEvent(Event):
    """An event of a newer vocabulary, carried through unchanged.

    ``has_data`` tells a payload without ``data`` from one whose ``data`` is null; it follows from
    whether ``data`` was given.
    """

    model_config = ConfigDict(extra="forbid")

    name: _UnknownName
    data: Json = None
    has_data: bool = False

    @property
    def event_name(self) -> str:  # type: ignore[override]  # the instance's, where the others have the class's
        """The name that the payload bears."""
        return self.name

    @model_validator(mode="before")
    @classmethod
    def _note_data(cls, given: object) -> object:
        if isinstance(given, dict) and "data" in given:
            return {"has_data": True, **given}
        return given

    @model_validator(mode="after")
    def _data_is_had(self) -> UnknownEvent:
        if self.data is not None and not self.has_data:
            raise PydanticCustomError("has_data", "data was given, so has_data cannot be false")
        return self


class _Payload(Protocol):
    """What the generated payload models have in common."""

    event: str
    data: object
    model_fields_set: set[str]


def _no_data(data: object) -> object:
    """Accept ``null`` and ``{}`` where nothing is expected; serde accepts the first."""
    return None if data == {} else data


_NoData = Annotated[None, BeforeValidator(_no_data)]
_PAYLOAD_CONFIG = ConfigDict(extra="ignore", frozen=True)


def _payload_model(cls: type[Event]) -> type[BaseModel]:
    # Any: a Literal of a computed name is beyond type checkers.
    members: dict[str, Any] = {
        "event": (Literal[cls.event_name], ...),
        "data": (_NoData, None) if issubclass(cls, UnitEvent) else (cls, ...),
    }
    return create_model(f"{cls.__name__}Payload", __config__=_PAYLOAD_CONFIG, __doc__=cls.__doc__, **members)


class UnknownEventPayload(BaseModel):
    """The payload of an event that this vocabulary does not have."""

    model_config = _PAYLOAD_CONFIG

    event: _UnknownName
    data: Json = None


def _known_event(payload: _Payload) -> Event:
    return payload.data if isinstance(payload.data, Event) else EVENT_CLASSES[payload.event]()


def _unknown_event(payload: _Payload) -> Event:
    if "data" in payload.model_fields_set:
        return UnknownEvent(name=payload.event, data=payload.data)
    return UnknownEvent(name=payload.event)


def _tag(payload: object) -> str | None:
    name = payload.get("event") if isinstance(payload, dict) else None
    if not isinstance(name, str):
        return None
    return f"<{name}>" if name in EVENT_CLASSES else "<>"


def _pass_events(value: object, decode: core_schema.ValidatorFunctionWrapHandler) -> Event:
    return value if isinstance(value, Event) else cast("Event", decode(value))


def _payload_object(event: Event) -> dict[str, object]:
    if isinstance(event, ExtendedEvent):
        return {**_payload_object(event.event), **event.members}
    if isinstance(event, UnknownEvent):
        return {"event": event.name, "data": event.data} if event.has_data else {"event": event.name}
    if isinstance(event, UnitEvent):
        return {"event": event.event_name}
    return {"event": event.event_name, "data": event.model_dump(mode="json")}


class _PayloadForm:
    """Marks an event type as standing for its payload object: validated from it, dumped to it."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices: dict[object, CoreSchema] = {
            f"<{name}>": core_schema.no_info_after_validator_function(
                _known_event, handler.generate_schema(_payload_model(cls))
            )
            for name, cls in EVENT_CLASSES.items()
        }
        choices["<>"] = core_schema.no_info_after_validator_function(
            _unknown_event, handler.generate_schema(UnknownEventPayload)
        )
        union = core_schema.tagged_union_schema(
            choices,
            _tag,
            custom_error_type="payload",
            custom_error_message="Input should be an object with the event's name as its event",
        )
        return core_schema.no_info_wrap_validator_function(
            _pass_events, union, serialization=core_schema.plain_serializer_function_ser_schema(_payload_object)
        )


AnyEvent = Annotated[Event, _PayloadForm()]
"""Any event, as a field of a pydantic model: a discriminated union over the payload objects."""

PayloadAdapter: TypeAdapter[Event] = TypeAdapter(AnyEvent)
"""Validates, dumps and describes (``json_schema()``) payload objects; ``codec`` is the fast way to bytes."""

"""JSON Schema (2020-12) of everything on the wire, from the pydantic models that make it.

Two editions. The *published* one is for peers: as open as the protocol is (docs/protocol.md, "How it may grow"), so
that a newer server does not fail an older peer's validation. The *strict* one is for our own tests: nothing may be
sent that is not described.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tools.schemas import frame_models
from yoi_runtime.events import EVENT_CLASSES, UPSTREAM_EVENT_NAMES, UnknownSegment
from yoi_runtime.protocol import http_models, transcript_items, v1_frames
from yoi_runtime.protocol.diagnostics import Diagnostic, DiagnosticCode, Lost, LostWorker, Recovery, Severity

__all__ = ["Schema", "definitions", "document", "reference", "validator_schema"]

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_CURSOR: Final[Schema] = {"pattern": "^[A-Za-z0-9_-]{1,64}$"}
_TIME: Final[Schema] = {"pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$"}
_WORKER_ID: Final[Schema] = {"pattern": "^[A-Za-z0-9_-]{1,64}$"}
# What a member's name says about its text. requested_cursor is the peer's own text and may be anything.
_TEXTS: Final[dict[str, Schema]] = {
    **dict.fromkeys(
        ("cursor", "resumed_from", "oldest_cursor", "latest_cursor", "durable_cursor", "resume_cursor"), _CURSOR
    ),
    **dict.fromkeys(("time", "from_time", "to_time", "created_at", "ended_at", "started_at"), _TIME),
    "worker_id": _WORKER_ID,
    "log_id": {"pattern": "^[0-9a-f]{16}$"},
    "requested_cursor": {"maxLength": 64},
}

# Of these a peer has to take words that it does not know.
_OPEN_WORDS: Final = {
    DiagnosticCode.__name__: r"^runtime\.[a-z][a-z0-9_]*$",
    Severity.__name__: "^[a-z][a-z0-9_]*$",
    Recovery.__name__: "^[a-z][a-z0-9_]*$",
}
# The docstring is for who calls it.
_DESCRIPTIONS: Final = {
    Diagnostic.__name__: "What is wrong and what to do. Members that do not apply are left out.",
    UnknownSegment.__name__: "A piece of a newer vocabulary, with any members.",
}


def _models_of(module: Any) -> list[type[BaseModel]]:
    found = [getattr(module, name) for name in module.__all__]
    return [cls for cls in found if isinstance(cls, type) and issubclass(cls, BaseModel)]


_WITHOUT_NULLS: Final[tuple[type[BaseModel], ...]] = (
    *_models_of(http_models),
    *_models_of(transcript_items),
    Diagnostic,
    Lost,
    LostWorker,
)
"""Sent with what is None left out. All other frames are sent with every member."""
_WHOLE: Final[tuple[type[BaseModel], ...]] = (*_models_of(v1_frames), *_models_of(frame_models))


def definitions(*, strict: bool = False) -> dict[str, Schema]:
    """Return every definition by name, each referring to the others as ``#/$defs/NAME``."""
    models: list[type[BaseModel]] = [*_WITHOUT_NULLS, *_WHOLE]
    _, raw = models_json_schema([(model, "validation") for model in models], ref_template="#/$defs/{model}")
    found: dict[str, Schema] = raw["$defs"]
    _add_upstream_frame(found)
    without_nulls = {model.__name__ for model in _WITHOUT_NULLS}
    for name, schema in found.items():
        _tidy(schema)
        schema["description"] = _DESCRIPTIONS.get(name, schema.get("description", ""))
        if name in without_nulls:
            _leave_nulls_out(schema)
            _bound_texts(schema)
        elif schema.get("additionalProperties") is False:
            # Frames are closed and whole; what is in an event's data keeps members of a newer vocabulary.
            _require_all(schema)
            _bound_texts(schema)
        if not strict:
            _open(name, schema)
    return dict(sorted(found.items()))


def document() -> Schema:
    """Return the published document: definitions and nothing at the top, for ``wire.schema.json#/$defs/NAME``."""
    return {
        "$schema": _DIALECT,
        "title": "yoi_runtime: frames and HTTP bodies",
        "description": "Made by `python3 tools/dev.py schemas` from the models; docs/protocol.md is the text to it. "
        "Begin at FrameV1, FrameV0Worker or FrameV0Everything.",
        "$defs": definitions(),
    }


def reference(name: str) -> Schema:
    """Return a reference to a definition in the same document."""
    return {"$ref": f"#/$defs/{name}"}


def validator_schema(name: str, *, strict: bool) -> Schema:
    """Return a whole schema for one definition."""
    return {"$schema": _DIALECT, **reference(name), "$defs": definitions(strict=strict)}


def _add_upstream_frame(found: dict[str, Schema]) -> None:
    """Add the event frame that a Worker's v0 stream may hold as it is: of upstream's vocabulary."""
    envelope, frame, any_frame = (copy.deepcopy(found[name]) for name in ("Envelope", "EventFrame", "FrameV0Worker"))
    known = {f"{cls.__name__}Payload" for name, cls in EVENT_CLASSES.items() if name in UPSTREAM_EVENT_NAMES}
    envelope["properties"]["payload"] = {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in sorted(known)]}
    frame["properties"]["envelope"] = reference("UpstreamEnvelope")
    frame["description"] = (
        "v0, a Worker's stream: an event of upstream's vocabulary, byte for byte as the log holds it."
    )
    at = any_frame["anyOf"].index(reference("EventFrame"))
    any_frame["anyOf"][at] = reference("UpstreamEventFrame")
    found.update(UpstreamEnvelope=envelope, UpstreamEventFrame=frame, FrameV0Worker=any_frame)


def _parts(schema: Any) -> Iterator[Schema]:
    """Yield every object in ``schema``, itself first."""
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from _parts(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _parts(part)


def _tidy(schema: Schema) -> None:
    """Take away titles, which repeat the names, and say in JSON's words what a docstring says in Python's."""
    for part in _parts(schema):
        if isinstance(part.get("title"), str):
            del part["title"]
        if isinstance(part.get("description"), str):
            part["description"] = re.sub(r"\bNone\b", "null", part["description"].replace("``", "`"))
        # pydantic's versions differ in how they say "anything".
        if part.get("additionalProperties") == {}:
            part["additionalProperties"] = True


def _leave_nulls_out(schema: Schema) -> None:
    for name, member in schema.get("properties", {}).items():
        if "anyOf" in member:
            rest = [choice for choice in member["anyOf"] if choice != {"type": "null"}]
            assert len(rest) == 1, name
            schema["properties"][name] = rest[0]
        member.pop("default", None)


def _require_all(schema: Schema) -> None:
    for member in schema["properties"].values():
        member.pop("default", None)
    schema["required"] = list(schema["properties"])


def _bound_texts(schema: Schema) -> None:
    for name, member in schema.get("properties", {}).items():
        for part in _parts(member):
            if part.get("type") == "string" and name in _TEXTS and "pattern" not in part:
                part.update(_TEXTS[name])


def _open(name: str, schema: Schema) -> None:
    for part in _parts(schema):
        if part.get("additionalProperties") is False:
            del part["additionalProperties"]
    if name in _OPEN_WORDS:
        words = {"enum": schema.pop("enum")}
        schema["anyOf"] = [words, {"pattern": _OPEN_WORDS[name]}]

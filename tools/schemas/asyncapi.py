"""The AsyncAPI 3 document: both endpoints in both versions, their parameters, messages and ends.

Payloads are references into ``wire.schema.json`` beside it. WebSocket close codes and HTTP refusals, for which
AsyncAPI has no place, are in ``x-close-codes`` and ``x-refusals``, made from the table of diagnostics.
"""

from __future__ import annotations

from typing import Any, Final

from yoi_runtime.protocol.diagnostics import CODE_SPECS, CodeSpec, DiagnosticCode, code_spec
from yoi_runtime.protocol.paths import EVENTS_WS, WORKER_EVENTS_WS
from yoi_runtime.protocol.versions import SUBPROTOCOL_V1, ProtocolVersion

__all__ = ["NOT_OF_STREAMS", "WIRE_DOCUMENT", "asyncapi"]

WIRE_DOCUMENT: Final = "wire.schema.json"

_MESSAGES: Final = {
    "snapshot": ("SnapshotFrame", "The first frame of a Worker's stream in v0: where it starts"),
    "upstreamEvent": ("UpstreamEventFrame", "An event of upstream's vocabulary, as the log holds it"),
    "wrappedEvent": ("WrappedEventFrame", "An event outside of upstream's vocabulary, wrapped in a system_item"),
    "event": ("EventFrame", "An event, as the log holds it"),
    "diagnostic": ("DiagnosticFrame", "What is wrong and what to do"),
    "hello": ("Hello", "The first frame of a stream in v1"),
    "batch": ("Batch", "Several events in one message, with batch=1"),
    "caughtUp": ("CaughtUp", "Everything that was in the log at the beginning has been sent"),
    "bookmark": ("Bookmark", "A cursor that is safe to store, and no event"),
    "end": ("End", "The Worker has ended, and all of it has been sent"),
}
_SPOKEN: Final = {
    ("everything", ProtocolVersion.V0): ("diagnostic", "event"),
    ("everything", ProtocolVersion.V1): ("hello", "event", "batch", "caughtUp", "bookmark", "diagnostic"),
    ("worker", ProtocolVersion.V0): ("snapshot", "upstreamEvent", "wrappedEvent", "diagnostic"),
    ("worker", ProtocolVersion.V1): ("hello", "event", "batch", "caughtUp", "bookmark", "end", "diagnostic"),
}
_ADDRESSES: Final = {"everything": EVENTS_WS, "worker": WORKER_EVENTS_WS}
# Never an answer to a request for a stream, nor the end of one.
NOT_OF_STREAMS: Final = frozenset({DiagnosticCode.STREAM_OPENED, DiagnosticCode.ITEMS_EXPIRED})
_TITLES: Final = {"everything": "Every event of the log", "worker": "The events of one Worker"}

_START_PARAMETERS: Final[dict[str, Any]] = {
    "cursor": {
        "type": "string",
        "description": "Start after the event that bore this cursor. At most one of cursor, last_event_id and from.",
        "pattern": "^[A-Za-z0-9_-]{1,64}$",
    },
    "last_event_id": {"type": "string", "description": "Start after the event with this event_id."},
    "from": {
        "type": "string",
        "enum": ["oldest", "now"],
        "default": "now",
        "description": "Start with the oldest event that can be read, or with the next one.",
    },
}
_V1_PARAMETERS: Final[dict[str, Any]] = {
    "batch": {"type": "string", "enum": ["0", "1"], "default": "0", "description": "Several events in one message."},
    "events": {
        "type": "string",
        "pattern": "^[a-z0-9_]+(,[a-z0-9_]+)*$",
        "description": "Only events of these names.",
    },
}


def asyncapi() -> dict[str, Any]:
    """Return the document."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for (scope, version), spoken in _SPOKEN.items():
        name = f"{scope}{version.value.upper()}"
        channels[name] = _channel(scope, version, spoken)
        operations[f"follow{name[0].upper()}{name[1:]}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": f"The Runtime sends {_TITLES[scope][0].lower()}{_TITLES[scope][1:]} ({version.value}).",
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "yoi_runtime event stream",
            "version": "1.0.0",
            "description": "A Backend follows what a Runtime's Workers do, over WebSocket. Observation only: a client "
            "sends no message. docs/protocol.md is the specification; this document is made by "
            "`python3 tools/dev.py schemas`.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "loopback": {
                "host": "127.0.0.1:38800",
                "protocol": "ws",
                "description": "The default. A server for programs: browsers are refused.",
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "title": title,
                    "contentType": "application/json",
                    "payload": {"$ref": f"./{WIRE_DOCUMENT}#/$defs/{definition}"},
                }
                for name, (definition, title) in _MESSAGES.items()
            }
        },
    }


def _channel(scope: str, version: ProtocolVersion, spoken: tuple[str, ...]) -> dict[str, Any]:
    parameters = dict(_START_PARAMETERS)
    binding: dict[str, Any] = {"method": "GET", "bindingVersion": "0.1.0"}
    if version is ProtocolVersion.V1:
        parameters |= _V1_PARAMETERS
        binding["headers"] = {
            "type": "object",
            "properties": {"Sec-WebSocket-Protocol": {"type": "string", "const": SUBPROTOCOL_V1}},
            "required": ["Sec-WebSocket-Protocol"],
        }
    binding["query"] = {"type": "object", "properties": parameters}
    channel: dict[str, Any] = {
        "address": _ADDRESSES[scope],
        "title": f"{_TITLES[scope]}, {version.value}",
        "description": (
            f"Chosen by offering the subprotocol {SUBPROTOCOL_V1}."
            if version is ProtocolVersion.V1
            else "What a client gets that offers no subprotocol."
        ),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in spoken},
        "bindings": {"ws": binding},
        "x-close-codes": _close_codes(scope, version),
        "x-refusals": _refusals(scope),
    }
    if scope == "worker":
        channel["parameters"] = {"worker_id": {"description": "1 to 64 of the characters A-Z a-z 0-9 _ -"}}
    return channel


def _close_codes(scope: str, version: ProtocolVersion) -> list[dict[str, Any]]:
    """Return how a stream may end: a code with the diagnostic before it."""
    rows: list[dict[str, Any]] = []
    if scope == "worker" and version is ProtocolVersion.V1:
        rows.append({"code": 1000, "after": "end", "meaning": "the Worker has ended"})
    for code in CODE_SPECS:
        spec = code_spec(code, version)
        if spec.close_code is not None and _may_come(code, scope):
            rows.append({"code": int(spec.close_code), "after": "diagnostic", **_row(code, spec)})
    return rows


def _refusals(scope: str) -> list[dict[str, Any]]:
    """Return how a request may be refused before the upgrade."""
    return [
        {"status": spec.http_status, **_row(code, spec)}
        for code, spec in CODE_SPECS.items()
        if spec.http_status is not None and _may_come(code, scope)
    ]


def _may_come(code: DiagnosticCode, scope: str) -> bool:
    return code not in NOT_OF_STREAMS and (scope == "worker" or code is not DiagnosticCode.WORKER_NOT_FOUND)


def _row(code: DiagnosticCode, spec: CodeSpec) -> dict[str, Any]:
    return {"diagnostic": code.value, "recovery": spec.recovery.value, "retryable": spec.retryable}

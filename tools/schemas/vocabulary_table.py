"""The vocabulary of events as a table for people, from the same definitions as the schemas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tools.schemas.definitions import Schema, definitions
from yoi_runtime.events import (
    EVENT_CLASSES,
    RESERVED_EVENT_NAMES,
    RUNTIME_EVENT_NAMES,
    UPSTREAM_EVENT_NAMES,
    UnitEvent,
)

__all__ = ["vocabulary_table"]

_INTEGERS: Final = {
    (0, 2**16 - 1): "u16",
    (0, 2**32 - 1): "u32",
    (1, 2**32 - 1): "u32 from 1",
    (0, 2**64 - 1): "u64",
    (-(2**31), 2**31 - 1): "i32",
    (-(2**63), 2**63 - 1): "i64",
}

_HEAD: Final = """\
# The vocabulary of events

Made by `python3 tools/dev.py schemas`; [wire.schema.json](wire.schema.json) says the same to machines, and [protocol.md](../protocol.md#event) is the
specification. A payload is `{"event": name, "data": {…}}`, without `data` where the table has a dash. A member with `?` may be left out. `u64` is an integer from 0 to 2^64-1, and so on; `json` is any JSON value.
A reader takes members and names that are not listed here.
"""


def vocabulary_table() -> str:
    """Return the text of docs/schemas/events.md."""
    found = definitions(strict=True)
    upstream = [name for name in EVENT_CLASSES if name in UPSTREAM_EVENT_NAMES]
    runtime = [name for name in EVENT_CLASSES if name in RUNTIME_EVENT_NAMES]
    ours = [name for name in EVENT_CLASSES if name in RESERVED_EVENT_NAMES - RUNTIME_EVENT_NAMES]
    # A unit event has no data; a definition of its class's name is another thing's.
    parts = _parts_of(found, (name for name, cls in EVENT_CLASSES.items() if not issubclass(cls, UnitEvent)))
    return "\n".join(
        [
            _HEAD,
            "## Events of a Worker\n",
            "The vocabulary of upstream, closed in v0: an event outside of it is wrapped there.\n",
            *_events(found, upstream),
            "\n## Events of a Worker, written by the Runtime or by `yoi-log repair`\n",
            *_events(found, ours),
            "\n## Events of the Runtime\n",
            "`worker_id` of the envelope is null.\n",
            *_events(found, runtime),
            "\n## Parts\n",
            "| part | members | |",
            "|---|---|---|",
            *(f"| {name} | {_members(found[name])} | {_meaning(found[name])} |" for name in parts),
            "",
        ]
    )


def _events(found: dict[str, Schema], names: Iterable[str]) -> list[str]:
    rows = ["| event | data | |", "|---|---|---|"]
    for name in names:
        cls = EVENT_CLASSES[name]
        if issubclass(cls, UnitEvent):
            rows.append(f"| `{name}` | – | {_meaning(found[f'{cls.__name__}Payload'])} |")
        else:
            rows.append(f"| `{name}` | {_members(found[cls.__name__])} | {_meaning(found[cls.__name__])} |")
    return rows


def _meaning(schema: Schema) -> str:
    return " ".join(schema["description"].split()).replace("|", "\\|")


def _members(schema: Schema) -> str:
    required = schema.get("required", [])
    members = schema["properties"].items()
    return ", ".join(f"`{name}{'' if name in required else '?'}` {_type(member)}" for name, member in members)


def _type(schema: Any) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return f'"{schema["const"]}"'
    if "enum" in schema:
        return "/".join(schema["enum"])
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        words = list(dict.fromkeys(_type(choice) for choice in choices))
        return " or ".join(words)
    match schema.get("type"):
        case "integer":
            return _INTEGERS[schema["minimum"], schema["maximum"]]
        case "array":
            return f"[{_type(schema['items'])}]"
        case None:
            return "json"
        case word:
            return {"uuid": "UUID"}.get(schema.get("format", ""), str(word))


def _parts_of(found: dict[str, Schema], classes: Iterable[str]) -> list[str]:
    """Return the names of the definitions inside of events' data, in the order of their first use."""
    seen: dict[str, None] = {}
    waiting = [EVENT_CLASSES[name].__name__ for name in classes if EVENT_CLASSES[name].__name__ in found]
    while waiting:
        below = [ref for name in waiting for ref in _references(found[name]) if ref not in seen]
        seen.update(dict.fromkeys(below))
        waiting = below
    return list(seen)


def _references(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = [str(schema["$ref"]).rpartition("/")[2]] if "$ref" in schema else []
        return own + [ref for part in schema.values() for ref in _references(part)]
    return [ref for part in schema for ref in _references(part)] if isinstance(schema, list) else []

"""Judges what a server sends by the strict edition of the schemas: nothing may be sent that is not described."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from tools.schemas.definitions import validator_schema
from yoi_runtime.protocol.versions import ProtocolVersion

__all__ = ["WireJudge"]

_FRAME_OF_KIND = {
    "hello": "Hello",
    "event": "EventFrame",
    "batch": "Batch",
    "caught_up": "CaughtUp",
    "bookmark": "Bookmark",
    "end": "End",
    "diagnostic": "DiagnosticFrame",
}


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(validator_schema(name, strict=True))


def _definition(content: dict[str, Any], version: ProtocolVersion, worker_id: str | None) -> str:
    """Return the narrowest definition that a frame has to meet."""
    if version is ProtocolVersion.V0 and content["kind"] == "event" and worker_id is not None:
        if content["envelope"]["event_id"].startswith("snapshot:"):
            return "SnapshotFrame"
        return "UpstreamEventFrame" if "crc" in content else "WrappedEventFrame"
    if version is ProtocolVersion.V0:
        assert content["kind"] in ("event", "diagnostic"), f"v0 has no {content['kind']}"
    return _FRAME_OF_KIND[content["kind"]]


class WireJudge:
    """Counts what it judged, so that a test can tell that it judged something."""

    def __init__(self) -> None:
        self.judged = 0

    def frame(self, message: str | bytes, version: ProtocolVersion, worker_id: str | None) -> None:
        """Judge one text message of a stream."""
        content = json.loads(message)
        self.content(content, _definition(content, version, worker_id))

    def content(self, content: object, definition: str) -> None:
        """Judge parsed JSON by the definition of this name."""
        self.judged += 1
        fault = best_match(_validator(definition).iter_errors(content))
        assert fault is None, f"{definition}: {fault.json_path}: {fault.message}"

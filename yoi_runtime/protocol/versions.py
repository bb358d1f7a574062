"""The versions of the stream protocol, and how a peer chooses one: by WebSocket subprotocol."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from yoi_runtime.errors import RequestInvalidError

__all__ = ["SUBPROTOCOL_V1", "ProtocolVersion", "choose_version"]

SUBPROTOCOL_V1 = "yoi.events.v1"


class ProtocolVersion(StrEnum):
    """v0 is what a peer gets that offers no subprotocol."""

    V0 = "v0"
    V1 = "v1"


def choose_version(subprotocols: Iterable[str]) -> ProtocolVersion:
    """Choose the version from the subprotocols a peer offers, in any order. Blank names count as none.

    Raises:
        RequestInvalidError: subprotocols were offered and none of them is ours.
    """
    offered = [name for name in subprotocols if name.strip()]
    if not offered:
        return ProtocolVersion.V0
    if SUBPROTOCOL_V1 in offered:
        return ProtocolVersion.V1
    raise RequestInvalidError("Sec-WebSocket-Protocol", f"offer {SUBPROTOCOL_V1} or none")

"""What went through one server, as plain numbers: counted per chunk and per connection, read when somebody scrapes.

Every set of names is closed, so that what is counted by name stays bounded whatever peers do.
"""

from __future__ import annotations

from collections import Counter

from yoi_runtime.protocol.close_codes import CloseCode
from yoi_runtime.protocol.diagnostics import CODE_SPECS, DiagnosticCode
from yoi_runtime.protocol.stream_request import FromCursor, FromEventId, FromNow, FromOldest, Start

__all__ = ["ABNORMAL_CLOSE", "CONNECT_OUTCOMES", "DISCONNECT_CODES", "Traffic", "outcome_of_start"]

# A connection that ended without a close frame (RFC 6455, section 7.1.5).
ABNORMAL_CLOSE = 1006
_CURSOR_CODES = tuple(code for code in DiagnosticCode if code.value.startswith("runtime.cursor_"))
# Where a stream began, or why it did not.
CONNECT_OUTCOMES = (
    *("now", "oldest", "resumed", "resumed_by_event_id"),
    *(code.value.removeprefix("runtime.") for code in _CURSOR_CODES),
    *("unavailable", "internal"),
)
# Ours, and those of RFC 6455 that peers and proxies end with; what else there may be is counted as one.
DISCONNECT_CODES = (
    *("1000", "1001", "1002", "1005", "1006", "1007", "1008", "1009", "1011"),
    *(str(int(code)) for code in CloseCode if code >= 4000),
)
OTHER = "other"


class Traffic:
    """The counts of one server since its start. One event loop."""

    def __init__(self) -> None:
        self.connects: Counter[str] = Counter(dict.fromkeys(CONNECT_OUTCOMES, 0))
        self.disconnects: Counter[str] = Counter(dict.fromkeys((*DISCONNECT_CODES, OTHER), 0))
        self.refused: Counter[str] = Counter(
            {code.value.removeprefix("runtime."): 0 for code, spec in CODE_SPECS.items() if spec.http_status}
        )
        self.events = 0
        self.bytes = 0
        self.filtered = 0

    def connected(self, outcome: str) -> None:
        """Count a stream that began, or was answered by a diagnostic instead."""
        self.connects[outcome if outcome in CONNECT_OUTCOMES else "internal"] += 1

    def disconnected(self, code: int) -> None:
        """Count a WebSocket that ended with this close code."""
        text = str(code)
        self.disconnects[text if text in DISCONNECT_CODES else OTHER] += 1

    def turned_away(self, code: DiagnosticCode) -> None:
        """Count a request that was answered with a diagnostic instead of what it asked for."""
        self.refused[code.value.removeprefix("runtime.")] += 1


def outcome_of_start(start: Start) -> str:
    """Return the name of a start that was honoured."""
    match start:
        case FromNow():
            return "now"
        case FromOldest():
            return "oldest"
        case FromCursor():
            return "resumed"
        case FromEventId():
            return "resumed_by_event_id"

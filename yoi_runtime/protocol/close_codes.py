"""WebSocket close codes: the standard ones a peer may meet, and ours.

The ranges carry the meaning: 44xx "do not repeat this request", 45xx "come back with backoff".
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["MAX_CLOSE_REASON_BYTES", "CloseCode", "may_repeat"]

# RFC 6455, 5.5: a control frame holds at most 125 bytes, and the close code takes two of them.
MAX_CLOSE_REASON_BYTES = 123


class CloseCode(IntEnum):
    """Every close code of this protocol. A peer may meet others: take codes as plain integers."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    # 1005, 1006 and 1015 never travel: a WebSocket library reports them of a connection that ended without a code.
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_TEXT = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    EXTENSION_MISSING = 1010
    UNEXPECTED_CONDITION = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_FAILED = 1015

    CURSOR_MALFORMED = 4400
    UNAUTHENTICATED = 4401
    WORKER_NOT_FOUND = 4404
    OBSERVATION_ONLY = 4408
    CURSOR_FOREIGN = 4409
    CURSOR_EXPIRED = 4410
    CURSOR_AHEAD = 4411
    CURSOR_UNKNOWN = 4412
    RECORD_CORRUPT = 4413

    INTERNAL = 4500
    UNAVAILABLE = 4503
    CONSUMER_TOO_SLOW = 4508


def may_repeat(close_code: int | None) -> bool:
    """Say whether a client may connect again with the same request, after a growing delay.

    False for 44xx alone. Everything else, known or not, is a connection that ended, not a refusal, and
    so is None (no close frame arrived). 1000 too: only an ``end`` frame ends a stream, and a proxy in
    between may close with 1000 at any time. For a client that got a diagnostic, its ``recovery`` decides.
    """
    return close_code is None or not 4400 <= close_code <= 4499

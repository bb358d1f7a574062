"""What to do when a try to follow a stream has ended: come back, refuse, or restart behind a gap.

Pure. Decided by a diagnostic's ``recovery`` and ``code``, else by HTTP status or close code, and never by a text
that is meant for people. Specification: docs/protocol.md, "Diagnostics" and "Close codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal, TypeAlias, assert_never

from yoi_runtime.client.stream_event import StreamGap
from yoi_runtime.errors import FrameInvalidError
from yoi_runtime.protocol.close_codes import may_repeat
from yoi_runtime.protocol.diagnostics import CODE_SPECS, DiagnosticCode, ReceivedDiagnostic, Recovery, Severity
from yoi_runtime.protocol.frames import DiagnosticFrame, decode_frame

__all__ = [
    "Answered",
    "Closed",
    "ConnectFailed",
    "Decision",
    "Ending",
    "OnExpired",
    "Refuse",
    "ResumePolicy",
    "RestartBehindGap",
    "Retry",
    "answered",
    "decide",
]

OnExpired: TypeAlias = Literal["raise", "oldest"]

# Answers without a diagnostic that say "not now" rather than "not this": from a proxy, as a rule.
_PASSING_STATUSES: Final = frozenset({408, 425, 429})
# The largest diagnostic is a receipt with many Workers; a proxy's page of HTML is none, whatever its length.
_MAX_BODY_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """No answer at all. ``reason`` is for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An HTTP answer instead of an upgrade."""

    status: int
    diagnostic: ReceivedDiagnostic | None = None
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of a connection. ``close_code`` None: it broke off, or we left because of the diagnostic.

    ``unanswered``: the peer did not answer a ping.
    """

    close_code: int | None
    diagnostic: ReceivedDiagnostic | None = None
    unanswered: bool = False


Ending: TypeAlias = ConnectFailed | Answered | Closed


@dataclass(frozen=True, slots=True)
class ResumePolicy:
    """What the caller chose."""

    on_expired: OnExpired = "raise"
    wait_for_worker: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Come back with the same request or, if events came, after the last of them."""

    reason: str
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not come back; ``diagnostic`` is for the caller."""

    diagnostic: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RestartBehindGap:
    """Hand over the gap and come back at its cursor or, without one, at the oldest event."""

    gap: StreamGap
    reason: str


Decision: TypeAlias = Retry | Refuse | RestartBehindGap


def answered(status: int, body: bytes, retry_after: str | None) -> Answered:
    """Read an HTTP answer; ``retry_after`` is the header. A body that is no diagnostic is passed over."""
    diagnostic = None
    if len(body) <= _MAX_BODY_BYTES:
        try:
            frame = decode_frame(body)
        except FrameInvalidError:
            frame = None
        if isinstance(frame, DiagnosticFrame):
            diagnostic = frame.diagnostic
    # A date is allowed there too (RFC 9110, 10.2.3); seconds are what Runtimes and proxies send.
    seconds = retry_after.strip() if retry_after is not None else ""
    in_seconds = seconds.isascii() and seconds.isdigit() and len(seconds) <= 9
    return Answered(status, diagnostic, int(seconds) * 1000 if in_seconds else None)


def decide(ending: Ending, policy: ResumePolicy, *, was_live: bool) -> Decision:
    """Decide what to do after ``ending``.

    Args:
        was_live: whether this stream has brought frames before. A Worker that was there and is not may come back
            with its Runtime; one that never was is taken for a mistake, unless the caller waits for it.
    """
    match ending:
        case ConnectFailed(reason):
            return Retry(reason)
        case Answered() | Closed():
            return _decide_answer(ending, policy, was_live)
        case _:
            assert_never(ending)


def _decide_answer(ending: Answered | Closed, policy: ResumePolicy, was_live: bool) -> Decision:
    code = _code(ending)
    if not _may_return(ending):
        if code == DiagnosticCode.CURSOR_EXPIRED and policy.on_expired == "oldest":
            return RestartBehindGap(_gap(ending), code)
        return Refuse(_fields(ending))
    worker_is_missing = code in (DiagnosticCode.WORKER_NOT_FOUND, "http.404")
    if worker_is_missing and not (was_live or policy.wait_for_worker):
        return Refuse(_fields(ending))
    diagnostic = ending.diagnostic
    asked = diagnostic.retry_after_ms if diagnostic is not None else None
    if asked is None and isinstance(ending, Answered):
        asked = ending.retry_after_ms
    return Retry(_reason(ending), asked)


def _may_return(ending: Answered | Closed) -> bool:
    diagnostic = ending.diagnostic
    if diagnostic is not None and diagnostic.recovery is not Recovery.NONE:
        return diagnostic.recovery is Recovery.RECONNECT
    spec = CODE_SPECS.get(_known_code(ending))
    if spec is not None and spec.recovery is Recovery.RECONNECT:
        return True
    match ending:
        case Answered(status):
            return status >= 500 or status in _PASSING_STATUSES or status == HTTPStatus.NOT_FOUND
        case Closed(close_code):
            return may_repeat(close_code)
        case _:
            assert_never(ending)

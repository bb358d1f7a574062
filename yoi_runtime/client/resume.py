"""What to do when a try to follow a stream has ended: come back, refuse, or restart behind a gap.

Pure. Decided by a diagnostic's ``recovery`` and ``code``, else by HTTP status or close code, and never by a text
that is meant for people. Specification: docs/protocol.md, "Recovery" and "Close codes".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Literal, TypeAlias, assert_never

from yoi_runtime.client.stream_event import StreamGap
from yoi_runtime.errors import FrameInvalidError
from yoi_runtime.protocol.close_codes import may_repeat
from yoi_runtime.protocol.diagnostics import CODE_SPECS, DiagnosticCode, ReceivedDiagnostic, Recovery, Severity
from yoi_runtime.protocol.frames import DiagnosticFrame, decode_frame

__all__ = [
    "AfterEnd",
    "Answered",
    "AskCaller",
    "Closed",
    "ConnectFailed",
    "ConnectFault",
    "Decision",
    "Ending",
    "ExpiredAnswer",
    "GiveUp",
    "OnCorrupt",
    "OnExpired",
    "Refuse",
    "RestartBehindGap",
    "ResumeAt",
    "ResumePolicy",
    "Retry",
    "Silence",
    "answered",
    "behind_gap",
    "decide",
    "gap_of",
    "may_offer_less",
]

AfterEnd: TypeAlias = Literal["stop", "wait"]
"""What to do when a Worker has ended: end the stream, or come back until it runs again."""


@dataclass(frozen=True, slots=True)
class ResumeAt:
    """Go on at ``cursor``: from a snapshot that was taken anew, as a rule."""

    cursor: str


ExpiredAnswer: TypeAlias = "Literal['raise', 'oldest'] | ResumeAt"
OnExpired: TypeAlias = "Literal['raise', 'oldest'] | Callable[[StreamGap], ExpiredAnswer | Awaitable[ExpiredAnswer]]"
"""What to do when events behind the cursor were rotated out; a function is given the gap and answers for this time."""
OnCorrupt: TypeAlias = Literal["raise", "gap"]
"""What to do about damaged records: raise, or hand over a gap and go on behind them."""

# Answers without a diagnostic that say "not now" rather than "not this": from a proxy, as a rule.
_PASSING_STATUSES: Final = frozenset({408, 425, 429})
_PLAIN_404: Final = "http.404"
# The largest diagnostic is a receipt with many Workers; a proxy's page of HTML is none, whatever its length.
_MAX_BODY_BYTES: Final = 256 * 1024

# For a connection whose diagnostic was lost on the way: each of our close codes belongs to one code.
_CODES_BY_CLOSE_CODE: Final[Mapping[int | None, DiagnosticCode]] = {
    spec.close_code.value: code for code, spec in CODE_SPECS.items() if spec.close_code is not None
}


class ConnectFault(StrEnum):
    """Why there is no connection. dns: the name is not known; handshake: it is no HTTP, or broke off before its end."""

    DNS = "connect.dns"
    REFUSED = "connect.refused"
    TLS = "connect.tls"
    TIMEOUT = "connect.timeout"
    HANDSHAKE = "connect.handshake"
    FAILED = "connect.failed"


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """No answer at all. ``reason`` is for people. ``for_good``: trying again soon is in vain (a bad certificate)."""

    reason: str
    fault: ConnectFault = ConnectFault.FAILED
    for_good: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """An HTTP answer instead of an upgrade."""

    status: int
    diagnostic: ReceivedDiagnostic | None = None
    retry_after_ms: int | None = None


class Silence(StrEnum):
    """How a peer that is gone was noticed: it answered no ping, or its heartbeat stayed away."""

    NO_PONG = "connection.no_pong"
    NO_HEARTBEAT = "connection.no_heartbeat"


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of a connection. ``close_code`` None: it broke off, or we left: because of the diagnostic, or because of
    ``silence``.
    """

    close_code: int | None
    diagnostic: ReceivedDiagnostic | None = None
    silence: Silence | None = None


Ending: TypeAlias = ConnectFailed | Answered | Closed


@dataclass(frozen=True, slots=True)
class ResumePolicy:
    """What the caller chose."""

    on_expired: OnExpired = "raise"
    wait_for_worker: bool = False
    on_corrupt: OnCorrupt = "raise"
    after_end: AfterEnd = "stop"


@dataclass(frozen=True, slots=True)
class Retry:
    """Come back with the same request or, if events came, after the last of them. ``code`` is why, for programs."""

    reason: str
    retry_after_ms: int | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """There is no connection, and there will be none until somebody changes something."""

    reason: str
    code: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not come back; ``diagnostic`` is for the caller."""

    diagnostic: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RestartBehindGap:
    """Hand over the gap and come back at its cursor or, without one, at the oldest event."""

    gap: StreamGap
    reason: str

    @property
    def code(self) -> str:
        return self.gap.code


@dataclass(frozen=True, slots=True)
class AskCaller:
    """Have the caller's function say what to do about the gap, and go on with ``behind_gap``."""

    gap: StreamGap
    reason: str


Decision: TypeAlias = Retry | GiveUp | Refuse | RestartBehindGap | AskCaller


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


def may_offer_less(answer: Answered) -> bool:
    """Say whether an older version of the protocol may do: so a Runtime answers that has never heard of this one."""
    if answer.status != HTTPStatus.BAD_REQUEST:
        return False
    return answer.diagnostic is None or answer.diagnostic.code == DiagnosticCode.INVALID_REQUEST


def decide(ending: Ending, policy: ResumePolicy, *, was_live: bool) -> Decision:
    """Decide what to do after ``ending``.

    Args:
        was_live: whether this stream has brought frames before. A Worker that was there and is not may come back
            with its Runtime; one that never was is taken for a mistake, unless the caller waits for it.
    """
    match ending:
        case ConnectFailed(reason, fault, for_good):
            return GiveUp(reason, fault.value) if for_good and not was_live else Retry(reason, code=fault.value)
        case Answered() | Closed():
            return _decide_answer(ending, policy, was_live)
        case _:
            assert_never(ending)


def _decide_answer(ending: Answered | Closed, policy: ResumePolicy, was_live: bool) -> Decision:
    code, recovery = _code(ending), _recovery(ending)
    fields = _fields(ending, code, recovery)
    if recovery is not Recovery.RECONNECT:
        gap = _gap(ending.diagnostic, fields)
        if code == DiagnosticCode.CURSOR_EXPIRED:
            return AskCaller(gap, code) if callable(policy.on_expired) else behind_gap(gap, policy.on_expired)
        # The oldest event would lead to the same damage again: without a place behind it there is no way on.
        resume_cursor = ending.diagnostic.resume_cursor if ending.diagnostic is not None else None
        if code == DiagnosticCode.RECORD_CORRUPT and policy.on_corrupt == "gap" and resume_cursor is not None:
            return RestartBehindGap(gap, code)
    worker_is_missing = code in (DiagnosticCode.WORKER_NOT_FOUND, _PLAIN_404)
    is_awaited = was_live or policy.wait_for_worker
    if recovery is not Recovery.RECONNECT or (worker_is_missing and not is_awaited):
        return Refuse(fields)
    asked_ms = ending.diagnostic.retry_after_ms if ending.diagnostic is not None else None
    if asked_ms is None and isinstance(ending, Answered):
        asked_ms = ending.retry_after_ms
    return Retry(_reason(ending), asked_ms, _retry_code(ending, code))


def behind_gap(gap: StreamGap, answer: ExpiredAnswer) -> Refuse | RestartBehindGap:
    """Decide about a gap as the caller answered."""
    match answer:
        case "raise":
            return Refuse(gap.diagnostic)
        case "oldest":
            return RestartBehindGap(gap, gap.code)
        case ResumeAt(cursor):
            return RestartBehindGap(replace(gap, cursor=cursor), gap.code)
        case _:
            raise TypeError(f"on_expired answered {answer!r}: not 'raise', 'oldest' or ResumeAt(cursor)")


def gap_of(diagnostic: ReceivedDiagnostic) -> StreamGap:
    """Return the gap that a diagnostic announces: it ends where the stream goes on."""
    received = {**diagnostic.received, **diagnostic.model_dump(mode="json", exclude_none=True)}
    return _gap(diagnostic, received)


def _retry_code(ending: Answered | Closed, code: str) -> str:
    match ending:
        case Closed(None, None, silence):
            return silence.value if silence is not None else "connection.broken"
        case _:
            return code


def _recovery(ending: Answered | Closed) -> Recovery:
    """Return what the Runtime wants done; without its word, what status or close code mean."""
    if ending.diagnostic is not None and ending.diagnostic.recovery is not Recovery.NONE:
        return ending.diagnostic.recovery
    if ending.diagnostic is not None and ending.diagnostic.code == DiagnosticCode.RECORD_CORRUPT:
        # The Runtime would go on behind the damage, and the caller wants it raised: coming back leads to it again.
        return CODE_SPECS[DiagnosticCode.RECORD_CORRUPT].recovery
    match ending:
        case Answered(status):
            # 404 also comes from a proxy that has lost its Runtime.
            comes_back = status >= 500 or status in _PASSING_STATUSES or status == HTTPStatus.NOT_FOUND
        case Closed(close_code):
            if close_code in _CODES_BY_CLOSE_CODE:
                return CODE_SPECS[_CODES_BY_CLOSE_CODE[close_code]].recovery
            comes_back = may_repeat(close_code)
        case _:
            assert_never(ending)
    return Recovery.RECONNECT if comes_back else Recovery.GIVE_UP


def _code(ending: Answered | Closed) -> str:
    """Return the diagnostic's code; without one, that of the close code, or a code of ours."""
    if ending.diagnostic is not None:
        return str(ending.diagnostic.code)
    match ending:
        case Answered(status):
            return f"http.{status}"
        case Closed(close_code):
            known = _CODES_BY_CLOSE_CODE.get(close_code)
            return known.value if known is not None else f"close.{close_code}"
        case _:
            assert_never(ending)


def _reason(ending: Answered | Closed) -> str:
    if ending.diagnostic is not None:
        return str(ending.diagnostic.code)
    match ending:
        case Answered(status):
            return f"HTTP {status}"
        case Closed(silence=Silence.NO_PONG):
            return "no answer to a ping"
        case Closed(silence=Silence.NO_HEARTBEAT):
            return "the heartbeat stayed away"
        case Closed(close_code=None):
            return "the connection broke"
        case Closed(close_code):
            return f"closed with {close_code}"
        case _:
            assert_never(ending)


def _fields(ending: Answered | Closed, code: str, recovery: Recovery) -> Mapping[str, object]:
    """Return the diagnostic with what was missing filled in; without one, our own in its form."""
    diagnostic = ending.diagnostic
    if diagnostic is not None:
        received = {**diagnostic.received, **diagnostic.model_dump(mode="json", exclude_none=True)}
        return {**received, "recovery": recovery.value}
    return {
        "code": code,
        "severity": Severity.ERROR.value,
        "message": f"{_reason(ending)}, without a diagnostic",
        "retryable": recovery is Recovery.RECONNECT,
        "recovery": recovery.value,
    }


def _gap(diagnostic: ReceivedDiagnostic | None, fields: Mapping[str, object]) -> StreamGap:
    if diagnostic is None:
        return StreamGap(requested_cursor=None, cursor=None, lost=None, diagnostic=fields)
    # A damaged place is passed; an expired one lies before everything that is left.
    cursor = diagnostic.resume_cursor if diagnostic.code == DiagnosticCode.RECORD_CORRUPT else diagnostic.oldest_cursor
    return StreamGap(diagnostic.requested_cursor, cursor, diagnostic.lost, fields)

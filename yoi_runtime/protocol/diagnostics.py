"""Every diagnostic of the protocol: the table of codes, and the diagnostic itself as sent and as received.

A diagnostic tells the peer what is wrong and what to do. Clients branch on ``code`` and ``recovery``;
``message`` is for people. A released code is never renamed and never reused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, overload

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from yoi_runtime.protocol.close_codes import CloseCode
from yoi_runtime.protocol.versions import ProtocolVersion

__all__ = [
    "CODE_SPECS",
    "CodeSpec",
    "Diagnostic",
    "DiagnosticCode",
    "Lost",
    "LostWorker",
    "ReceivedDiagnostic",
    "ReceivedLost",
    "Recovery",
    "Severity",
    "code_spec",
    "diagnostic",
]

# A cursor token has at most this many characters: more of a bad one would tell nobody more.
_MAX_SHOWN_CURSOR_CHARACTERS = 64


class DiagnosticCode(StrEnum):
    """What a diagnostic is about."""

    INVALID_REQUEST = "runtime.invalid_request"
    UNAUTHENTICATED = "runtime.unauthenticated"
    FORBIDDEN = "runtime.forbidden"
    ORIGIN_REFUSED = "runtime.origin_refused"
    WORKER_NOT_FOUND = "runtime.worker_not_found"
    TOO_MANY_SUBSCRIBERS = "runtime.too_many_subscribers"
    UNAVAILABLE = "runtime.unavailable"
    CURSOR_MALFORMED = "runtime.cursor_malformed"
    CURSOR_FOREIGN = "runtime.cursor_foreign"
    CURSOR_EXPIRED = "runtime.cursor_expired"
    CURSOR_AHEAD = "runtime.cursor_ahead"
    CURSOR_UNKNOWN = "runtime.cursor_unknown"
    OBSERVATION_ONLY = "runtime.observation_only"
    RECORD_CORRUPT = "runtime.record_corrupt"
    ITEMS_EXPIRED = "runtime.items_expired"
    CONSUMER_TOO_SLOW = "runtime.consumer_too_slow"
    SHUTTING_DOWN = "runtime.shutting_down"
    INTERNAL = "runtime.internal"
    STREAM_OPENED = "runtime.stream_opened"


class Severity(StrEnum):
    """info: nothing is wrong. warn: a condition that passes; coming back loses nothing. error: all else."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class Recovery(StrEnum):
    """What the peer should do."""

    NONE = "none"
    RECONNECT = "reconnect"
    RESTART_FROM_OLDEST = "restart_from_oldest"
    RESNAPSHOT = "resnapshot"
    FIX_REQUEST = "fix_request"
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class CodeSpec:
    """One row of the table. ``http_status``: the answer before the upgrade; ``close_code``: the end of a stream.

    None in either means that the code does not occur there.
    """

    severity: Severity
    http_status: int | None
    close_code: CloseCode | None
    recovery: Recovery
    retry_after_seconds: int | None = None

    @property
    def retryable(self) -> bool:
        """Whether the very same request may succeed later."""
        return self.recovery is Recovery.RECONNECT


_INFO, _WARN, _ERROR = Severity.INFO, Severity.WARN, Severity.ERROR

CODE_SPECS: Mapping[DiagnosticCode, CodeSpec] = MappingProxyType(
    {
        DiagnosticCode.INVALID_REQUEST: CodeSpec(_ERROR, 400, None, Recovery.FIX_REQUEST),
        DiagnosticCode.UNAUTHENTICATED: CodeSpec(_ERROR, 401, CloseCode.UNAUTHENTICATED, Recovery.GIVE_UP),
        DiagnosticCode.FORBIDDEN: CodeSpec(_ERROR, 403, None, Recovery.GIVE_UP),
        DiagnosticCode.ORIGIN_REFUSED: CodeSpec(_ERROR, 403, None, Recovery.GIVE_UP),
        # Reconnect: a Backend often knows of a Worker a moment before the Runtime has created it.
        DiagnosticCode.WORKER_NOT_FOUND: CodeSpec(_ERROR, 404, CloseCode.WORKER_NOT_FOUND, Recovery.RECONNECT, 1),
        # Places become free as slowly as Backends leave; the other waits are over in about a second.
        DiagnosticCode.TOO_MANY_SUBSCRIBERS: CodeSpec(_WARN, 429, None, Recovery.RECONNECT, 5),
        DiagnosticCode.UNAVAILABLE: CodeSpec(_WARN, 503, CloseCode.UNAVAILABLE, Recovery.RECONNECT, 1),
        DiagnosticCode.CURSOR_MALFORMED: CodeSpec(_ERROR, None, CloseCode.CURSOR_MALFORMED, Recovery.FIX_REQUEST),
        DiagnosticCode.CURSOR_FOREIGN: CodeSpec(_ERROR, None, CloseCode.CURSOR_FOREIGN, Recovery.RESNAPSHOT),
        DiagnosticCode.CURSOR_EXPIRED: CodeSpec(_ERROR, None, CloseCode.CURSOR_EXPIRED, Recovery.RESNAPSHOT),
        DiagnosticCode.CURSOR_AHEAD: CodeSpec(_ERROR, None, CloseCode.CURSOR_AHEAD, Recovery.RESNAPSHOT),
        DiagnosticCode.CURSOR_UNKNOWN: CodeSpec(_ERROR, None, CloseCode.CURSOR_UNKNOWN, Recovery.RESNAPSHOT),
        DiagnosticCode.OBSERVATION_ONLY: CodeSpec(_ERROR, None, CloseCode.OBSERVATION_ONLY, Recovery.FIX_REQUEST),
        DiagnosticCode.RECORD_CORRUPT: CodeSpec(_ERROR, None, CloseCode.RECORD_CORRUPT, Recovery.RESTART_FROM_OLDEST),
        DiagnosticCode.ITEMS_EXPIRED: CodeSpec(_ERROR, 410, None, Recovery.RESTART_FROM_OLDEST),
        DiagnosticCode.CONSUMER_TOO_SLOW: CodeSpec(_WARN, None, CloseCode.CONSUMER_TOO_SLOW, Recovery.RECONNECT),
        DiagnosticCode.SHUTTING_DOWN: CodeSpec(_WARN, None, CloseCode.GOING_AWAY, Recovery.RECONNECT),
        DiagnosticCode.INTERNAL: CodeSpec(_ERROR, 500, CloseCode.INTERNAL, Recovery.RECONNECT),
        DiagnosticCode.STREAM_OPENED: CodeSpec(_INFO, None, None, Recovery.NONE),
    }
)
"""The table, as v0 has it."""

# v1 goes on after a damaged record, at resume_cursor.
_V1_SPECS: Mapping[DiagnosticCode, CodeSpec] = MappingProxyType(
    {DiagnosticCode.RECORD_CORRUPT: CodeSpec(_ERROR, None, None, Recovery.NONE)}
)

# What is assumed of a code that a newer Runtime has.
_UNKNOWN_SPEC = CodeSpec(_ERROR, None, None, Recovery.NONE)


def code_spec(code: DiagnosticCode, version: ProtocolVersion = ProtocolVersion.V0) -> CodeSpec:
    """Look up the row of ``code``; it differs by version for ``record_corrupt`` alone."""
    if version is ProtocolVersion.V1 and code in _V1_SPECS:
        return _V1_SPECS[code]
    return CODE_SPECS[code]


class LostWorker(BaseModel):
    """How many of one Worker's events are lost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    worker_id: StrictStr
    events: Annotated[StrictInt, Field(ge=0)]


class Lost(BaseModel):
    """The receipt for events that can no longer be read. Not ``exact``: ``events`` is an upper bound.

    The times are those of the first and the last lost event, None when unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: Annotated[StrictInt, Field(ge=0)]
    exact: StrictBool
    from_time: StrictStr | None = None
    to_time: StrictStr | None = None
    workers: tuple[LostWorker, ...] | None = None


class _ReceivedLostWorker(LostWorker):
    model_config = ConfigDict(extra="ignore")


class ReceivedLost(Lost):
    """A receipt as a newer Runtime may send it: unknown fields are skipped."""

    model_config = ConfigDict(extra="ignore")

    workers: tuple[_ReceivedLostWorker, ...] | None = None


def _known_code(code: str) -> str:
    return DiagnosticCode(code) if code in list(DiagnosticCode) else code


class _DiagnosticFields(BaseModel):
    model_config = ConfigDict(frozen=True)

    code: StrictStr
    severity: Severity
    message: StrictStr
    retryable: StrictBool
    recovery: Recovery
    requested_cursor: StrictStr | None = None
    oldest_cursor: StrictStr | None = None
    latest_cursor: StrictStr | None = None
    resume_cursor: StrictStr | None = None
    retry_after_ms: Annotated[StrictInt, Field(ge=0)] | None = None
    worker_id: StrictStr | None = None
    oldest_start: Annotated[StrictInt, Field(ge=0)] | None = None
    lost: Lost | None = None


class Diagnostic(_DiagnosticFields):
    """A diagnostic as sent. Made by ``diagnostic()``, which takes from the table what the table decides."""

    model_config = ConfigDict(extra="forbid")

    code: DiagnosticCode

    @property
    def close_reason(self) -> str:
        """The reason that goes with the close code: the diagnostic's code, for a peer that missed the frame."""
        return self.code.value

    def frame(self) -> bytes:
        """Encode as frame, which is also the body of a refusal before the upgrade: compact UTF-8 JSON without nulls."""
        return b'{"kind":"diagnostic","diagnostic":' + self.model_dump_json(exclude_none=True).encode() + b"}"


class ReceivedDiagnostic(_DiagnosticFields):
    """A diagnostic as a peer of any version may have sent it.

    ``code`` is a ``DiagnosticCode`` when we know it, else plain text. ``received``
    holds the fields as they came, unknown ones included.
    """

    model_config = ConfigDict(extra="ignore")

    code: Annotated[StrictStr, AfterValidator(_known_code)]
    lost: ReceivedLost | None = None
    received: Mapping[str, object] = Field(exclude=True, repr=False)

    @classmethod
    def parse(cls, fields: Mapping[str, object]) -> ReceivedDiagnostic:
        """Read a diagnostic; only ``code`` and ``message`` have to be there.

        What is missing or null comes from the table; for a code outside it: an error, not retryable, recovery none
        (the close code decides). A word we do not know becomes severity error; recovery reconnect when retryable,
        else give_up.

        Raises:
            ValidationError: a field is missing or of the wrong type. ``decode_frame`` makes it a FrameInvalidError.
        """
        given = {name: value for name, value in fields.items() if value is not None}
        spec = next((spec for code, spec in CODE_SPECS.items() if code == given.get("code")), _UNKNOWN_SPEC)
        retryable = given.get("retryable", spec.retryable)
        severity = given.get("severity", spec.severity)
        recovery = given.get("recovery", spec.recovery)
        if severity not in list(Severity):
            severity = Severity.ERROR
        if recovery not in list(Recovery):
            recovery = Recovery.RECONNECT if retryable is True else Recovery.GIVE_UP
        known = {"retryable": retryable, "severity": severity, "recovery": recovery, "received": fields}
        return cls.model_validate({**given, **known})


def diagnostic(
    code: DiagnosticCode,
    message: str,
    *,
    version: ProtocolVersion = ProtocolVersion.V0,
    requested_cursor: str | None = None,
    oldest_cursor: str | None = None,
    latest_cursor: str | None = None,
    resume_cursor: str | None = None,
    retry_after_ms: int | None = None,
    worker_id: str | None = None,
    oldest_start: int | None = None,
    lost: Lost | None = None,
) -> Diagnostic:
    """Make a diagnostic: severity, retryable, recovery and (unless given) retry_after_ms come from the table.

    The peer's own text is safe to pass: ``requested_cursor`` is cut to the length of a cursor token, and what UTF-8
    cannot hold is replaced.
    """
    spec = code_spec(code, version)
    if retry_after_ms is None and spec.retry_after_seconds is not None:
        retry_after_ms = spec.retry_after_seconds * 1000
    return Diagnostic(
        code=code,
        severity=spec.severity,
        message=_encodable(message),
        retryable=spec.retryable,
        recovery=spec.recovery,
        requested_cursor=_encodable(requested_cursor and requested_cursor[:_MAX_SHOWN_CURSOR_CHARACTERS]),
        oldest_cursor=oldest_cursor,
        latest_cursor=latest_cursor,
        resume_cursor=resume_cursor,
        retry_after_ms=retry_after_ms,
        worker_id=_encodable(worker_id),
        oldest_start=oldest_start,
        lost=lost,
    )


@overload
def _encodable(text: str) -> str: ...
@overload
def _encodable(text: str | None) -> str | None: ...
def _encodable(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8")

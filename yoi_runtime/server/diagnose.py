"""The only bridge from exceptions to diagnostics. No path, stack trace or text of an exception crosses it."""

from __future__ import annotations

from yoi_runtime.errors import (
    CursorAheadError,
    CursorForeignError,
    CursorMalformedError,
    CursorUnknownError,
    LogError,
    LogUnavailableError,
    RecordCorruptError,
    RequestInvalidError,
)
from yoi_runtime.protocol.diagnostics import Diagnostic, DiagnosticCode, diagnostic
from yoi_runtime.protocol.versions import ProtocolVersion
from yoi_runtime.segment_log.cursor import CursorToken
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.starting_place import StreamExpiredError, place_of_now, place_of_oldest

__all__ = ["diagnose_cursor", "diagnose_damage", "diagnose_request", "worker_not_found"]


def diagnose_request(error: RequestInvalidError) -> Diagnostic:
    """Say which parameter is wrong, and how."""
    return diagnostic(DiagnosticCode.INVALID_REQUEST, f"parameter {error.parameter!r} {error.reason}")


def worker_not_found(worker_id: str) -> Diagnostic:
    """Say that there is no such Worker, perhaps not yet."""
    return diagnostic(
        DiagnosticCode.WORKER_NOT_FOUND, f"no Worker {worker_id} has been created here", worker_id=worker_id
    )


async def diagnose_cursor(error: Exception, view: LogView, worker_id: str | None, token: str | None) -> Diagnostic:
    """Answer a cursor that cannot be resumed from; says where the log begins and ends at present.

    Raises:
        LogError, OSError: that cannot be said at present.
    """
    code, message = _verdict(error)
    if code is DiagnosticCode.CURSOR_MALFORMED:
        return diagnostic(code, message, requested_cursor=token, worker_id=worker_id)
    if code is DiagnosticCode.UNAVAILABLE or code is DiagnosticCode.INTERNAL:
        return diagnostic(code, message, requested_cursor=token, worker_id=worker_id)
    expired = error if isinstance(error, StreamExpiredError) else None
    oldest = expired.oldest if expired is not None else await place_of_oldest(view, worker_id)
    return diagnostic(
        code,
        message,
        requested_cursor=token,
        worker_id=worker_id,
        oldest_cursor=oldest.token,
        latest_cursor=place_of_now(view, worker_id).token,
        lost=expired.lost if expired is not None else None,
    )


def _verdict(error: Exception) -> tuple[DiagnosticCode, str]:
    match error:
        case CursorMalformedError():
            return DiagnosticCode.CURSOR_MALFORMED, f"this is not a cursor: {error.reason}"
        case CursorForeignError():
            return (
                DiagnosticCode.CURSOR_FOREIGN,
                f"the cursor belongs to log {error.cursor_log_id}, this is log {error.log_id}",
            )
        case StreamExpiredError():
            bound = "" if error.lost.exact else "up to "
            return (
                DiagnosticCode.CURSOR_EXPIRED,
                f"{bound}{error.lost.events} events after the cursor were rotated out and cannot be read any more",
            )
        case CursorUnknownError():
            return DiagnosticCode.CURSOR_UNKNOWN, "this log has no such place; its events were lost or never stored"
        case CursorAheadError():
            return (
                DiagnosticCode.CURSOR_AHEAD,
                "the cursor lies past the end of the log: events that were there have been lost",
            )
        case LogUnavailableError():
            return DiagnosticCode.UNAVAILABLE, "the log cannot answer for this cursor at present; try again"
        case LogError() | OSError():
            return DiagnosticCode.UNAVAILABLE, "the log cannot be read at present"
        case _:
            return DiagnosticCode.INTERNAL, "the cursor could not be resolved"


def diagnose_damage(
    error: RecordCorruptError, resume_cursor: CursorToken, worker_id: str | None, version: ProtocolVersion
) -> Diagnostic:
    """Say that records are damaged, and where reading can go on."""
    last = error.resume_seq
    which = f"event {error.seq} is" if last <= error.seq else f"events {error.seq} to {last} are"
    return diagnostic(
        DiagnosticCode.RECORD_CORRUPT,
        f"{which} damaged in the log and cannot be sent; the events after them can be read from resume_cursor",
        version=version,
        resume_cursor=resume_cursor,
        worker_id=worker_id,
    )

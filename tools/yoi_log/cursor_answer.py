"""What a cursor token names, and what a Runtime on a log would answer to it: ``yoi-log cursor``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from yoi_log.log_place import LogPlace
from yoi_runtime.catalog.catalog import read_snapshot
from yoi_runtime.catalog.rotation_loss import continues, lost_of_worker
from yoi_runtime.errors import (
    CursorAheadError,
    CursorError,
    CursorExpiredError,
    CursorForeignError,
    CursorUnknownError,
    LogUnavailableError,
)
from yoi_runtime.segment_log.cursor import NO_WORKER, Cursor, decode_token, worker_tag
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.reader import LogReader

__all__ = ["CursorAnswer", "answer_cursor"]

_ANSWERS: dict[type[CursorError], str] = {
    CursorForeignError: "foreign",
    CursorUnknownError: "unknown",
    CursorAheadError: "ahead",
}


@dataclass(frozen=True, slots=True)
class CursorAnswer:
    """A decoded token. ``answer`` is None where no log was asked: else resumes, foreign, expired, unknown, ahead, unavailable."""

    token: str
    log_id: str
    segment: int
    offset: int
    seq: int
    worker_id: str | None
    worker_tag: str | None
    worker_seq: int | None
    answer: str | None = None
    reason: str | None = None
    events_behind: int | None = None
    oldest_cursor: str | None = None
    worker_answer: str | None = None
    worker_reason: str | None = None


def answer_cursor(token: str, place: LogPlace | None) -> CursorAnswer:
    """Decode ``token`` and, given a log, resolve it there: for the stream of everything, and for its Worker's.

    The second answer, ``worker_answer``, differs where all that was rotated out was others'. It is None where the
    token was issued for no Worker, or the catalog does not say for which.

    Raises:
        CursorMalformedError: it is no token.
        LogError, OSError: the log cannot be read.
    """
    cursor = decode_token(token)
    if place is None:
        return _answer(token, cursor, None)
    reader = LogReader(place.log_directory)
    try:
        worker_id = _worker_of(cursor, place, reader.log_id)
        oldest = reader.token_at(reader.floor())
        try:
            position = reader.resolve(cursor)
        except CursorExpiredError:
            behind = reader.floor().seq - cursor.seq
            reason = f"{behind} events after it were rotated out"
            answer = _answer(token, cursor, worker_id, "expired", reason, oldest_cursor=oldest)
            return _with_worker(answer, cursor, place, reader.floor().seq)
        except CursorError as error:
            answer = _answer(token, cursor, worker_id, _ANSWERS[type(error)], str(error), oldest_cursor=oldest)
        except LogUnavailableError as error:
            answer = _answer(token, cursor, worker_id, "unavailable", str(error), oldest_cursor=oldest)
        else:
            behind = reader.end.seq - position.seq
            answer = _answer(token, cursor, worker_id, "resumes", None, events_behind=behind, oldest_cursor=oldest)
        return (
            answer if worker_id is None else replace(answer, worker_answer=answer.answer, worker_reason=answer.reason)
        )
    finally:
        reader.close()


def _with_worker(answer: CursorAnswer, cursor: Cursor, place: LogPlace, floor_seq: int) -> CursorAnswer:
    """Add what the stream of its Worker would be answered, to a cursor that is expired for everything."""
    snapshot = read_snapshot(place.data_directory, REAL_PLATFORM) if place.data_directory is not None else None
    if answer.worker_id is None or snapshot is None:
        return answer
    ledger = snapshot.ledger
    if ledger.rotated_out.last_seq > floor_seq or ledger.accounted_seq < floor_seq:
        return replace(answer, worker_answer="unavailable", worker_reason="segments are being rotated out")
    lost = lost_of_worker(ledger, answer.worker_id, cursor.seq, cursor.worker_seq, floor_seq)
    if lost is not None:
        most = "" if lost.exact else "at most "
        reason = f"{most}{lost.events} of its events after it were rotated out"
        return replace(answer, worker_answer="expired", worker_reason=reason)
    if not continues(ledger, answer.worker_id, cursor.seq, cursor.worker_seq):
        reason = f"event {cursor.seq} was lost, and another one bears its number"
        return replace(answer, worker_answer="unknown", worker_reason=reason)
    return replace(answer, worker_answer="resumes")


def _worker_of(cursor: Cursor, place: LogPlace, log_id: str) -> str | None:
    """Return the Worker the token was issued for, found by its tag among those that the catalog knows."""
    snapshot = read_snapshot(place.data_directory, REAL_PLATFORM) if place.data_directory is not None else None
    if cursor.worker == NO_WORKER or snapshot is None or snapshot.log_id != log_id:
        return None
    return next((known for known in snapshot.ledger.workers if worker_tag(known) == cursor.worker), None)


def _answer(
    token: str,
    cursor: Cursor,
    worker_id: str | None,
    answer: str | None = None,
    reason: str | None = None,
    *,
    events_behind: int | None = None,
    oldest_cursor: str | None = None,
) -> CursorAnswer:
    issued = cursor.worker != NO_WORKER
    return CursorAnswer(
        token=token,
        log_id=cursor.log_id,
        segment=cursor.segment,
        offset=cursor.offset,
        seq=cursor.seq,
        worker_id=worker_id,
        worker_tag=cursor.worker.hex() if issued else None,
        worker_seq=cursor.worker_seq if issued else None,
        answer=answer,
        reason=reason,
        events_behind=events_behind,
        oldest_cursor=oldest_cursor,
    )

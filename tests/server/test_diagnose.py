from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.runtime.emitting import emit
from tests.server.serving import SMALL, rotate_out_all_before_now
from tests.server.viewing import viewing
from yoi_runtime.errors import (
    CursorAheadError,
    CursorForeignError,
    CursorMalformedError,
    CursorUnknownError,
    LogFormatError,
    LogUnavailableError,
    RecordCorruptError,
    RequestInvalidError,
)
from yoi_runtime.protocol.diagnostics import DiagnosticCode, Lost, Recovery
from yoi_runtime.protocol.versions import ProtocolVersion
from yoi_runtime.segment_log.cursor import CursorToken, decode_token
from yoi_runtime.server.diagnose import diagnose_cursor, diagnose_damage, diagnose_request, worker_not_found
from yoi_runtime.server.starting_place import StreamExpiredError, place_of_cursor, place_of_oldest

SECRET = "/home/someone/secret"
# Error (None: an expiry at the present floor), code, and whether the answer tells between which places the log can be
# read.
ANSWERS: dict[str, tuple[Exception | None, DiagnosticCode, bool]] = {
    "malformed": (CursorMalformedError("x", "it is empty"), DiagnosticCode.CURSOR_MALFORMED, False),
    "foreign": (CursorForeignError("x", "a" * 16, "b" * 16), DiagnosticCode.CURSOR_FOREIGN, True),
    "expired": (None, DiagnosticCode.CURSOR_EXPIRED, True),
    "unknown": (CursorUnknownError("x", SECRET), DiagnosticCode.CURSOR_UNKNOWN, True),
    "ahead": (CursorAheadError("x", SECRET), DiagnosticCode.CURSOR_AHEAD, True),
    "unavailable": (LogUnavailableError(Path(SECRET), SECRET), DiagnosticCode.UNAVAILABLE, False),
    "unreadable": (LogFormatError(Path(SECRET), SECRET), DiagnosticCode.UNAVAILABLE, False),
    "disk": (OSError(errno.EIO, SECRET, SECRET), DiagnosticCode.UNAVAILABLE, False),
    "bug": (KeyError(SECRET), DiagnosticCode.INTERNAL, False),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_every_answer_to_a_cursor_has_its_code_and_tells_nothing_of_ours(case: str, tmp_path: Path):
    error, code, tells_ends = ANSWERS[case]
    async with viewing(tmp_path) as log:
        await log.shown(emit(log.runtime.create_worker("a"), 2)[-1])
        for worker_id in ("a", None):
            expiry = StreamExpiredError(Lost(events=3, exact=True), await place_of_oldest(log.view, worker_id))
            found = await diagnose_cursor(error or expiry, log.view, worker_id, "the token")
            assert (found.code, found.requested_cursor, found.worker_id) == (code, "the token", worker_id)
            assert (found.oldest_cursor is not None, found.latest_cursor is not None) == (tells_ends, tells_ends)
            assert (found.lost is not None) == (case == "expired")
            for text in (SECRET, str(tmp_path), "Traceback", "Error"):
                assert text not in found.frame().decode()
            if found.oldest_cursor is not None and found.latest_cursor is not None:
                oldest = await place_of_cursor(log.view, worker_id, found.oldest_cursor)
                latest = await place_of_cursor(log.view, worker_id, found.latest_cursor)
                assert (oldest.position, latest.position) == (log.view.floor(), log.view.end)
                assert (oldest.worker_seq, latest.worker_seq) == ((0, 2) if worker_id else (0, 0))


async def test_the_ends_it_tells_are_those_after_the_last_rotation(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        rotate_out_all_before_now(log.runtime, worker)
        found = await diagnose_cursor(CursorUnknownError("x", ""), log.view, None, "x")
        assert found.oldest_cursor is not None
        segment = decode_token(CursorToken(found.oldest_cursor)).segment
        assert (log.runtime.log_directory / f"{segment:020d}.jsonl").exists()


async def test_a_request_without_a_cursor_gets_none_back(tmp_path: Path):
    async with viewing(tmp_path) as log:
        assert (await diagnose_cursor(CursorUnknownError("x", ""), log.view, None, None)).requested_cursor is None
        assert (await diagnose_cursor(CursorMalformedError("", ""), log.view, None, "")).requested_cursor == ""


@pytest.mark.parametrize("exact, words", [(True, "3 events"), (False, "up to 3 events")])
async def test_the_message_of_an_expiry_says_what_the_receipt_says(exact: bool, words: str, tmp_path: Path):
    async with viewing(tmp_path) as log:
        found = await diagnose_cursor(
            StreamExpiredError(Lost(events=3, exact=exact), await place_of_oldest(log.view, None)), log.view, None, "x"
        )
        assert found.message.startswith(words)
        assert found.lost == Lost(events=3, exact=exact)


@pytest.mark.parametrize("last, words", [(7, "event 7 is"), (9, "events 7 to 9 are")])
def test_damage_is_told_by_number_and_not_by_file(last: int, words: str):
    error = RecordCorruptError(Path(SECRET), 1, 100, 7, SECRET, resume_segment=1, resume_offset=300, resume_seq=last)
    found = diagnose_damage(error, CursorToken("there"), "a", ProtocolVersion.V0)
    assert found.recovery is Recovery.RESTART_FROM_OLDEST
    assert diagnose_damage(error, CursorToken("there"), "a", ProtocolVersion.V1).recovery is Recovery.NONE
    assert (found.code, found.resume_cursor, found.worker_id) == (DiagnosticCode.RECORD_CORRUPT, "there", "a")
    assert found.message.startswith(words)
    assert SECRET not in found.frame().decode()


def test_a_bad_request_is_told_which_parameter_to_change():
    found = diagnose_request(RequestInvalidError("from", "is neither oldest nor now"))
    assert found.code is DiagnosticCode.INVALID_REQUEST
    assert "'from'" in found.message


def test_a_missing_worker_is_named_and_may_come():
    found = worker_not_found("a")
    assert (found.code, found.worker_id, found.retryable) == (DiagnosticCode.WORKER_NOT_FOUND, "a", True)
    assert found.retry_after_ms == 1000

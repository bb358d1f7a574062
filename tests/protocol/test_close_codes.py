from __future__ import annotations

import pytest

from yoi_runtime.protocol.close_codes import MAX_CLOSE_REASON_BYTES, CloseCode, may_repeat
from yoi_runtime.protocol.diagnostics import DiagnosticCode, diagnostic

OURS = {
    4400: "CURSOR_MALFORMED",
    4401: "UNAUTHENTICATED",
    4404: "WORKER_NOT_FOUND",
    4408: "OBSERVATION_ONLY",
    4409: "CURSOR_FOREIGN",
    4410: "CURSOR_EXPIRED",
    4411: "CURSOR_AHEAD",
    4412: "CURSOR_UNKNOWN",
    4413: "RECORD_CORRUPT",
    4500: "INTERNAL",
    4503: "UNAVAILABLE",
    4508: "CONSUMER_TOO_SLOW",
}


def test_our_close_codes_have_the_numbers_of_the_protocol() -> None:
    assert {int(code): code.name for code in CloseCode if code >= 4000} == OURS


@pytest.mark.parametrize("code", [4400, 4401, 4404, 4408, 4409, 4410, 4411, 4412, 4413, 4444, 4499])
def test_a_44xx_request_is_not_repeated(code: int) -> None:
    assert not may_repeat(code)


@pytest.mark.parametrize(
    "code",
    [None, 1000, 1001, 1005, 1006, 1009, 1011, 1012, 1013, 3000, 4000, 4399, 4500, 4503, 4508, 4599, 4999],
)
def test_every_other_end_of_a_connection_allows_to_come_back(code: int | None) -> None:
    assert may_repeat(code)


@pytest.mark.parametrize("code", list(DiagnosticCode))
def test_a_close_reason_is_the_code_and_fits_into_a_close_frame(code: DiagnosticCode) -> None:
    reason = diagnostic(code, "m" * 500).close_reason
    assert reason == code.value
    assert len(reason.encode()) <= MAX_CLOSE_REASON_BYTES == 123

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from yoi_runtime.protocol.diagnostics import (
    CODE_SPECS,
    Diagnostic,
    DiagnosticCode,
    Lost,
    LostWorker,
    ReceivedDiagnostic,
    Recovery,
    Severity,
    code_spec,
    diagnostic,
)
from yoi_runtime.protocol.versions import ProtocolVersion

# Written from the design, not from the code: code | HTTP | close in v0 | recovery in v0 | severity | Retry-After.
TABLE = """
invalid_request      | 400 |      | fix_request         | error |
unauthenticated      | 401 | 4401 | give_up             | error |
forbidden            | 403 |      | give_up             | error |
origin_refused       | 403 |      | give_up             | error |
worker_not_found     | 404 | 4404 | reconnect           | error | 1
too_many_subscribers | 429 |      | reconnect           | warn  | 5
unavailable          | 503 | 4503 | reconnect           | warn  | 1
cursor_malformed     |     | 4400 | fix_request         | error |
cursor_foreign       |     | 4409 | resnapshot          | error |
cursor_expired       |     | 4410 | resnapshot          | error |
cursor_ahead         |     | 4411 | resnapshot          | error |
cursor_unknown       |     | 4412 | resnapshot          | error |
observation_only     |     | 4408 | fix_request         | error |
record_corrupt       |     | 4413 | restart_from_oldest | error |
items_expired        | 410 |      | restart_from_oldest | error |
consumer_too_slow    |     | 4508 | reconnect           | warn  |
shutting_down        |     | 1001 | reconnect           | warn  |
internal             | 500 | 4500 | reconnect           | error |
stream_opened        |     |      | none                | info  |
"""
ROWS = [tuple(cell.strip() for cell in line.split("|")) for line in TABLE.strip().splitlines()]


def test_the_table_has_every_code_and_no_other() -> None:
    assert {"runtime." + row[0] for row in ROWS} == {code.value for code in DiagnosticCode}
    assert set(CODE_SPECS) == set(DiagnosticCode)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_is_the_row_of_the_design(row: tuple[str, ...]) -> None:
    name, http_status, close_code, recovery, severity, retry_after = row
    spec = CODE_SPECS[DiagnosticCode("runtime." + name)]
    assert spec.http_status == (int(http_status) if http_status else None)
    assert spec.close_code == (int(close_code) if close_code else None)
    assert spec.recovery == recovery
    assert spec.severity == severity
    assert spec.retry_after_seconds == (int(retry_after) if retry_after else None)
    assert spec.retryable == (recovery == "reconnect")


def test_v1_goes_on_after_a_damaged_record_and_v0_closes() -> None:
    v0 = code_spec(DiagnosticCode.RECORD_CORRUPT, ProtocolVersion.V0)
    v1 = code_spec(DiagnosticCode.RECORD_CORRUPT, ProtocolVersion.V1)
    assert (v0.close_code, v0.recovery) == (4413, Recovery.RESTART_FROM_OLDEST)
    assert (v1.close_code, v1.recovery) == (None, Recovery.NONE)
    sent = diagnostic(DiagnosticCode.RECORD_CORRUPT, "m", version=ProtocolVersion.V1, resume_cursor="wo1x")
    assert sent.recovery is Recovery.NONE
    assert diagnostic(DiagnosticCode.RECORD_CORRUPT, "m").recovery is Recovery.RESTART_FROM_OLDEST


@pytest.mark.parametrize("code", [code for code in DiagnosticCode if code is not DiagnosticCode.RECORD_CORRUPT])
def test_no_other_code_differs_between_the_versions(code: DiagnosticCode) -> None:
    assert code_spec(code, ProtocolVersion.V1) is code_spec(code, ProtocolVersion.V0)


def test_a_frame_leaves_out_what_it_has_not() -> None:
    assert diagnostic(DiagnosticCode.CONSUMER_TOO_SLOW, "no progress for 20 s").frame() == (
        b'{"kind":"diagnostic","diagnostic":{"code":"runtime.consumer_too_slow","severity":"warn",'
        b'"message":"no progress for 20 s","retryable":true,"recovery":"reconnect"}}'
    )


def test_a_frame_holds_every_field_in_a_fixed_order() -> None:
    sent = diagnostic(
        DiagnosticCode.CURSOR_EXPIRED,
        "Ereignisse sind fort: \u2028 \u65e5\u672c",
        requested_cursor="wo1req",
        oldest_cursor="wo1old",
        latest_cursor="wo1new",
        resume_cursor="wo1res",
        retry_after_ms=1500,
        worker_id="w-1",
        lost=Lost(
            events=3,
            exact=False,
            from_time="2026-01-01T00:00:00.000000Z",
            workers=(LostWorker(worker_id="w-1", events=3),),
        ),
    )
    assert (
        sent.frame()
        == (
            '{"kind":"diagnostic","diagnostic":{"code":"runtime.cursor_expired","severity":"error",'
            '"message":"Ereignisse sind fort: \u2028 \u65e5\u672c","retryable":false,"recovery":"resnapshot",'
            '"requested_cursor":"wo1req","oldest_cursor":"wo1old","latest_cursor":"wo1new","resume_cursor":"wo1res",'
            '"retry_after_ms":1500,"worker_id":"w-1","lost":{"events":3,"exact":false,'
            '"from_time":"2026-01-01T00:00:00.000000Z","workers":[{"worker_id":"w-1","events":3}]}}}'
        ).encode()
    )


def test_the_wait_comes_from_the_table_unless_given() -> None:
    assert diagnostic(DiagnosticCode.TOO_MANY_SUBSCRIBERS, "full").retry_after_ms == 5000
    assert diagnostic(DiagnosticCode.TOO_MANY_SUBSCRIBERS, "full", retry_after_ms=0).retry_after_ms == 0
    assert diagnostic(DiagnosticCode.INTERNAL, "oh").retry_after_ms is None


# st.text() never makes a lone surrogate.
any_text = st.lists(st.characters() | st.integers(0xD800, 0xDFFF).map(chr)).map("".join)


@given(message=any_text, cursor=any_text, worker_id=any_text)
def test_any_text_of_a_peer_makes_a_frame_that_is_json(message: str, cursor: str, worker_id: str) -> None:
    sent = diagnostic(DiagnosticCode.CURSOR_MALFORMED, message, requested_cursor=cursor, worker_id=worker_id)
    decoded = json.loads(sent.frame().decode("utf-8"))["diagnostic"]
    assert len(decoded["requested_cursor"]) == min(len(cursor), 64)
    assert b"\n" not in sent.frame()


def test_text_that_utf8_cannot_hold_is_replaced_and_an_overlong_cursor_cut() -> None:
    sent = diagnostic(DiagnosticCode.CURSOR_MALFORMED, "a\ud800b", requested_cursor="\udfff" + "x" * 100)
    assert sent.message == "a?b"
    assert sent.requested_cursor == "?" + "x" * 63


def test_an_unknown_field_cannot_be_sent() -> None:
    fields = diagnostic(DiagnosticCode.INTERNAL, "m").model_dump()
    Diagnostic.model_validate(fields)
    with pytest.raises(ValidationError):
        Diagnostic.model_validate({**fields, "hint": "x"})
    with pytest.raises(ValidationError):
        Diagnostic.model_validate({**fields, "code": "runtime.new"})
    with pytest.raises(ValidationError):
        Lost.model_validate({"events": 1, "exact": True, "bytes": 7})


@pytest.mark.parametrize("code", list(DiagnosticCode))
def test_what_is_sent_is_received(code: DiagnosticCode) -> None:
    lost = Lost(events=2, exact=True, to_time="t", workers=(LostWorker(worker_id="w", events=2),))
    sent = diagnostic(code, "m", requested_cursor="c", lost=lost)
    received = ReceivedDiagnostic.parse(json.loads(sent.frame())["diagnostic"])
    assert received.model_dump() == sent.model_dump()
    assert isinstance(received.code, DiagnosticCode)
    assert received.received == json.loads(sent.frame())["diagnostic"]


def test_code_and_message_are_enough_to_receive() -> None:
    received = ReceivedDiagnostic.parse({"code": "runtime.cursor_expired", "message": "gone"})
    assert received.code is DiagnosticCode.CURSOR_EXPIRED
    assert (received.severity, received.retryable, received.recovery) == (Severity.ERROR, False, Recovery.RESNAPSHOT)


def test_a_newer_runtimes_code_and_fields_are_kept() -> None:
    lost = {"events": 1, "exact": True, "new": 1, "workers": [{"worker_id": "w", "events": 1, "new": 2}]}
    fields = {"code": "runtime.new_thing", "message": "m", "hint": {"a": [1]}, "lost": lost}
    received = ReceivedDiagnostic.parse(fields)
    assert received.code == "runtime.new_thing"
    assert (received.severity, received.retryable, received.recovery) == (Severity.ERROR, False, Recovery.NONE)
    assert received.received == fields
    assert received.lost is not None
    assert received.lost.events == 1
    assert received.lost.workers is not None
    assert received.lost.workers[0].worker_id == "w"


@pytest.mark.parametrize(
    ("fields", "recovery"),
    [
        ({"recovery": "resnapshot"}, Recovery.RESNAPSHOT),
        ({"recovery": "dance"}, Recovery.GIVE_UP),
        ({"recovery": "dance", "retryable": True}, Recovery.RECONNECT),
        ({"recovery": None, "retryable": None, "severity": None, "lost": None}, Recovery.NONE),
        ({"recovery": ["reconnect"]}, Recovery.GIVE_UP),
        ({"retryable": True}, Recovery.NONE),
    ],
)
def test_an_unknown_recovery_becomes_the_safe_one(fields: dict[str, object], recovery: Recovery) -> None:
    assert ReceivedDiagnostic.parse({"code": "runtime.new", "message": "m", **fields}).recovery is recovery


def test_the_senders_word_goes_before_our_table() -> None:
    received = ReceivedDiagnostic.parse(
        {"code": "runtime.record_corrupt", "message": "m", "recovery": "none", "severity": "fatal", "retryable": True}
    )
    assert (received.recovery, received.severity, received.retryable) == (Recovery.NONE, Severity.ERROR, True)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"code": "runtime.internal"},
        {"message": "m"},
        {"code": 7, "message": "m"},
        {"code": ["runtime.internal"], "message": "m"},
        {"code": "runtime.internal", "message": b"m"},
        {"code": "runtime.internal", "message": "m", "retryable": "yes"},
        {"code": "runtime.internal", "message": "m", "latest_cursor": 7},
        {"code": "runtime.internal", "message": "m", "retry_after_ms": -1},
        {"code": "runtime.internal", "message": "m", "retry_after_ms": True},
        {"code": "runtime.internal", "message": "m", "lost": 3},
        {"code": "runtime.internal", "message": "m", "lost": {"events": "3", "exact": True}},
    ],
)
def test_a_field_of_the_wrong_type_is_not_guessed_at(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ReceivedDiagnostic.parse(fields)

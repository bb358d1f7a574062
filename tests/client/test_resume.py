from __future__ import annotations

import json
from typing import Any

import pytest

from yoi_runtime.client.resume import (
    Answered,
    AskCaller,
    Closed,
    ConnectFailed,
    ConnectFault,
    Ending,
    GiveUp,
    Refuse,
    RestartBehindGap,
    ResumeAt,
    ResumePolicy,
    Retry,
    Silence,
    answered,
    behind_gap,
    decide,
    gap_of,
    may_offer_less,
)
from yoi_runtime.protocol.close_codes import CloseCode
from yoi_runtime.protocol.diagnostics import CODE_SPECS, DiagnosticCode, Lost, ReceivedDiagnostic, Recovery, diagnostic

PLAIN = ResumePolicy()
WAITING = ResumePolicy(wait_for_worker=True)
UNAVAILABLE = "runtime.unavailable"
FROM_OLDEST = ResumePolicy(on_expired="oldest")


def received(code: str, **fields: Any) -> ReceivedDiagnostic:
    return ReceivedDiagnostic.parse({"code": code, "message": "m", **fields})


def what(ending: Ending, policy: ResumePolicy = PLAIN, *, was_live: bool = False) -> str:
    return type(decide(ending, policy, was_live=was_live)).__name__


@pytest.mark.parametrize("code", DiagnosticCode)
def test_recovery_decides_over_every_code_of_the_table(code: DiagnosticCode):
    if code is DiagnosticCode.WORKER_NOT_FOUND or CODE_SPECS[code].recovery is Recovery.NONE:
        return
    expected = "Retry" if CODE_SPECS[code].recovery is Recovery.RECONNECT else "Refuse"
    assert what(Closed(None, received(code))) == expected
    assert what(Answered(400, received(code))) == expected


@pytest.mark.parametrize(
    ("recovery", "expected"),
    [
        ("reconnect", "Retry"),
        ("fix_request", "Refuse"),
        ("give_up", "Refuse"),
        ("resnapshot", "Refuse"),
        ("restart_from_oldest", "Refuse"),
        ("a_new_word", "Refuse"),
    ],
)
def test_recovery_decides_over_status_and_close_code(recovery: str, expected: str):
    diagnosed = received("runtime.new_code", recovery=recovery)
    for ending in (
        Answered(401, diagnosed),
        Answered(503, diagnosed),
        Closed(4410, diagnosed),
        Closed(1001, diagnosed),
    ):
        assert what(ending) == expected


@pytest.mark.parametrize(
    "close_code", [None, 1000, 1001, 1002, 1006, 1008, 1011, 1012, 1013, 3000, 4000, 4399, 4500, 4503, 4508, 4599]
)
def test_a_connection_that_ended_is_made_again(close_code: int | None):
    assert what(Closed(close_code)) == "Retry"


@pytest.mark.parametrize("close_code", [4400, 4401, 4408, 4409, 4410, 4411, 4412, 4413, 4499])
def test_44xx_is_not_repeated(close_code: int):
    decision = decide(Closed(close_code), PLAIN, was_live=True)
    assert isinstance(decision, Refuse)
    assert decision.diagnostic["recovery"] != "reconnect"


@pytest.mark.parametrize(
    ("close_code", "code"),
    [
        (4401, "runtime.unauthenticated"),
        (4410, "runtime.cursor_expired"),
        (4413, "runtime.record_corrupt"),
        (4444, "close.4444"),
    ],
)
def test_a_close_code_stands_for_its_lost_diagnostic(close_code: int, code: str):
    decision = decide(Closed(close_code), PLAIN, was_live=True)
    assert isinstance(decision, Refuse)
    assert decision.diagnostic["code"] == code
    assert str(close_code) in str(decision.diagnostic["message"])


def test_each_close_code_of_ours_stands_for_one_code():
    used = [spec.close_code for spec in CODE_SPECS.values() if spec.close_code is not None]
    assert len(used) == len(set(used))


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, "Refuse"), (302, "Refuse"), (400, "Refuse"), (401, "Refuse"), (403, "Refuse"), (404, "Refuse"),
     (405, "Refuse"), (426, "Refuse"), (408, "Retry"), (429, "Retry"), (500, "Retry"), (502, "Retry"), (503, "Retry"),
     (504, "Retry")],
)  # fmt: skip
def test_without_a_diagnostic_the_status_decides(status: int, expected: str):
    assert what(Answered(status)) == expected


def test_a_refusal_without_a_diagnostic_is_described_in_the_form_of_one():
    decision = decide(Answered(405), PLAIN, was_live=True)
    assert decision == Refuse(
        {
            "code": "http.405",
            "severity": "error",
            "message": "HTTP 405, without a diagnostic",
            "retryable": False,
            "recovery": "give_up",
        }
    )


def test_a_refusal_carries_the_diagnostic_with_fields_we_do_not_know():
    decision = decide(
        Closed(None, received("runtime.cursor_ahead", latest_cursor="c9", shade="blue")), PLAIN, was_live=True
    )
    assert isinstance(decision, Refuse)
    assert decision.diagnostic == {
        "code": "runtime.cursor_ahead",
        "severity": "error",
        "message": "m",
        "retryable": False,
        "recovery": "resnapshot",
        "latest_cursor": "c9",
        "shade": "blue",
    }


def test_an_unknown_code_that_says_nothing_is_judged_by_the_close_code():
    assert what(Closed(4444, received("runtime.new_code"))) == "Refuse"
    assert what(Closed(4510, received("runtime.new_code"))) == "Retry"
    assert what(Closed(None, received("runtime.new_code"))) == "Retry"
    decision = decide(Closed(4444, received("runtime.new_code")), PLAIN, was_live=True)
    assert isinstance(decision, Refuse)
    assert (decision.diagnostic["code"], decision.diagnostic["recovery"]) == ("runtime.new_code", "give_up")


@pytest.mark.parametrize(
    "ending",
    [
        Answered(404, received("runtime.worker_not_found")),
        Answered(404),
        Closed(4404, received("runtime.worker_not_found")),
        Closed(4404),
    ],
)
def test_a_missing_worker_is_a_mistake_unless_it_was_there_or_is_waited_for(ending: Ending):
    assert what(ending) == "Refuse"
    assert what(ending, WAITING) == "Retry"
    assert what(ending, was_live=True) == "Retry"


def test_a_bad_certificate_is_a_mistake_unless_it_was_good_before():
    bad = ConnectFailed("the certificate is not good: expired", ConnectFault.TLS, for_good=True)
    assert decide(bad, PLAIN, was_live=False) == GiveUp("the certificate is not good: expired", "connect.tls")
    assert decide(bad, PLAIN, was_live=True) == Retry(bad.reason, None, "connect.tls")


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (ConnectFailed("refused", ConnectFault.REFUSED), "connect.refused"),
        (ConnectFailed("?"), "connect.failed"),
        (Answered(502), "http.502"),
        (Closed(None), "connection.broken"),
        (Closed(None, silence=Silence.NO_HEARTBEAT), "connection.no_heartbeat"),
        (Closed(1001), "runtime.shutting_down"),
        (Closed(1012), "close.1012"),
        (Closed(4508), "runtime.consumer_too_slow"),
        (Closed(1001, received("runtime.shutting_down")), "runtime.shutting_down"),
    ],
)
def test_every_disconnect_has_a_code(ending: Ending, code: str):
    decision = decide(ending, PLAIN, was_live=True)
    assert isinstance(decision, Retry)
    assert decision.code == code


@pytest.mark.parametrize(
    ("answer", "may"),
    [
        (Answered(400), True),
        (Answered(400, received("runtime.invalid_request")), True),
        (Answered(400, received("runtime.forbidden")), False),
        (Answered(426), False),
        (Answered(404), False),
    ],
)
def test_an_older_version_is_tried_when_the_request_was_not_understood(answer: Answered, may: bool):
    assert may_offer_less(answer) is may


@pytest.mark.parametrize("code", ["cursor_expired", "record_corrupt"])
def test_a_gap_ends_where_the_stream_goes_on(code: str):
    gap = gap_of(received(f"runtime.{code}", oldest_cursor="floor", resume_cursor="behind"))
    assert (gap.code, gap.cursor) == (f"runtime.{code}", "floor" if code == "cursor_expired" else "behind")


def test_a_function_is_asked_and_its_answer_is_taken():
    asking = ResumePolicy(on_expired=lambda gap: "oldest")
    decision = decide(Closed(4410), asking, was_live=True)
    assert isinstance(decision, AskCaller)
    assert behind_gap(decision.gap, "raise") == Refuse(decision.gap.diagnostic)
    assert behind_gap(decision.gap, "oldest") == RestartBehindGap(decision.gap, "runtime.cursor_expired")
    restart = behind_gap(decision.gap, ResumeAt("c9"))
    assert isinstance(restart, RestartBehindGap)
    assert restart.gap.cursor == "c9"


def test_damage_without_a_place_behind_it_is_refused_whatever_was_chosen():
    going_on = ResumePolicy(on_corrupt="gap")
    assert what(Closed(4413), going_on) == "Refuse"
    assert what(Closed(4413, received("runtime.record_corrupt", resume_cursor="c")), going_on) == "RestartBehindGap"
    assert what(Closed(4413, received("runtime.record_corrupt", resume_cursor="c"))) == "Refuse"


def test_damage_that_the_runtime_would_pass_by_itself_is_refused_and_not_met_again_and_again():
    decision = decide(
        Closed(None, received("runtime.record_corrupt", recovery="none", resume_cursor="c")), PLAIN, was_live=True
    )
    assert isinstance(decision, Refuse)
    assert decision.diagnostic["resume_cursor"] == "c"


def test_expired_is_raised_with_its_receipt_by_default():
    lost = {"events": 12, "exact": True}
    decision = decide(Closed(None, received("runtime.cursor_expired", lost=lost)), PLAIN, was_live=False)
    assert isinstance(decision, Refuse)
    assert decision.diagnostic["lost"] == lost


def test_expired_restarts_behind_the_gap_when_chosen():
    sent = diagnostic(
        DiagnosticCode.CURSOR_EXPIRED,
        "m",
        requested_cursor="old",
        oldest_cursor="floor",
        lost=Lost(events=12, exact=False),
    )
    decision = decide(answered(400, sent.frame(), None), FROM_OLDEST, was_live=False)
    assert isinstance(decision, RestartBehindGap)
    gap = decision.gap
    assert (gap.requested_cursor, gap.cursor) == ("old", "floor")
    assert gap.lost is not None
    assert (gap.lost.events, gap.lost.exact) == (12, False)
    assert gap.diagnostic["code"] == "runtime.cursor_expired"


def test_expired_follows_a_runtime_that_says_to_come_back():
    assert what(Closed(None, received("runtime.cursor_expired", recovery="reconnect")), FROM_OLDEST) == "Retry"


def test_expired_without_its_diagnostic_restarts_at_the_oldest():
    decision = decide(Closed(CloseCode.CURSOR_EXPIRED.value), FROM_OLDEST, was_live=True)
    assert isinstance(decision, RestartBehindGap)
    assert (decision.gap.requested_cursor, decision.gap.cursor, decision.gap.lost) == (None, None, None)


@pytest.mark.parametrize(
    "code", ["cursor_foreign", "cursor_ahead", "cursor_unknown", "cursor_malformed", "record_corrupt"]
)
def test_restarting_is_for_expiry_alone(code: str):
    assert what(Closed(None, received(f"runtime.{code}")), FROM_OLDEST) == "Refuse"


def test_the_wait_the_runtime_asks_for_is_passed_on():
    diagnosed = received("runtime.unavailable", retry_after_ms=1500)
    assert decide(Answered(503, diagnosed, 9000), PLAIN, was_live=False) == Retry(
        "runtime.unavailable", 1500, UNAVAILABLE
    )
    assert decide(Answered(503, received("runtime.unavailable"), 9000), PLAIN, was_live=False) == Retry(
        "runtime.unavailable", 9000, UNAVAILABLE
    )
    assert decide(Closed(None, diagnosed), PLAIN, was_live=False) == Retry("runtime.unavailable", 1500, UNAVAILABLE)


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (ConnectFailed("refused"), "refused"),
        (Answered(502), "HTTP 502"),
        (Closed(None), "the connection broke"),
        (Closed(1001), "closed with 1001"),
        (Closed(None, silence=Silence.NO_PONG), "no answer to a ping"),
        (Closed(1001, received("runtime.shutting_down")), "runtime.shutting_down"),
    ],
)
def test_the_reason_names_what_happened(ending: Ending, reason: str):
    decision = decide(ending, PLAIN, was_live=False)
    assert isinstance(decision, Retry)
    assert decision.reason == reason
    assert type(decision.reason) is str


def test_the_message_decides_nothing():
    for message in ("reconnect", "give_up", "the cursor expired", ""):
        assert (
            what(Closed(None, ReceivedDiagnostic.parse({"code": "runtime.forbidden", "message": message}))) == "Refuse"
        )


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Bad Gateway</html>", b"{}", b'{"kind":"event"}', b'{"kind":"hello"}', b'{"kind":"diagnostic"}', b"\xff",
     b"[" * 100_000],
)  # fmt: skip
def test_a_body_that_is_no_diagnostic_is_passed_over(body: bytes):
    assert answered(502, body, None) == Answered(502)


def test_a_body_beyond_all_measure_is_not_read():
    padded = {"kind": "diagnostic", "diagnostic": {"code": "runtime.unavailable", "message": "x" * 300_000}}
    assert answered(503, json.dumps(padded).encode(), None).diagnostic is None


@pytest.mark.parametrize(
    ("header", "milliseconds"),
    [("5", 5000), (" 0 ", 0), ("Fri, 31 Dec 1999 23:59:59 GMT", None), ("-1", None), ("1.5", None), ("", None),
     ("٣", None), ("9" * 5000, None), (None, None)],
)  # fmt: skip
def test_retry_after_is_read_in_seconds(header: str | None, milliseconds: int | None):
    assert answered(503, b"", header).retry_after_ms == milliseconds

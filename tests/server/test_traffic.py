from __future__ import annotations

from yoi_runtime.protocol.diagnostics import CODE_SPECS, DiagnosticCode
from yoi_runtime.protocol.stream_request import FromCursor, FromEventId, FromNow, FromOldest
from yoi_runtime.server.traffic import CONNECT_OUTCOMES, DISCONNECT_CODES, OTHER, Traffic, outcome_of_start


def test_names_are_of_closed_sets_whatever_is_counted():
    traffic = Traffic()
    for outcome in ("now", "cursor_expired", "x" * 1000, "/etc/passwd"):
        traffic.connected(outcome)
    for code in (1000, 4508, 3999, 4999, 65535):
        traffic.disconnected(code)
    assert set(traffic.connects) == set(CONNECT_OUTCOMES)
    assert (traffic.connects["now"], traffic.connects["cursor_expired"], traffic.connects["internal"]) == (1, 1, 2)
    assert set(traffic.disconnects) == {*DISCONNECT_CODES, OTHER}
    assert (traffic.disconnects["1000"], traffic.disconnects["4508"], traffic.disconnects[OTHER]) == (1, 1, 3)


def test_every_answer_to_a_cursor_and_every_close_code_of_ours_has_its_name():
    for code, spec in CODE_SPECS.items():
        if code.value.startswith("runtime.cursor_"):
            assert code.value.removeprefix("runtime.") in CONNECT_OUTCOMES
        if spec.close_code is not None:
            assert str(int(spec.close_code)) in DISCONNECT_CODES


def test_refusals_are_counted_by_code():
    traffic = Traffic()
    traffic.turned_away(DiagnosticCode.ORIGIN_REFUSED)
    assert traffic.refused["origin_refused"] == 1
    assert traffic.refused["worker_not_found"] == 0


def test_every_start_has_its_outcome():
    starts = (FromNow(), FromOldest(), FromCursor("c"), FromEventId("e"))
    outcomes = [outcome_of_start(start) for start in starts]
    assert len(set(outcomes)) == 4
    assert set(outcomes) <= set(CONNECT_OUTCOMES)

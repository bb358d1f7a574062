from __future__ import annotations

import pytest

from tests.conftest import ExpectLog
from yoi_runtime.server.limits import LimitCounters, RefusedBecause
from yoi_runtime.server.refusals import Refusals


def test_each_is_counted_and_a_line_comes_once_in_a_while(caplog: pytest.LogCaptureFixture, expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "because of flood: 1 since")
    expect_log("yoi_runtime.server", "because of flood: 1000 since")
    counters, now = LimitCounters(), 0.0
    refusals = Refusals(counters, lambda: now)
    for _ in range(1000):
        refusals.note(RefusedBecause.FLOOD)
    now = 10.0
    refusals.note(RefusedBecause.FLOOD)
    assert counters.refused == {RefusedBecause.FLOOD: 1001}
    assert len(caplog.records) == 2


def test_reasons_do_not_hide_each_other_and_a_peers_own_fault_is_no_warning(expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "because of descriptors: 1 since")
    counters = LimitCounters()
    refusals = Refusals(counters, lambda: 0.0)
    for reason in (RefusedBecause.BROWSER, RefusedBecause.UNAUTHENTICATED, RefusedBecause.DESCRIPTORS):
        refusals.note(reason)
    assert len(counters.refused) == 3

from __future__ import annotations

import asyncio

import pytest

from yoi_runtime.conformance.case import Case, load_cases
from yoi_runtime.conformance.deliveries import Deliveries, judge_deliveries

CASES = {case.name: case for case in load_cases()}
PLAIN = CASES["resume_after_drop"]


def found(case: Case, sent: dict[str, int], given: list[str]) -> list[tuple[str, str | None]]:
    return [(finding.level.value, finding.rule) for finding in judge_deliveries(case, sent, given)]


@pytest.mark.parametrize(
    ("sent", "given", "expected"),
    [
        ({"a": 1, "b": 1}, ["a", "b"], []),
        ({"a": 1, "b": 2}, ["a", "b"], []),
        ({}, [], []),
        ({"a": 1, "b": 1}, ["a"], [("MUST", None)]),
        ({"a": 1, "b": 1}, ["b", "a"], [("MUST", None)]),
        ({"a": 1}, ["a", "x"], [("MUST", None)]),
        ({"a": 1, "b": 1}, ["a", "b", "a"], [("MUST", "handed_over_once")]),
        ({"a": 2, "b": 1}, ["a", "a", "b"], [("SHOULD", None)]),
        ({"a": 1, "b": 1, "c": 1}, ["c", "a", "a"], [("MUST", None), ("MUST", None), ("MUST", "handed_over_once")]),
    ],
)
def test_what_was_handed_over_is_compared_with_what_was_sent(sent, given, expected):
    assert found(PLAIN, sent, given) == expected


def test_over_its_own_restart_a_client_may_hand_over_again():
    assert found(CASES["stores_after_handing_over"], {"a": 2}, ["a", "a"]) == []


def test_many_are_not_all_named():
    (finding,) = judge_deliveries(PLAIN, {f"e{n}": 1 for n in range(9)}, [])
    assert finding.seen == "never handed over: e0, e1, e2, e3, e4 and 4 more"


async def test_a_report_is_read_line_by_line():
    deliveries = Deliveries(reported=True)
    for line in ("a-1\r\n", "", "# a remark", "snapshot:wo1", "b-2"):
        deliveries.line(line)
    assert deliveries.event_ids == ["a-1", "b-2"]
    assert not deliveries.announced
    deliveries.line("! runtime.cursor_expired")
    assert deliveries.told == ["runtime.cursor_expired"]
    assert deliveries.announced


@pytest.mark.parametrize(("exit_code", "announced"), [(0, False), (1, True), (-15, True)])
async def test_a_program_that_fails_has_said_so(exit_code: int, announced: bool):
    deliveries = Deliveries(reported=True)
    deliveries.ended(exit_code)
    assert deliveries.is_gone
    assert deliveries.announced is announced


async def test_waiting_looks_whenever_the_report_has_grown():
    deliveries = Deliveries(reported=True)
    waiting = asyncio.create_task(deliveries.wait_for(lambda: deliveries.event_ids == ["a", "b"], 20))
    for event_id in ("a", "b"):
        await asyncio.sleep(0)
        deliveries.delivered(event_id)
    assert await waiting
    assert not await deliveries.wait_for(lambda: False, 0.001)

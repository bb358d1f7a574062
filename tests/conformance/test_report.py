from __future__ import annotations

import json

import pytest

from yoi_runtime.conformance.case import Level
from yoi_runtime.conformance.report import Report
from yoi_runtime.conformance.result import RULES, CaseResult, Finding
from yoi_runtime.protocol.versions import ProtocolVersion

PASSED = CaseResult("a", "A.", seconds=1.23456)
WARNED = CaseResult("b", "B.", (Finding(Level.SHOULD, "event", "this", "that"),))
FAILED = CaseResult("c", "C.", (Finding(Level.MUST, "event", "this", "that"),), trace=("story",))
SKIPPED = CaseResult("d", "D.", skipped="why")


@pytest.mark.parametrize(
    ("results", "conforms", "strictly"),
    [
        ([PASSED], True, True),
        ([PASSED, SKIPPED], True, True),
        ([PASSED, WARNED], True, False),
        ([PASSED, FAILED], False, False),
        ([SKIPPED], False, False),
        ([], False, False),
    ],
)
def test_a_run_conforms_when_something_was_played_and_no_must_was_broken(
    results: list[CaseResult], conforms: bool, strictly: bool
):
    report = Report.of(ProtocolVersion.V1, results)
    assert (report.conforms(), report.conforms(strict=True)) == (conforms, strictly)


def test_the_report_as_json_has_everything():
    report = json.loads(Report.of(ProtocolVersion.V0, [PASSED, WARNED, FAILED, SKIPPED]).as_json())
    assert report["counts"] == {"passed": 1 + len(RULES), "warned": 1, "failed": 1, "skipped": 1}
    assert (report["mode"], report["conforms"]) == ("v0", False)
    assert report["results"][0]["seconds"] == 1.235
    assert report["results"][2] == {
        "name": "c",
        "kind": "case",
        "says": "C.",
        "outcome": "failed",
        "skipped": None,
        "findings": [{"level": "MUST", "section": "event", "expected": "this", "seen": "that", "rule": None}],
        "trace": ["story"],
        "seconds": 0.0,
    }
    assert {result["kind"] for result in report["results"][4:]} == {"rule"}

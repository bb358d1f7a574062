from __future__ import annotations

import pytest

from yoi_runtime.conformance.case import Level
from yoi_runtime.conformance.result import RULES, CaseResult, Finding, Outcome, rule_results

MUST = Finding(Level.MUST, "event", "this", "that")
SHOULD = Finding(Level.SHOULD, "event", "this", "that")


@pytest.mark.parametrize(
    ("findings", "skipped", "outcome"),
    [
        ((), None, Outcome.PASSED),
        ((SHOULD,), None, Outcome.WARNED),
        ((SHOULD, MUST), None, Outcome.FAILED),
        ((), "why", Outcome.SKIPPED),
    ],
)
def test_findings_add_up_to_an_outcome(findings: tuple[Finding, ...], skipped: str | None, outcome: Outcome):
    result = CaseResult("a", "A.", findings, skipped)
    assert result.outcome is outcome
    assert result.passed is (not findings)


def test_a_finding_says_what_was_expected_what_was_seen_and_who_demands_it():
    assert MUST.sentence() == "MUST: expected this; seen: that (docs/protocol.md#event)"
    assert MUST.sentence() in CaseResult("a", "A.", (MUST,), trace=("first",)).explain()


def test_a_rule_that_is_broken_everywhere_is_told_once():
    broken = RULES["observation_only"].broken("observation_only", "no message", "one")
    results = [CaseResult("a", "A.", (broken, MUST)), CaseResult("b", "B.", (broken,)), CaseResult("c", "C.")]
    cases, rules = rule_results(results)
    assert [result.outcome for result in cases] == [Outcome.FAILED, Outcome.PASSED, Outcome.PASSED]
    assert {rule.name for rule in rules} == RULES.keys()
    (told,) = [rule for rule in rules if rule.findings]
    assert (told.name, told.findings, told.trace) == ("observation_only", (broken,), ("in a, b",))

"""What came of a case: its findings, and the verdict they add up to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from yoi_runtime.conformance.case import Level

__all__ = ["RULES", "CaseResult", "Finding", "Outcome", "Rule", "rule_results"]

PROTOCOL_DOCUMENT: Final = "docs/protocol.md"


class Outcome(StrEnum):
    """``warned``: only SHOULDs were not done. ``skipped``: the case does not concern this client; says why."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was not as it must or should be. ``rule``: one that holds in every case, None: of this case."""

    level: Level
    section: str
    expected: str
    seen: str
    rule: str | None = None

    def sentence(self) -> str:
        return f"{self.level}: expected {self.expected}; seen: {self.seen} ({PROTOCOL_DOCUMENT}#{self.section})"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What one case (or, as ``kind`` says, one rule over all cases) came to. ``trace`` tells the story."""

    name: str
    says: str
    findings: tuple[Finding, ...] = ()
    skipped: str | None = None
    trace: tuple[str, ...] = ()
    seconds: float = 0.0
    kind: str = field(default="case")

    @property
    def outcome(self) -> Outcome:
        if any(finding.level is Level.MUST for finding in self.findings):
            return Outcome.FAILED
        if self.skipped is not None:
            return Outcome.SKIPPED
        return Outcome.WARNED if self.findings else Outcome.PASSED

    @property
    def passed(self) -> bool:
        """Whether nothing was found at all, skipping included."""
        return not self.findings

    def explain(self) -> str:
        """Return findings and story as text, for a failing test's message."""
        lines = [f"{self.name}: {self.outcome}", *(f"  {finding.sentence()}" for finding in self.findings)]
        return "\n".join([*lines, *(f"    {line}" for line in self.trace)])

    def as_json(self) -> Mapping[str, object]:
        return {
            "name": self.name,
            "kind": self.kind,
            "says": self.says,
            "outcome": self.outcome.value,
            "skipped": self.skipped,
            "findings": [asdict(finding) for finding in self.findings],
            "trace": list(self.trace),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Rule:
    """A demand that holds on every connection, whatever is played."""

    level: Level
    section: str
    says: str

    def broken(self, name: str, expected: str, seen: str) -> Finding:
        return Finding(self.level, self.section, expected, seen, rule=name)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "request_form": Rule(
            Level.MUST, "connecting", "Path, parameters and subprotocol are right; no secret stands in the query."
        ),
        "not_a_browser": Rule(Level.MUST, "never-a-browser", "No Origin or Cookie header, no Sec-Fetch-Site but none."),
        "observation_only": Rule(Level.MUST, "runtimeobservation_only", "The client sends no messages."),
        "websocket_frames": Rule(Level.MUST, "connecting", "What the client sends is framed as RFC 6455 has it."),
        "close_handshake": Rule(Level.SHOULD, "close-codes", "A close frame is answered with a close frame."),
        "handed_over_once": Rule(Level.MUST, "event", "What was sent once is handed over once."),
    }
)


def rule_results(results: Iterable[CaseResult]) -> tuple[tuple[CaseResult, ...], tuple[CaseResult, ...]]:
    """Take the breaches of rules out of ``results`` and return what is left, and one result for each rule.

    A rule is broken in every case or in none, as a rule: told once, it does not bury the cases.
    """
    results = tuple(results)
    found: dict[str, list[Finding]] = {name: [] for name in RULES}
    where: dict[str, list[str]] = {name: [] for name in RULES}
    kept = []
    for result in results:
        own = tuple(finding for finding in result.findings if finding.rule is None)
        for finding in result.findings:
            if finding.rule is not None:
                found[finding.rule].append(finding)
                where[finding.rule].append(result.name)
        kept.append(
            CaseResult(result.name, result.says, own, result.skipped, result.trace, result.seconds, result.kind)
        )
    rules = []
    for name, rule in RULES.items():
        distinct = tuple(dict.fromkeys(found[name]))
        cases = ", ".join(dict.fromkeys(where[name]))
        rules.append(CaseResult(name, rule.says, distinct, None, (f"in {cases}",) if cases else (), kind="rule"))
    return tuple(kept), tuple(rules)

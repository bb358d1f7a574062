"""What a run of the kit came to: cases, rules, and one verdict. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from yoi_runtime.conformance.result import CaseResult, Outcome, rule_results
from yoi_runtime.protocol.versions import ProtocolVersion
from yoi_runtime.version import VERSION

__all__ = ["Report"]


@dataclass(frozen=True, slots=True)
class Report:
    """Results in the order of the cases, then those of the rules. Made by ``of``."""

    mode: ProtocolVersion
    cases: tuple[CaseResult, ...]
    rules: tuple[CaseResult, ...]

    @classmethod
    def of(cls, mode: ProtocolVersion, results: Iterable[CaseResult]) -> Report:
        cases, rules = rule_results(results)
        return cls(mode, cases, rules)

    @property
    def results(self) -> tuple[CaseResult, ...]:
        return (*self.cases, *self.rules)

    @property
    def counts(self) -> dict[str, int]:
        """How many results have which outcome, all four named."""
        found = Counter(result.outcome for result in self.results)
        return {outcome.value: found[outcome] for outcome in Outcome}

    @property
    def was_played(self) -> bool:
        """Whether any case concerned this client at all."""
        return any(result.skipped is None for result in self.cases)

    def conforms(self, *, strict: bool = False) -> bool:
        """Say whether every MUST was done; ``strict``: and every SHOULD."""
        bad = {Outcome.FAILED, Outcome.WARNED} if strict else {Outcome.FAILED}
        return self.was_played and not any(result.outcome in bad for result in self.results)

    def as_json(self) -> str:
        """Return the report as one JSON document. Its form: docs/conformance.md, "The report as JSON"."""
        report = {
            "kit": VERSION,
            "mode": self.mode.value,
            "conforms": self.conforms(),
            "counts": self.counts,
            "results": [result.as_json() for result in self.results],
        }
        return json.dumps(report, indent=2, ensure_ascii=False)

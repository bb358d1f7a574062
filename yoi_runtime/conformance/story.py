"""The story of one case while it is played: what was done and seen, and what of it was wrong."""

from __future__ import annotations

import time

from yoi_runtime.conformance.case import Case
from yoi_runtime.conformance.result import RULES, Finding

__all__ = ["OverError", "Story"]


class OverError(Exception):
    """What was found leaves nothing more to play. Never leaves the room."""


class Story:
    """Findings and lines, in the order in which they came."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._began_at_seconds = time.monotonic()
        self.findings: list[Finding] = []
        self.lines: list[str] = []

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began_at_seconds

    def say(self, line: str) -> None:
        self.lines.append(f"{self.seconds:7.3f} s  {line}")

    def find(self, expected: str, seen: str) -> None:
        """Note a breach of what this case is about."""
        self.findings.append(Finding(self._case.level, self._case.section, expected, seen))

    def break_rule(self, name: str, expected: str, seen: str) -> None:
        """Note a breach of a rule that holds in every case."""
        self.findings.append(RULES[name].broken(name, expected, seen))

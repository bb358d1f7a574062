"""The conformance kit: scripted Runtimes that show whether a Backend, in any language, keeps to the protocol.

    for case in load_cases():
        async with play(case) as stage:
            client = start_the_client(stage.url, stage.worker_id, stage.delivered, stage.told)
            result = await stage.result()
        assert result.passed, result.explain()

Opens no log and knows no other room's server or client: what it plays is bytes, right or wrong on purpose.
The same from the command line: ``yoi-runtime conformance``. Manual: docs/conformance.md.
"""

from __future__ import annotations

from yoi_runtime.conformance.case import Case, Level, load_cases, read_cases
from yoi_runtime.conformance.result import CaseResult, Finding, Outcome
from yoi_runtime.conformance.stage import Stage, play
from yoi_runtime.conformance.timing import Timing

__all__ = [
    "Case",
    "CaseResult",
    "Finding",
    "Level",
    "Outcome",
    "Stage",
    "Timing",
    "load_cases",
    "play",
    "read_cases",
]

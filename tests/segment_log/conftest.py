"""Says at the end how much was tried: a run that injected fewer faults than planned proves less than it seems to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

Exercised = Callable[[str, int], None]

_PREFIX = "exercised: "


@pytest.fixture
def exercised(request: pytest.FixtureRequest) -> Exercised:
    """Count what a test tried: ``exercised("calls failed", 120)``. Shown in the summary, also by parallel runs."""

    def count(what: str, number: int) -> None:
        request.node.user_properties.append((_PREFIX + what, number))

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts: dict[str, Counter[str]] = {}
    for report in terminalreporter.stats.get("passed", []):
        for what, number in report.user_properties:
            if what.startswith(_PREFIX):
                module = Path(report.nodeid.partition("::")[0]).stem.removeprefix("test_")
                counts.setdefault(module, Counter())[what.removeprefix(_PREFIX)] += number
    if counts:
        terminalreporter.section("exercised")
    for module, tally in sorted(counts.items()):
        text = ", ".join(f"{number} {what}" for what, number in tally.items())
        terminalreporter.write_line(f"{module}: {text}")

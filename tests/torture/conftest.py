"""Shows at the end what each suite exercised."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.torture.report import Budget, Report, Suite

_TORTURED = "tortured"
Torture = Callable[[Suite, int], Report]


@pytest.fixture
def torture(request: pytest.FixtureRequest) -> Torture:
    """Run a suite at its short size, and keep what it exercised for the summary (also that of parallel runs)."""

    def run(suite: Suite, seed: int) -> Report:
        report = suite(seed, Budget("short")).stop().finish()
        request.node.user_properties.append((_TORTURED, report.summary()))
        return report

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    properties = [pair for report in terminalreporter.stats.get("passed", []) for pair in report.user_properties]
    texts = [str(text) for name, text in properties if name == _TORTURED]
    if texts:
        terminalreporter.section("tortured")
    for text in sorted(texts):
        terminalreporter.write_line(text)

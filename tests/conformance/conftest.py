"""Says at the end which client was tried with how many cases: a run that skipped more than meant proves less."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Played = Callable[[str, dict[str, int]], None]

_PREFIX = "played: "


@pytest.fixture
def played(request: pytest.FixtureRequest) -> Played:
    """Note the counts of a report: ``played("our client, v0", report.counts)``. Shown in the summary."""

    def note(client: str, counts: dict[str, int]) -> None:
        request.node.user_properties.append((_PREFIX + client, ", ".join(f"{n} {what}" for what, n in counts.items())))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    properties = [pair for report in terminalreporter.stats.get("passed", []) for pair in report.user_properties]
    lines = sorted(f"{name.removeprefix(_PREFIX)}: {text}" for name, text in properties if name.startswith(_PREFIX))
    if lines:
        terminalreporter.section("conformance cases played")
    for line in lines:
        terminalreporter.write_line(line)

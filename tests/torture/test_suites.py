"""docs/invariants.md tells of the suites that there are, and of their sizes."""

from __future__ import annotations

import re

import pytest

from tests.codebase.tree import ROOT
from tests.torture import aliasing, fuzz, model, power, processes
from tests.torture.report import Goal
from tests.torture.suites import ENGINE_SUITES

ROWS = {
    row[0]: row[1]
    for row in re.findall(
        r"^\| `(\w+)` (\|.*)$", (ROOT / "docs" / "invariants.md").read_text("utf-8").partition("## ")[0], re.MULTILINE
    )
}


def test_every_suite_is_in_the_table():
    assert list(ROWS) == list(ENGINE_SUITES)


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("model", model._GOAL),
        ("power", power._GOAL),
        ("aliasing", aliasing._GOAL),
        ("fuzz", fuzz._GOAL),
        ("processes", processes._GOAL),
    ],
)
def test_the_sizes_in_the_table_are_those_that_are_due(name: str, goal: Goal):
    *_, small, large, _ = ROWS[name].split("|")
    assert f"{goal.small:,}" in small
    assert f"{goal.large:,}" in large
    assert goal.short < goal.small < goal.large
    if name == "model":
        assert f"{len(model._RULES)} rules" in ROWS[name]

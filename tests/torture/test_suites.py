"""docs/invariants.md tells of the suites that there are, and of their sizes."""

from __future__ import annotations

import re

import pytest

from tests.codebase.tree import ROOT
from tests.torture import aliasing, client, fuzz, ingest, model, power, processes
from tests.torture.report import Goal
from tests.torture.suites import ENGINE_SUITES, SUITES

TEXT = (ROOT / "docs" / "invariants.md").read_text("utf-8")
ROWS = {row[0]: row[1] for row in re.findall(r"^\| `(\w+)` (\|.*)$", TEXT.partition("## ")[0], re.MULTILINE)}


def test_every_suite_of_the_engine_is_in_the_table_and_the_others_beside_it():
    assert list(ROWS) == list(ENGINE_SUITES)
    assert len(ENGINE_SUITES) == 8
    assert "eight suites" in TEXT
    assert set(SUITES) - set(ENGINE_SUITES) == {"client", "ingest"}
    section = TEXT.partition("## The client\n")[2].partition("\n## ")[0]
    assert f"At least {client._KILLS.small:,} processes are killed when it is small, {client._KILLS.large:,}" in section
    section = TEXT.partition("## Local programs\n")[2].partition("\n## ")[0]
    goal, large = ingest._GOAL, ingest._ROUNDS["large"]
    assert f"At least {goal.small:,} lines when it is small, {goal.large:,} when it is large" in section
    assert f"{large.emits} `emit` at once" in section


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

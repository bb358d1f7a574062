"""docs/adapters.md says of every line what is tested, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from tests.codebase.tree import ROOT
from tests.workers.adapters import acp_cases, claude_code_cases, codex_cases, gemini_cases, opencode_cases
from tests.workers.adapters.mapping import Case
from yoi_runtime.events.vocabulary import EVENT_CLASSES
from yoi_runtime.workers.adapters import ADAPTER_NAMES

TEXT = (ROOT / "docs" / "adapters.md").read_text("utf-8")
CASES: dict[str, Sequence[Case]] = {
    "claude-code": claude_code_cases.CASES,
    "codex": codex_cases.CASES,
    "gemini": gemini_cases.CASES,
    "opencode": opencode_cases.CASES,
    "acp": acp_cases.CASES,
}


def documented(text: str, adapter: str) -> dict[str, set[str]]:
    """Return the table of an adapter: what each line becomes."""
    table = text.partition(f"<!-- mapping: {adapter} -->\n\n")[2].partition("\n\n")[0]
    rows = [re.split(r" *\| *", row.strip("| ")) for row in table.split("\n")[2:]]
    return {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in rows}


def covered(cases: Sequence[Case]) -> dict[str, set[str]]:
    """Return what the cases of each line are known to become."""
    rows: dict[str, set[str]] = {}
    for case in cases:
        rows.setdefault(case.row, set()).update(payload["event"] for payload in case.events)
    return rows


@pytest.mark.parametrize("adapter", CASES)
def test_what_is_documented_is_tested_and_what_is_tested_is_documented(adapter: str):
    table, cases = documented(TEXT, adapter), covered(CASES[adapter])
    assert len(table) >= 10, "the table was not found"
    assert table.keys() - cases.keys() == set(), "documented and not tested"
    assert cases.keys() - table.keys() == set(), "tested and not documented"
    assert table == cases


@pytest.mark.parametrize("adapter", CASES)
def test_the_tables_name_events_that_there_are(adapter: str):
    names = set().union(*documented(TEXT, adapter).values())
    assert names - EVENT_CLASSES.keys() == set()


def test_every_adapter_is_named_and_every_agent_has_a_table():
    assert [name for name in ADAPTER_NAMES if f"`{name}`" not in TEXT] == []
    assert set(re.findall(r"<!-- mapping: ([\w-]+) -->", TEXT)) == CASES.keys()
    assert CASES.keys() == set(ADAPTER_NAMES) - {"auto", "lines", "jsonl"}


def test_a_row_too_many_and_one_too_few_are_found():
    text = TEXT.replace("| `thread.started` |", "| `thread.begun` |")
    assert documented(text, "codex").keys() ^ covered(CASES["codex"]).keys() == {"thread.started", "thread.begun"}

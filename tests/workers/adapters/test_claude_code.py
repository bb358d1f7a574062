from __future__ import annotations

import pytest

from tests.workers.adapters.claude_code_cases import (
    CASES,
)
from tests.workers.adapters.mapping import NOW, Case, told
from yoi_runtime.workers.adapters.claude_code import ClaudeCodeAdapter


def adapter() -> ClaudeCodeAdapter:
    return ClaudeCodeAdapter(lambda: NOW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_a_line_becomes_what_the_table_says(case: Case):
    claude = adapter()
    told(claude, *case.before)
    assert told(claude, case.message) == case.events

from __future__ import annotations

import pytest

from tests.workers.adapters.gemini_cases import CASES
from tests.workers.adapters.mapping import NOW, Case, told
from yoi_runtime.workers.adapters.gemini import GeminiAdapter


def adapter() -> GeminiAdapter:
    return GeminiAdapter(lambda: NOW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_a_line_becomes_what_the_table_says(case: Case):
    agent = adapter()
    told(agent, *case.before)
    assert told(agent, case.message) == case.events

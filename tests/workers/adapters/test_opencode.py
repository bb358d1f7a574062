from __future__ import annotations

import pytest

from tests.workers.adapters.mapping import NOW, Case, told
from tests.workers.adapters.opencode_cases import CASES
from yoi_runtime.workers.adapters.opencode import OpencodeAdapter


def adapter() -> OpencodeAdapter:
    return OpencodeAdapter(lambda: NOW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_a_line_becomes_what_the_table_says(case: Case):
    agent = adapter()
    told(agent, *case.before)
    assert told(agent, case.message) == case.events

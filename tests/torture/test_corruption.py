from __future__ import annotations

from tests.torture.corruption import run
from tests.torture.report import Budget


def test_small():
    print(run(1, Budget.small()))

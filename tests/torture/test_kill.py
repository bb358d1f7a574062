"""Killed at every file operation, at the size of every test run."""

from __future__ import annotations

import pytest

from tests.torture.conftest import Torture
from tests.torture.kill import run


@pytest.mark.timeout(300)
def test_a_kill_at_any_operation_loses_nothing(torture: Torture):
    torture(run, 1)

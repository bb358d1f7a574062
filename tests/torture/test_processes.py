"""A writer that is killed, and those who follow it, at the size of every test run."""

from __future__ import annotations

import pytest

from tests.torture.conftest import Torture
from tests.torture.processes import run


@pytest.mark.timeout(300)
def test_whoever_follows_a_killed_writer_gets_its_log_without_a_gap(torture: Torture):
    torture(run, 1)

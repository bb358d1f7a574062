"""Damage of every kind, at the size of every test run."""

from __future__ import annotations

import pytest

from tests.torture.conftest import Torture
from tests.torture.corruption import run


@pytest.mark.timeout(300)
def test_every_record_is_delivered_whole_or_announced(torture: Torture):
    torture(run, 1)

"""Power loss at every file operation, at the size of every test run."""

from __future__ import annotations

import pytest

from tests.torture.conftest import Torture
from tests.torture.power import run


@pytest.mark.timeout(300)
def test_what_was_synced_survives_power_loss_at_any_call(torture: Torture):
    torture(run, 1)

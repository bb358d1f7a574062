"""Power loss at every file operation, at the size that every commit can bear."""

from __future__ import annotations

import pytest

from tests.torture.conftest import Torture
from tests.torture.power import run


# Seeds of their own, so that they can run beside each other.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_what_was_synced_survives_power_loss_at_any_call(torture: Torture, seed: int):
    torture(run, seed)

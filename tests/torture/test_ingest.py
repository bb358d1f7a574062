"""Programs that bring their Workers while everything is killed, at the size of every test run."""

from __future__ import annotations

import pytest

from tests.torture.conftest import Torture
from tests.torture.ingest import run


@pytest.mark.timeout(600)
def test_every_acknowledged_line_is_in_the_log_exactly_once(torture: Torture):
    torture(run, 1)

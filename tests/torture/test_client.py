"""Twelve clients while everything under them is killed, at the size that every commit can bear."""

from __future__ import annotations

import pytest

from tests.torture.client import run
from tests.torture.conftest import Torture


@pytest.mark.timeout(300)
def test_no_client_is_ever_lied_to(torture: Torture):
    torture(run, 1)

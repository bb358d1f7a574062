"""The whole engine against a plain list, at the size of every test run."""

from __future__ import annotations

import pytest

from tests.torture.conftest import Torture
from tests.torture.model import run


@pytest.mark.timeout(300)
def test_the_log_is_the_list_whatever_happens_to_it(torture: Torture):
    torture(run, 1)

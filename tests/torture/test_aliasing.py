"""Cursors into a lost past, at the size of every test run."""

from __future__ import annotations

import pytest

from tests.torture.aliasing import run
from tests.torture.conftest import Torture


@pytest.mark.timeout(300)
def test_no_cursor_ever_resumes_silently_at_a_wrong_place(torture: Torture):
    torture(run, 1)

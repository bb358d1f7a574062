"""Every call fails, in every way, at the size of every test run."""

from __future__ import annotations

import pytest

from tests.conftest import ExpectLog
from tests.torture.conftest import Torture
from tests.torture.errors import run


@pytest.mark.timeout(300)
def test_no_failing_call_loses_what_was_shown(torture: Torture, expect_log: ExpectLog):
    expect_log("yoi_runtime.event_log", "could not")
    torture(run, 1)

"""What the engine should not be fed, at the size of every test run."""

from __future__ import annotations

import pytest

from tests.torture.conftest import Torture
from tests.torture.fuzz import run


@pytest.mark.timeout(300)
def test_whatever_a_file_or_a_token_holds_the_answer_is_typed_and_in_time(torture: Torture):
    torture(run, 1)

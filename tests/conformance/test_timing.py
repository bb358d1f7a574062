from __future__ import annotations

import pytest

from yoi_runtime.conformance.timing import FAST_SCALE, Timing


def test_what_the_client_cannot_be_told_is_not_scaled():
    fast = Timing(scale=FAST_SCALE)
    assert fast.patience_seconds == Timing().patience_seconds
    assert fast.pong_seconds == 10.0
    assert fast.scaled_quiet_seconds == Timing().quiet_seconds / 4
    assert fast.told_ms(4000) == 1000


@pytest.mark.parametrize(("waited", "early"), [(0.9, True), (0.985, False), (1.0, False)])
def test_too_early_is_judged_by_what_was_told(waited: float, early: bool):
    assert Timing(scale=FAST_SCALE).is_too_early(waited, 4000) is early

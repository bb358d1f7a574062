from __future__ import annotations

import pytest

from yoi_runtime.transcript.options import MIN_BYTES, TranscriptOptions


def test_there_are_bounds_without_asking():
    options = TranscriptOptions()
    assert (options.max_items, options.max_bytes, options.max_total_bytes) == (10_000, 16 << 20, 1 << 30)


@pytest.mark.parametrize(
    "bounds", [{"max_items": 0}, {"max_bytes": MIN_BYTES - 1}, {"max_total_bytes": MIN_BYTES - 1}, {"max_items": -5}]
)
def test_bounds_that_would_keep_nothing_are_refused(bounds: dict[str, int]):
    with pytest.raises(ValueError):
        TranscriptOptions(**bounds)

"""yoi_runtime.runtime.options: what people set, and what the engine makes of it."""

from __future__ import annotations

import pytest

from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.writer import LogOptions

DAY_SECONDS = 86_400.0


def test_the_defaults_are_those_of_the_engine():
    options = RuntimeOptions()
    assert options.log == LogOptions()
    assert options.retention == RetentionPolicy()
    assert (options.segment_bytes, options.retain_bytes) == (16 << 20, 1 << 30)
    assert options.retain_age_seconds == 7 * DAY_SECONDS
    assert options.durability == "synced"
    assert not options.ingest


def test_what_is_set_reaches_the_engine():
    options = RuntimeOptions(
        segment_bytes=8192,
        retain_bytes=None,
        retain_age_seconds=60.0,
        retain_segments=3,
        durability="written",
        allow_network_filesystem=True,
    )
    assert options.log == LogOptions(segment_bytes=8192, durability="written", allow_network_filesystem=True)
    assert options.retention == RetentionPolicy(None, 60.0, 3)


def test_a_segment_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="segment_bytes is 100"):
        _ = RuntimeOptions(segment_bytes=100).log


@pytest.mark.parametrize(
    ("age_seconds", "interval_seconds"),
    [(None, 60.0), (7 * DAY_SECONDS, 60.0), (600.0, 60.0), (100.0, 10.0), (1.0, 0.1), (0.1, 0.1)],
)
def test_age_is_looked_at_ten_times_while_it_passes(age_seconds: float | None, interval_seconds: float):
    options = RuntimeOptions(retain_age_seconds=age_seconds)
    assert options.maintenance_interval_seconds == interval_seconds

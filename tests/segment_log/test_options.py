"""The engine's settings: what cannot work is refused before a log is made with it."""

from __future__ import annotations

import pytest

from yoi_runtime.segment_log.options import LogOptions


def test_the_defaults_are_the_documented_ones():
    assert LogOptions() == LogOptions(
        segment_bytes=16_777_216,
        durability="synced",
        max_record_bytes=262_144,
        max_unsynced_bytes=8_388_608,
        append_deadline_seconds=5.0,
        allow_network_filesystem=False,
    )


@pytest.mark.parametrize("segment_bytes", [-1, 0, 1, 4095])
def test_segments_too_small_for_a_header_and_a_record_are_refused(segment_bytes: int):
    with pytest.raises(ValueError, match="at least 4096"):
        LogOptions(segment_bytes=segment_bytes)
    assert LogOptions(segment_bytes=4096).segment_bytes == 4096


def test_records_longer_than_a_reader_would_look_for_are_refused():
    assert LogOptions(max_record_bytes=16 << 20).max_record_bytes == 16 << 20
    with pytest.raises(ValueError, match="max_record_bytes"):
        LogOptions(max_record_bytes=(16 << 20) + 1)

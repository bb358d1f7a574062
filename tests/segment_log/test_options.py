"""The engine's settings."""

from __future__ import annotations

import pytest

from yoi_runtime.segment_log.options import LogOptions


def test_the_defaults_are_those_of_the_design():
    options = LogOptions()
    assert options.segment_bytes == 16 * 1024 * 1024
    assert options.max_record_bytes == 256 * 1024
    assert options.max_unsynced_bytes == 8 * 1024 * 1024
    assert options.durability == "synced"
    assert not options.allow_network_filesystem


@pytest.mark.parametrize("size", [0, -1, 4095])
def test_a_segment_too_small_for_its_header_and_a_record_is_refused(size: int):
    with pytest.raises(ValueError, match=f"segment_bytes is {size}; at least 4096"):
        LogOptions(segment_bytes=size)

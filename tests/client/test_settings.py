from __future__ import annotations

import asyncio

from yoi_runtime.client.settings import ClientSettings


def test_a_half_open_connection_is_found_within_half_a_minute():
    settings = ClientSettings()
    assert settings.ping_interval_seconds + settings.ping_timeout_seconds <= 30


def test_every_frame_of_the_protocol_fits():
    assert ClientSettings().max_frame_bytes >= 1024 * 1024


def test_clock_and_chance_are_the_real_ones_by_default():
    settings = ClientSettings()
    assert 0 <= settings.random() < 1
    assert settings.monotonic_seconds() <= settings.monotonic_seconds()
    assert settings.sleep is asyncio.sleep

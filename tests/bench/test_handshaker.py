"""The driver of handshakes: all are made, and what refuses is an error and no handshake."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.server.serving import serving
from tools.bench.handshaker import Handshakes
from yoi_runtime.server.limits import Limits


async def test_as_many_are_open_as_were_asked_for_until_the_driver_is_told_to_go(tmp_path: Path):
    async with serving(tmp_path) as log:
        driver = Handshakes(port=log.server.port, path="/v1/events/ws", count=30, at_a_time=7)
        try:
            account = await asyncio.to_thread(driver.account)
            assert account["seconds"] > 0
            assert log.server.subscribers == 30
        finally:
            await asyncio.to_thread(driver.stop)


async def test_a_refusal_is_no_handshake(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "because of subscribers")
    async with serving(tmp_path, limits=Limits(subscribers=5)) as log:
        driver = Handshakes(port=log.server.port, path="/v1/events/ws", count=6, at_a_time=2)
        with pytest.raises(RuntimeError, match="refused"):
            await asyncio.to_thread(driver.account)

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.deadline import wait_until_async
from yoi_runtime.conformance.deliveries import Deliveries
from yoi_runtime.conformance.delivery_file import follow_file


async def test_a_file_is_followed_while_it_grows_and_half_a_line_waits(tmp_path: Path):
    path, deliveries = tmp_path / "given", Deliveries(reported=True)
    following = asyncio.create_task(follow_file(path, deliveries))
    try:
        path.write_text("a-1\nb-")
        await wait_until_async(lambda: deliveries.event_ids)
        assert deliveries.event_ids == ["a-1"]
        with path.open("a") as file:
            file.write("2\n! gap\n")
        await wait_until_async(lambda: deliveries.told)
        assert deliveries.event_ids == ["a-1", "b-2"]
    finally:
        following.cancel()

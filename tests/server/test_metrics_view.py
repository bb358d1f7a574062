from __future__ import annotations

from pathlib import Path

import prometheus_client

from tests.server.scraping import scrape
from tests.server.serving import serving


async def test_it_is_behind_the_same_guard_as_everything_else(tmp_path: Path):
    async with serving(tmp_path) as served:
        assert (await served.get("/metrics", headers={"Origin": "http://x"})).status == 403
        assert (await served.get("/metrics", headers={"Host": "evil.example"})).status == 403
        assert (await served.get("/metrics", method="POST")).status == 405
        head = await served.get("/metrics", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert "server" not in head.headers


async def test_two_servers_in_a_process_count_for_themselves_and_not_for_the_library(tmp_path: Path):
    async with serving(tmp_path / "a") as one, serving(tmp_path / "b") as two:
        await one.get("/v1/workers/nobody")
        first, second = await scrape(one.server.url), await scrape(two.server.url)
        assert first.total("yoi_requests_refused_total") == 1
        assert second.total("yoi_requests_refused_total") == 0
        assert b"yoi_" not in prometheus_client.generate_latest(prometheus_client.REGISTRY)

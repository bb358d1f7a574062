from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.server.scraping import scrape
from tests.server.serving import serving
from yoi_runtime.server.event_server import EventServer
from yoi_runtime.server.sibling_metrics import SiblingPlace


@pytest.fixture
def meeting() -> Iterator[Path]:
    """Return a directory with a short name: that of a Unix socket has about 100 characters."""
    with tempfile.TemporaryDirectory(prefix="yoi-") as directory:
        yield Path(directory)


async def test_whoever_is_asked_answers_for_all(tmp_path: Path, meeting: Path):
    async with serving(tmp_path, siblings=SiblingPlace(meeting, 0)) as served:
        other = await EventServer.start(tmp_path, "127.0.0.1", 0, siblings=SiblingPlace(meeting, 1))
        try:
            await served.get("/v1/workers/nobody")
            for url in (served.server.url, other.url):
                found = await scrape(url)
                assert found.total("yoi_ready", process="0") == found.total("yoi_ready", process="1") == 1
                assert found.total("yoi_requests_refused_total", process="0") == 1
                assert found.total("yoi_requests_refused_total", process="1") == 0
                assert found.families["yoi_requests_refused"].type == "counter"
                assert found.total("yoi_event_loop_delay_seconds_bucket", process="1", le="+Inf") >= 0
                assert {sample.labels["process"] for sample in found.samples} == {"0", "1"}
        finally:
            await other.stop()
        found = await scrape(served.server.url)
        assert {sample.labels["process"] for sample in found.samples} == {"0"}, "who has gone is missing"


async def test_a_sibling_that_hangs_is_missing_and_delays_nobody_for_long(
    tmp_path: Path, meeting: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("yoi_runtime.server.sibling_metrics._ANSWER_SECONDS", 0.2)
    over = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with serving(tmp_path, siblings=SiblingPlace(meeting, 0)) as served:
        hanging = await asyncio.start_unix_server(hang, meeting / "1.sock")
        (meeting / "2.sock").touch()  # left by one that was killed
        async with asyncio.timeout(10):
            found = await scrape(served.server.url)
        assert {sample.labels["process"] for sample in found.samples} == {"0"}
        over.set()
        hanging.close()


async def test_where_there_can_be_no_socket_it_is_said_and_the_rest_works(
    tmp_path: Path, meeting: Path, expect_log: ExpectLog
):
    expect_log("yoi_runtime.server", "server process 3 is missing in the others' metrics")
    long = meeting / ("x" * 100)
    long.mkdir()
    async with serving(tmp_path, siblings=SiblingPlace(long, 3)) as served:
        assert (await scrape(served.server.url)).total("yoi_ready", process="3") == 1

"""Every metric moves when its thing happens."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.runtime.ingest.peer import peer_of, text
from tests.server.raw_peer import RawPeer
from tests.server.scraping import Scraped, scrape
from tests.server.serving import EVERYTHING, SMALL, Serving, serving, stream_path
from tests.support.damage import damage
from tests.support.deadline import wait_until_async
from yoi_runtime.events import Status, TextDelta
from yoi_runtime.runtime.ingest.lines import RefusalCode
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.worker import Worker
from yoi_runtime.segment_log.platform import RealFileOps
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.limits import Limits, RefusedBecause
from yoi_runtime.server.metrics import METRIC_NAMES, ServerMetrics
from yoi_runtime.server.token_file import add_token
from yoi_runtime.transcript.kept_transcripts import KeptTranscripts


async def until(served: Serving, name: str, value: float, **labels: str) -> Scraped:
    """Return the scrape in which a sample has come to a value."""
    async with asyncio.timeout(20):
        while True:
            scraped = await scrape(served.server.url)
            if scraped.total(name, **labels) == value:
                return scraped


def _metrics(served: Serving) -> ServerMetrics:
    assert served.server._metrics is not None
    return served.server._metrics


def emit(worker: Worker, count: int, size: int = 1) -> str:
    return [worker.emit(TextDelta(text="x" * size)) for _ in range(count)][-1]


async def test_subscribers_connects_and_disconnects(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        cursor = emit(worker, 3)
        await served.shown(cursor)
        async with served.subscribed("a", cursor=cursor) as one:
            await one.snapshot()
            async with served.subscribed(None, **{"from": "oldest"}) as two:
                await two.frame()
                found = await scrape(served.server.url)
                assert found.total("yoi_subscribers", scope="worker", version="v0") == 1
                assert found.total("yoi_subscribers", scope="everything", version="v0") == 1
                assert found.total("yoi_connects_total", outcome="resumed") == 1
                assert found.total("yoi_connects_total", outcome="oldest") == 1
                assert found.total("yoi_event_loop_tasks") >= 4
        with await RawPeer.connect(served.server.url, f"{EVERYTHING}?cursor=nonsense") as bad:
            await bad.json()
        found = await until(served, "yoi_subscribers", 0)
        assert found.total("yoi_connects_total", outcome="cursor_malformed") == 1
        assert found.total("yoi_disconnects_total", code="4400") == 1
        assert found.total("yoi_disconnects_total", code="1000") == 2
        with await RawPeer.connect(served.server.url, EVERYTHING) as rude:
            await rude.json()
        await until(served, "yoi_disconnects_total", 1, code="1006")


async def test_delivered_filtered_and_bytes(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker, other = await served.worker("a"), await served.worker("b")
        before = await scrape(served.server.url)
        async with served.subscribed("a") as peer:
            await peer.snapshot()
            emit(other, 7)
            await served.shown(emit(worker, 5, 100))
            await peer.events(5)
            found = await until(served, "yoi_events_delivered_total", 5)
            assert found.total("yoi_events_filtered_total") - before.total("yoi_events_filtered_total") >= 7
            assert found.total("yoi_bytes_delivered_total") > 500
            assert found.total("yoi_events_appended_total") - before.total("yoi_events_appended_total") == 12


async def test_lag_of_a_peer_that_does_not_read(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        with await RawPeer.connect(served.server.url, EVERYTHING, receive_buffer=4096) as stalled:
            await stalled.json()
            await served.shown(emit(worker, 8000, 700))
            await wait_until_async(lambda: any(socket.is_writing() for socket in served.server._state.sockets))
            found = await scrape(served.server.url)
            assert found.total("yoi_lag_events_max") > 100
            assert found.total("yoi_lag_bytes_max") > 100_000
            assert found.total("yoi_lag_seconds_max") > 0
        await until(served, "yoi_lag_events_max", 0)


async def test_the_log_its_rotation_and_its_damage(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "damaged record")
    async with serving(tmp_path, SMALL) as served:
        worker = await served.worker("a")
        before = await scrape(served.server.url)
        assert before.total("yoi_segments_rotated_out_total") == 0
        served.rotate_out_all_before_now(worker)
        await served.shown(emit(worker, 1))
        await served.get("/v1/events/status")  # lists the segments anew
        found = await scrape(served.server.url)
        assert found.total("yoi_segments_rotated_out_total") >= 1
        assert found.total("yoi_log_segments") == len(served.segments())
        assert found.total("yoi_log_bytes") > 0
        assert found.total("yoi_log_events") < found.total("yoi_events_appended_total")
        assert 0 <= found.total("yoi_log_floor_age_seconds") < 600
        assert found.total("yoi_corrupt_records_total") == 0
        damage(served.segments()[0], lambda data: data.__setitem__(len(data) // 2, data[len(data) // 2] ^ 1))
        served.view._cache.clear()
        with (
            await RawPeer.connect(served.server.url, f"{EVERYTHING}?from=oldest") as peer,
            contextlib.suppress(EOFError),
        ):
            while (await peer.json())["kind"] == "event":
                continue
        await until(served, "yoi_corrupt_records_total", 1)


async def test_workers_by_status_and_outcome(tmp_path: Path):
    async with serving(tmp_path) as served:
        one, two = await served.worker("a"), await served.worker("b")
        await served.shown(one.emit(Status(status="running")))
        await until(served, "yoi_workers", 1, status="running")
        two.end("failed", 3)
        found = await until(served, "yoi_workers", 1, status="failed")
        assert found.total("yoi_workers") == 2


async def test_the_writer_s_latencies_and_what_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log: ExpectLog
):
    expect_log("yoi_runtime.runtime", "could not be written")
    runtime_options = RuntimeOptions(segment_bytes=1 << 20)
    async with serving(tmp_path, runtime_options) as plain:
        found = await scrape(plain.server.url)
        assert "yoi_append_seconds" not in found.families, "a server that writes nothing has no such figures"
        assert found.total("yoi_info", role="reader") == 1
        _metrics(plain)._figures = plain.runtime.figures
        worker = await plain.worker("a")
        await plain.shown(emit(worker, 640))
        found = await scrape(plain.server.url)
        assert found.total("yoi_info", role="writer") == 1
        assert found.total("yoi_append_seconds_count") == 10
        assert found.total("yoi_append_seconds_bucket", le="+Inf") == 10
        assert found.total("yoi_sync_seconds_count") >= 1
        assert found.total("yoi_log_writable") == 1

        def fail(_: RealFileOps, __: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(RealFileOps, "fdatasync", fail)
        emit(worker, 1)
        found = await until(plain, "yoi_log_writable", 0)
        assert found.total("yoi_unsynced_bytes") > 0
        monkeypatch.undo()
        with contextlib.suppress(Exception):
            plain.runtime.close()


async def test_readiness_refusals_loop_and_process(tmp_path: Path):
    async with serving(tmp_path) as served:
        refused = (await scrape(served.server.url)).total("yoi_requests_refused_total", code="worker_not_found")
        assert (await served.get("/v1/workers/nobody")).status == 404
        assert (await served.get("/v1/workers", headers={"Origin": "http://x"})).status == 403
        await wait_until_async(lambda: served.server._state.watch.delays.count >= 2)
        found = await scrape(served.server.url)
        assert found.total("yoi_requests_refused_total", code="worker_not_found") == refused + 1
        assert found.total("yoi_requests_refused_total", code="origin_refused") == 1
        assert found.total("yoi_event_loop_delay_seconds_count") >= 2
        assert found.total("process_resident_memory_bytes") > 1 << 20
        assert found.total("process_open_fds") > 5
        assert (found.total("yoi_ready"), found.total("yoi_log_followed")) == (1, 1)
        served.server.refuse()
        assert (await served.get("/readyz")).status == 503
        assert (await scrape(served.server.url)).total("yoi_ready") == 0


async def test_what_is_counted_against_the_limits(tmp_path: Path):
    tokens = tmp_path / "tokens.json"
    everything, _ = add_token(tokens, label="", workers=(), expires_at=None)
    some, _ = add_token(tokens, label="", workers=("a",), expires_at=None)
    access, limits = ServerAccess(token_file=tokens), Limits(subscribers=7)
    async with serving(tmp_path / "data", access=access, limits=limits) as served:
        bearer = {"Authorization": f"Bearer {everything}"}
        assert (await served.get("/metrics")).status == 401
        assert (await served.get("/metrics", headers={"Authorization": f"Bearer {some}"})).status == 403
        host, port = served.server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))):
            await wait_until_async(lambda: served.server.counters.unfinished == 1)
            found = Scraped((await served.get("/metrics", headers=bearer)).body.decode())
        assert found.total("yoi_connections_unfinished") == 1
        assert found.total("yoi_connections") >= 2, "the one that asks is a connection, too"
        assert found.total("yoi_subscribers_allowed") == 7
        assert found.total("yoi_refused_total", reason="unauthenticated") == 1
        assert found.total("yoi_refused_total", reason="forbidden") == 1
        assert found.total("yoi_refused_total") == 2
        reasons = {sample.labels["reason"] for sample in found.samples if sample.name == "yoi_refused_total"}
        assert reasons == {reason.value for reason in RefusedBecause}


async def test_restarts_and_local_programs(tmp_path: Path):
    async with serving(tmp_path, RuntimeOptions(segment_bytes=1 << 20, ingest=True)) as served:
        found = await scrape(served.server.url)
        assert not [name for name in found.families if name.startswith(("yoi_ingest", "yoi_worker_", "yoi_workers_"))]
        _metrics(served)._workers = counts = served.runtime.worker_counts
        found = await scrape(served.server.url)
        codes = {sample.labels["code"] for sample in found.samples if sample.name == "yoi_ingest_refused_total"}
        assert codes == {code.value for code in RefusalCode}
        assert found.total("yoi_ingest_refused_total") == 0
        counts.restarts, counts.given_up = 5, 2
        with peer_of(tmp_path) as peer:
            peer.hello()
            peer.ask(text(1, "a"), text(2, "b"), text(2, "b"), {"text": 1}, {"nothing": 1})
            found = await scrape(served.server.url)
            peer.ask({"kind": "end"})
        assert found.total("yoi_ingest_connections") == 1
        assert found.total("yoi_ingest_waiting") == 0
        assert found.total("yoi_ingest_events_total", outcome="accepted") == 2
        assert found.total("yoi_ingest_events_total", outcome="repeated") == 1
        assert found.total("yoi_ingest_refused_total", code="event_invalid") == 1
        assert found.total("yoi_ingest_refused_total", code="line_invalid") == 1
        assert found.total("yoi_ingest_refused_total") == 2
        assert found.total("yoi_worker_restarts_total") == 5
        assert found.total("yoi_workers_given_up_total") == 2
        await until(served, "yoi_ingest_connections", 0)


async def test_how_far_the_transcripts_are_behind(tmp_path: Path):
    async with serving(tmp_path) as served:
        assert "yoi_transcript_lag_events" not in (await scrape(served.server.url)).families
        kept = KeptTranscripts(tmp_path, served.runtime.log_directory)
        try:
            served.server._state.transcripts = kept.reader
            worker = await served.worker("a")
            await served.shown(emit(worker, 5))
            async with asyncio.timeout(20):
                while (found := await scrape(served.server.url)).families.get("yoi_transcript_lag_events") is None:
                    continue
            await until(served, "yoi_transcript_lag_events", 0)
            assert kept.reader.as_of_seq(served.runtime.log_id) == found.total("yoi_events_appended_total")
        finally:
            await kept.stop()


async def test_every_name_is_there_and_no_label_says_who(tmp_path: Path):
    async with serving(tmp_path) as served:
        _metrics(served)._figures = served.runtime.figures
        _metrics(served)._workers = served.runtime.worker_counts
        for number in range(50):
            await served.worker(f"worker-{number}")
        with contextlib.ExitStack() as peers:
            for number in range(20):
                path = stream_path(f"worker-{number}")
                await peers.enter_context(await RawPeer.connect(served.server.url, path)).json()
            found = await scrape(served.server.url)
        names = {name.removesuffix("_total") for name in METRIC_NAMES} - {"yoi_transcript_lag_events"}
        assert names <= set(found.families)
        assert {name for name in found.families if name.startswith("yoi_")} <= names
        series = [sample for sample in found.samples if sample.name.startswith("yoi_")]
        assert len(series) < 200
        values = {value for sample in series for key, value in sample.labels.items() if key not in ("le", "version")}
        assert [value for value in values if not re.fullmatch(r"[a-z_]+|\d{4}", value)] == []

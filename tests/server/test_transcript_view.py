from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ExpectLog
from tests.server.serving import SMALL, Answer, Serving, rotate_out_all_before_now, serving
from tests.server.test_http_views import HOSTILE_IDS
from tests.support.deadline import wait_until_async
from tests.transcript.stories import event_of_line, fold_lines
from yoi_runtime.events import Status, TextDelta, TextDone, ThinkingDelta, ThinkingDone, ToolCallDone, ToolResult
from yoi_runtime.protocol.paths import worker_transcript_path
from yoi_runtime.protocol.transcript_fold import TranscriptFold
from yoi_runtime.protocol.transcript_items import TranscriptAnswer
from yoi_runtime.protocol.transcript_query import TranscriptPage, TranscriptQuery
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.worker import Worker
from yoi_runtime.server.event_server import EventServer
from yoi_runtime.server.log_view import LogView
from yoi_runtime.transcript.kept_transcripts import KeptTranscripts
from yoi_runtime.transcript.options import TranscriptOptions
from yoi_runtime.transcript.reader import TranscriptReader

USUAL = RuntimeOptions(segment_bytes=1 << 20)
PATH = worker_transcript_path("a")


@asynccontextmanager
async def transcribing(
    data_dir: Path, options: RuntimeOptions = USUAL, bounds: TranscriptOptions | None = None
) -> AsyncIterator[Serving]:
    """Open a Runtime, its server, and the transcripts between them, as the command line does."""
    transcripts: list[KeptTranscripts] = []

    class Later:
        """The reader, which is there once the Runtime is."""

        def page(self, *arguments: Any) -> TranscriptPage:
            return transcripts[0].reader.page(*arguments)

    async with serving(data_dir, options, transcripts=Later()) as served:
        transcripts.append(KeptTranscripts(data_dir, served.runtime.log_directory, bounds))
        try:
            yield served
        finally:
            await transcripts[0].stop()


async def folded(served: Serving, worker_id: str, worker_seq: int) -> Answer:
    """Return the first answer in which so many of a Worker's events are folded."""
    async with asyncio.timeout(20):
        while True:
            answer = await served.get(worker_transcript_path(worker_id))
            if answer.status == 200 and answer.json["worker_seq"] >= worker_seq:
                return answer


def record(envelope: dict[str, Any]) -> bytes:
    return json.dumps({"kind": "event", "envelope": envelope}).encode()


async def test_a_page_is_as_it_is_specified(tmp_path: Path):
    async with transcribing(tmp_path) as served:
        worker = await served.worker("a")
        worker.emit(TextDone(text="hello"))
        worker.emit(ThinkingDone(text="hm"))
        worker.emit(ToolCallDone(id="1", name="sh", arguments="{}"))
        worker.emit(ToolResult(id="1", summary="ok", output="out"))
        cursor = worker.emit(TextDelta(text="and th"))
        answer = await folded(served, "a", 5)
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "server" not in answer.headers
        assert list(answer.json) == list(TranscriptAnswer.model_fields)
        page = TranscriptAnswer.model_validate(answer.json)
        assert (page.worker_id, page.start, page.limit, page.thinking) == ("a", 0, 100, False)
        assert (page.total_items, page.oldest_start, page.next_start) == (4, 0, 4)
        assert [item.kind for item in page.items] == ["text", "tool_call", "tool_result"]
        assert [block.data for block in page.in_progress] == [{"text": "and th"}]
        assert page.as_of_cursor == cursor
        everything = TranscriptAnswer.model_validate((await served.get(f"{PATH}?thinking=1")).json)
        assert [item.index for item in everything.items] == [0, 1, 2, 3]


async def test_polling_and_then_streaming_is_everything_over_the_wire(tmp_path: Path):
    async with transcribing(tmp_path, replace(SMALL, retain_segments=12)) as served:
        worker, noisy = await served.worker("a"), await served.worker("noisy")
        lines: list[bytes] = []
        async with served.subscribed("a", **{"from": "oldest"}) as whole:
            await whole.snapshot()
            for number in range(40):
                worker.emit(TextDelta(text=f"{number}") if number % 4 else TextDone(text=f"{number}"))
            answer = await folded(served, "a", 40)
            lines += [record(await whole.event()) for _ in range(40)]
            # What was folded is gone from the log; the cursor is good all the same.
            rotate_out_all_before_now(served.runtime, noisy)
            items: list[Any] = []
            page = TranscriptAnswer.model_validate((await served.get(f"{PATH}?limit=3")).json)
            items += page.items
            while page.next_start < answer.json["total_items"]:
                start = page.next_start
                page = TranscriptAnswer.model_validate((await served.get(f"{PATH}?start={start}&limit=3")).json)
                items += page.items
            fold = TranscriptFold.resume(page)
            async with served.subscribed("a", cursor=page.as_of_cursor) as peer:
                await peer.snapshot()
                for text in ("x", "y"):
                    worker.emit(TextDelta(text=text))
                worker.emit(TextDone(text="end"))
                for _ in range(3):
                    lines.append(record(await peer.event()))
                    items += fold.apply(event_of_line(lines[-1])[1])
        assert items == fold_lines(lines).items["a"]
        assert items[-1].data == {"text": "end"}


async def test_an_unchanged_transcript_costs_a_304_and_a_changed_one_does_not(tmp_path: Path):
    async with transcribing(tmp_path) as served:
        worker, other = await served.worker("a"), await served.worker("b")
        worker.emit(TextDone(text="1"))
        first = await folded(served, "a", 1)
        etag = first.headers["etag"]
        assert etag.startswith('"')
        for given in (etag, f'"x", {etag}', f"W/{etag}", "*"):
            same = await served.get(PATH, headers={"If-None-Match": given})
            assert (same.status, same.body, same.headers["etag"]) == (304, b"", etag)
            assert "content-type" not in same.headers
        assert (await served.get(PATH, headers={"If-None-Match": '"x"'})).body == first.body
        # Another page is another answer, and others may say what they like.
        assert (await served.get(f"{PATH}?limit=1", headers={"If-None-Match": etag})).status == 200
        other.emit(TextDone(text="2"))
        await folded(served, "b", 1)
        assert (await served.get(PATH, headers={"If-None-Match": etag})).status == 304
        worker.emit(Status(status="running"))
        changed = await folded(served, "a", 2)
        assert changed.headers["etag"] != etag
        assert (await served.get(PATH, headers={"If-None-Match": etag})).body == changed.body


async def test_a_thousand_items_come_in_one_page(tmp_path: Path):
    async with transcribing(tmp_path) as served:
        worker = await served.worker("a")
        for number in range(2500):
            worker.emit(TextDone(text=f"{number}"))
        await folded(served, "a", 2500)
        seen: list[str] = []
        start, pages = 0, 0
        while start < 2500:
            answer = (await served.get(f"{PATH}?start={start}&limit=1000")).json
            seen += [item["data"]["text"] for item in answer["items"]]
            start, pages = answer["next_start"], pages + 1
        assert seen == [f"{number}" for number in range(2500)]
        assert pages == 3


async def test_items_that_are_gone_are_410_with_where_to_go_on(tmp_path: Path):
    async with transcribing(tmp_path, bounds=TranscriptOptions(max_items=10)) as served:
        worker = await served.worker("a")
        for number in range(30):
            worker.emit(TextDone(text=f"{number}"))
        await folded(served, "a", 30)
        answer = await served.get(f"{PATH}?start=19")
        assert answer.status == 410
        problem = answer.json["diagnostic"]
        assert (problem["code"], problem["recovery"], problem["retryable"]) == (
            "runtime.items_expired",
            "restart_from_oldest",
            False,
        )
        assert (problem["worker_id"], problem["oldest_start"]) == ("a", 20)
        kept = (await served.get(f"{PATH}?start={problem['oldest_start']}")).json
        assert [item["index"] for item in kept["items"]] == list(range(20, 30))
        assert (await served.get(PATH)).json["items"] == kept["items"]


async def test_a_worker_that_has_said_nothing_has_an_empty_transcript(tmp_path: Path):
    async with transcribing(tmp_path) as served:
        worker = await served.worker("a")
        answer = (await folded(served, "a", 0)).json
        assert (answer["items"], answer["total_items"], answer["next_start"]) == ([], 0, 0)
        cursor = worker.emit(TextDone(text="1"))
        async with served.subscribed("a", cursor=answer["as_of_cursor"]) as peer:
            await peer.snapshot()
            assert (await peer.event())["cursor"] == cursor


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=",
        "limit",
        "start=-1",
        "start=1.5",
        "start=%00",
        "start=%ff",
        "start=99999999999999999999",
        "thinking=maybe",
        "start=1&start=2",
        "cursor=wo1x",
        "from=oldest",
        "%f0=1",
    ],
)
async def test_a_bad_parameter_is_400_and_named(tmp_path: Path, query: str):
    async with transcribing(tmp_path) as served:
        (await served.worker("a")).emit(TextDone(text="1"))
        answer = await served.get(f"{PATH}?{query}")
        assert answer.status == 400
        assert answer.json["diagnostic"]["code"] == "runtime.invalid_request"
        assert "parameter" in answer.json["diagnostic"]["message"]


async def test_who_asks_for_what_is_judged_as_by_its_siblings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with transcribing(tmp_path) as served:
        answer = await served.get(worker_transcript_path("nobody"))
        assert (answer.status, answer.headers["retry-after"]) == (404, "1")
        assert answer.json["diagnostic"]["code"] == "runtime.worker_not_found"
        for worker_id in HOSTILE_IDS:
            answer = await served.get(f"/v1/workers/{worker_id}/transcript")
            assert (answer.status, answer.json["diagnostic"]["code"]) == (400, "runtime.invalid_request")
        refused = await served.get(PATH, headers={"Origin": "http://127.0.0.1"})
        assert (refused.status, refused.json["diagnostic"]["code"]) == (403, "runtime.origin_refused")
        assert (await served.get(PATH, method="POST")).status == 405
        monkeypatch.setattr(LogView, "_reopen", lambda view: asyncio.sleep(0))
        served.view._caught_up = False
        answer = await served.get(PATH)
        assert (answer.status, answer.json["diagnostic"]["code"]) == (503, "runtime.unavailable")
        served.view._caught_up = True


async def test_head_is_get_without_the_body(tmp_path: Path):
    async with transcribing(tmp_path) as served:
        (await served.worker("a")).emit(ThinkingDelta(text="1"))
        get = await folded(served, "a", 1)
        head = await served.get(PATH, method="HEAD")
        assert (head.status, head.body, head.headers["etag"]) == (200, b"", get.headers["etag"])
        assert head.headers["content-length"] == str(len(get.body))
        assert (await served.get(PATH, method="HEAD", headers={"If-None-Match": head.headers["etag"]})).status == 304


async def test_a_server_without_transcripts_says_so(tmp_path: Path):
    async with serving(tmp_path) as served:
        await served.worker("a")
        answer = await served.get(PATH)
        assert (answer.status, answer.json["diagnostic"]["code"]) == (404, "runtime.invalid_request")
        assert "transcripts" in answer.json["diagnostic"]["message"]


async def test_transcripts_that_cannot_be_read_are_503_and_tell_no_path(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.transcript", "no transcripts are kept here")
    async with serving(tmp_path, transcripts=TranscriptReader(tmp_path)) as served:
        await served.worker("a")
        answer = await served.get(PATH)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.json["diagnostic"]["code"] == "runtime.unavailable"
        assert str(tmp_path) not in answer.body.decode()
        assert "etag" not in answer.headers


async def test_a_slow_disk_does_not_hold_the_streams(tmp_path: Path):
    entered, leave = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow:
        """A source that answers when it is told to."""

        def page(
            self, log_id: str, worker_id: str, query: TranscriptQuery, is_known: Callable[[str], bool]
        ) -> TranscriptPage:
            loop.call_soon_threadsafe(entered.set)
            asyncio.run_coroutine_threadsafe(leave.wait(), loop).result(20)
            return TranscriptPage('"x"', b"{}")

    async with serving(tmp_path, transcripts=Slow()) as served:
        worker = await served.worker("a")
        asking = asyncio.create_task(served.get(PATH))
        await entered.wait()
        async with served.subscribed("a") as peer:
            await peer.snapshot()
            cursor = worker.emit(TextDelta(text="x"))
            assert (await peer.event())["cursor"] == cursor
        assert not asking.done()
        leave.set()
        assert (await asking).body == b"{}"


def emit_texts(worker: Worker, count: int) -> None:
    for number in range(count):
        worker.emit(TextDone(text=f"{number}"))


async def test_a_server_beside_another_process_answers_the_same(tmp_path: Path):
    async with transcribing(tmp_path) as served:
        emit_texts(await served.worker("a"), 5)
        expected = await folded(served, "a", 5)
        reader = TranscriptReader(tmp_path)
        async with _reading(tmp_path, reader) as other:
            await wait_until_async(lambda: other._state.view.worker("a") is not None)
            beside = Serving(served.runtime, other)
            answer = await beside.get(PATH)
            assert (answer.body, answer.headers["etag"]) == (expected.body, expected.headers["etag"])
        reader.close()


@asynccontextmanager
async def _reading(data_dir: Path, reader: TranscriptReader) -> AsyncIterator[Any]:
    server = await EventServer.start(data_dir, "127.0.0.1", 0, transcripts=reader)
    try:
        yield server
    finally:
        await server.stop()

from __future__ import annotations

from typing import Any

import pytest

from tests.client.client_tasks import client_tasks
from tests.client.scripted_runtime import FakeTime, Refusal, ScriptedRuntime, event, hello, problem
from tests.client.transcript_server import page, transcripts
from yoi_runtime.client.follow_transcript import TranscriptStream, _http_url, follow_transcript, transcript_event
from yoi_runtime.client.stream_event import StreamEvent, event_of_line
from yoi_runtime.errors import (
    FrameInvalidError,
    RequestInvalidError,
    StreamConnectError,
    StreamFrameError,
    StreamGapError,
    StreamRefusedError,
)
from yoi_runtime.protocol.diagnostics import DiagnosticCode
from yoi_runtime.protocol.transcript_items import TranscriptItem


def follow(url: str, **options: Any) -> TranscriptStream:
    return follow_transcript(url, "a", **{"settings": FakeTime().settings()} | options)


async def polled(*answers: tuple[int, bytes], **options: Any) -> tuple[list[int], str, list[str]]:
    """Return the items' numbers, the cursor, and the queries by which they were asked for."""
    async with transcripts(*answers) as (url, asked):
        try:
            items, fold = await follow(url, **options)._polled()
        finally:
            assert client_tasks() == set()
        return [item.index for item in items], fold.as_of_cursor, [handler.request.query for handler in asked]


async def test_items_come_first_and_then_the_events_behind_them():
    """Over one port: the transcript is answered by the scripted Runtime's own HTTP answers."""
    first = page([0, 1], "c2")[1]
    async with ScriptedRuntime(Refusal(200, first), [hello("c2"), event(3)], version="yoi.events.v1") as runtime:
        async with follow(runtime.url, token="s3cret") as stream:
            items = [await anext(stream) for _ in range(2)]
            assert [item.data["text"] for item in items if isinstance(item, TranscriptItem)] == ["0", "1"]
            found = await anext(stream)
            assert isinstance(found, StreamEvent)
            folded = transcript_event(found)
            assert folded == ("text_delta", {"text": "text 3"}, "e3", "c3", 3, "2026-01-02T03:04:05.000006Z")
        assert [asked.path for asked in runtime.asked] == ["/v1/workers/a/transcript", "/v1/workers/a/events/ws"]
        assert runtime.queries[1] == {"cursor": "c2"}
        assert {asked.headers["Authorization"] for asked in runtime.asked} == {"Bearer s3cret"}


async def test_the_cursor_passes_no_item_that_was_not_dealt_with():
    """It lies behind all items: stored with one of them still to be taken, it would lose that one."""
    answers = Refusal(200, page([0, 1], "c2")[1]), [hello("c2"), event(3)]
    async with ScriptedRuntime(*answers, version="yoi.events.v1") as runtime, follow(runtime.url) as stream:
        assert stream.cursor is None
        await anext(stream)
        stream.ack()
        assert stream.cursor is None
        await anext(stream)
        assert stream.cursor is None
        stream.ack()
        assert stream.cursor == "c2"
        await anext(stream)
        assert stream.cursor == "c2"
        stream.ack()
        assert stream.cursor == "c3"


async def test_in_batches_the_items_are_the_first():
    answers = Refusal(200, page([0, 1], "c2")[1]), [hello("c2"), event(3)]
    async with ScriptedRuntime(*answers, version="yoi.events.v1") as runtime, follow(runtime.url) as stream:
        batches = stream.batches()
        assert len(await anext(batches)) == 2
        assert stream.cursor is None
        assert len(await anext(batches)) == 1
        assert stream.cursor == "c2"


async def test_a_hole_between_transcript_and_stream_is_found():
    answers = Refusal(200, page([0, 1], "c2")[1]), [hello("c2"), event(4)]
    async with ScriptedRuntime(*answers, version="yoi.events.v1") as runtime, follow(runtime.url) as stream:
        assert all([isinstance(await anext(stream), TranscriptItem) for _ in range(2)])
        with pytest.raises(StreamGapError) as caught:
            await anext(stream)
    assert (caught.value.expected, caught.value.got) == (3, 4)


async def test_pages_of_different_moments_are_put_together():
    """Items never change; where the stream goes on is what the last page says."""
    items, cursor, queries = await polled(page([0, 1], "c5", 5), page([2, 5], "c6", 7), page([6], "c7"))
    assert (items, cursor) == ([0, 1, 2, 5, 6], "c7")
    assert queries == ["limit=1000", "start=2&limit=1000", "start=6&limit=1000"]


async def test_when_the_next_page_is_not_kept_any_more_it_begins_anew():
    gone = (410, problem(DiagnosticCode.ITEMS_EXPIRED, oldest_start=9).frame())
    items, cursor, queries = await polled(page([0, 1], "c5", 30), gone, page([9, 10], "c6"))
    assert (items, cursor) == ([9, 10], "c6")
    assert queries == ["limit=1000", "start=2&limit=1000", "limit=1000"]
    with pytest.raises(StreamConnectError) as caught:
        await polled(*[page([0], "c5", 30), gone] * 20)
    assert caught.value.code == "transcript.moving"


async def test_what_a_newer_runtime_says_is_passed_over():
    strange = [
        {"index": 0, "kind": "dream"},
        {"index": 1, "kind": "error", "worker_seq": 2, "time": "t", "data": {}, "x": 1},
    ]
    blocks = [
        {"kind": "dream"},
        {"kind": "text", "event_id": "e", "worker_seq": 3, "time": "t", "started_at": "t", "data": {"text": "so"}},
    ]
    async with transcripts(page([0, 1], "c3", items=strange, in_progress=blocks)) as (url, _):
        items, fold = await follow(url)._polled()
    assert [(item.index, item.kind) for item in items] == [(1, "error")]
    assert [(block.kind, block.data) for block in fold.in_progress()] == [("text", {"text": "so"})]


def test_an_event_that_bears_no_number_cannot_be_folded():
    found = event_of_line(event(3, worker_seq=None))
    assert found is not None
    with pytest.raises(FrameInvalidError, match="worker_seq"):
        transcript_event(found)


async def test_thinking_is_asked_for_on_request():
    _, _, queries = await polled(page([], "c"), thinking=True)
    assert queries == ["limit=1000&thinking=1"]


async def test_a_runtime_that_is_away_is_waited_for_and_so_is_a_worker_when_asked():
    missing = (404, problem(DiagnosticCode.WORKER_NOT_FOUND).frame())
    time = FakeTime()
    _, cursor, _ = await polled((503, b""), missing, page([], "c1"), wait_for_worker=True, settings=time.settings())
    assert cursor == "c1"
    assert len(time.waits_seconds) == 2
    with pytest.raises(StreamRefusedError, match="worker_not_found"):
        await polled(missing)
    with pytest.raises(StreamConnectError, match=r"HTTP 503 \(try 2 of 2\)"):
        await polled((503, b""), (503, b""), settings=FakeTime().settings(max_tries=2))


@pytest.mark.parametrize(
    ("body", "place"),
    [(b"{", "transcript, "), (b"{}", "items"), (page([], "")[1], "as_of_cursor"), (page([0], "c", items=[1])[1], r"items\[0\]"),
     (page([], "c", total=7)[1], "next_start"), (page([], "c", items=[{"kind": "text"}])[1], "index"),
     (page([], "c", in_progress=[{"kind": "text"}])[1], "event_id")],
)  # fmt: skip
async def test_what_is_no_transcript_is_told(body: bytes, place: str):
    with pytest.raises(StreamFrameError, match=place):
        await polled((200, body))


@pytest.mark.parametrize("option", ["cursor", "cursor_store", "start"])
def test_where_to_begin_is_not_the_callers_to_say(option: str):
    with pytest.raises(RequestInvalidError) as caught:
        follow("http://h", **{option: None})
    assert caught.value.parameter == option


def test_the_address_is_that_of_the_worker_under_whatever_path():
    assert _http_url("ws://h:1/proxied/", "a") == "http://h:1/proxied/v1/workers/a/transcript"
    assert _http_url("https://h", "a") == "https://h/v1/workers/a/transcript"

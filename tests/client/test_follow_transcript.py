from __future__ import annotations

from typing import Any

import pytest

from tests.client.client_tasks import client_tasks
from tests.client.scripted_runtime import FakeTime, Refusal, ScriptedRuntime, event, hello, problem
from tests.client.transcript_server import page, transcripts
from yoi_runtime.client.follow_transcript import TranscriptItem, TranscriptStream, _http_url, follow_transcript
from yoi_runtime.errors import RequestInvalidError, StreamConnectError, StreamFrameError, StreamRefusedError
from yoi_runtime.protocol.diagnostics import DiagnosticCode


def follow(url: str, **options: Any) -> TranscriptStream:
    return follow_transcript(url, "a", **{"settings": FakeTime().settings()} | options)


async def polled(*answers: tuple[int, bytes], **options: Any) -> tuple[list[TranscriptItem], str, list[str]]:
    """Return the items, the cursor, and the queries by which they were asked for."""
    async with transcripts(*answers) as (url, asked):
        try:
            items, cursor = await follow(url, **options)._polled()
        finally:
            assert client_tasks() == set()
        return items, cursor, [handler.request.query for handler in asked]


async def test_items_come_first_and_then_the_events_behind_them():
    """Over one port: the transcript is answered by the scripted Runtime's own HTTP answers."""
    first = page([{"n": 1}, {"n": 2}], "c2")[1]
    async with ScriptedRuntime(Refusal(200, first), [hello("c2"), event(3)], version="yoi.events.v1") as runtime:
        async with follow(runtime.url, token="s3cret") as stream:
            assert stream.cursor == "c2"
            items = [await anext(stream) for _ in range(3)]
            assert items[:2] == [TranscriptItem(0, {"n": 1}), TranscriptItem(1, {"n": 2})]
            assert stream.cursor == "c2"
            stream.ack()
            assert stream.cursor == "c3"
        assert [asked.path for asked in runtime.asked] == ["/v1/workers/a/transcript", "/v1/workers/a/events/ws"]
        assert runtime.queries[1] == {"cursor": "c2"}
        assert {asked.headers["Authorization"] for asked in runtime.asked} == {"Bearer s3cret"}


async def test_pages_of_one_moment_are_put_together():
    items, cursor, queries = await polled(page([{"n": 1}, {"n": 2}], "c5", 2), page([{"n": 3}], "c5"))
    assert (items, cursor) == ([TranscriptItem(n, {"n": n + 1}) for n in range(3)], "c5")
    assert queries == ["start=0&limit=1000", "start=2&limit=1000"]


async def test_pages_of_different_moments_are_read_anew():
    items, cursor, _ = await polled(
        page([{"n": 1}], "c5", 1), page([{"n": 2}], "c6"), page([{"n": 10}], "c7", 1), page([{"n": 20}], "c7")
    )
    assert ([item.data["n"] for item in items], cursor) == ([10, 20], "c7")


async def test_a_transcript_that_never_stands_still_is_told():
    moving = [page([{}], f"c{n}", 1 if n % 2 else None) for n in range(1, 50)]
    with pytest.raises(StreamConnectError) as caught:
        await polled(*moving)
    assert caught.value.code == "transcript.moving"


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
    [(b"{", "transcript, "), (b"{}", "items"), (b'{"items":[1],"as_of_cursor":"c"}', "items.0"),
     (b'{"items":[],"as_of_cursor":""}', "as_of_cursor"), (page([{}], "c", 7)[1], "next_start"), (page([], "c", 0)[1], "next_start")],
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

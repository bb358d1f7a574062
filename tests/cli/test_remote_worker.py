"""The client's side, against real Runtimes that come and go, and against one that plays what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.event_log.quick_files import QuickFiles
from tests.event_log.written_events import check_numbers, envelopes_in
from tests.faults.small_disk import SmallDisk
from tests.runtime.ingest.test_connection import LISTENING, ends_in, keys_in, runs_in, said_by, texts_of
from tests.runtime.sample_runtime import open_runtime
from tests.support.deadline import wait_until_async
from yoi_runtime.cli.remote_worker import MOST_HELD_EVENTS, RemoteWorker
from yoi_runtime.errors import EventInvalidError, IngestLostError, IngestRefusedError, RecordTooLargeError
from yoi_runtime.events import Alert, TextDone, UnknownEvent
from yoi_runtime.runtime.ingest.runtime_socket import listen


def texts(*numbers: int) -> list[TextDone]:
    return [TextDone(text=str(number)) for number in numbers]


@asynccontextmanager
async def opened(
    data_dir: Path, *, durable: bool = False, patience_seconds: float | None = 30.0, tell: Callable[[str], None] = print
) -> AsyncIterator[RemoteWorker]:
    remote = RemoteWorker(data_dir, "coder", durable=durable, patience_seconds=patience_seconds, tell=tell)
    try:
        await remote.open()
        yield remote
    finally:
        await remote.close()


async def emit_all(remote: RemoteWorker, events: list[TextDone]) -> None:
    while events:
        await remote.ready()
        events = events[remote.emit_many(events) :]


@pytest.mark.parametrize("durable", [False, True])
async def test_what_is_emitted_is_in_the_log_once_the_end_returns(tmp_path: Path, durable: bool):
    with open_runtime(tmp_path, LISTENING):
        async with opened(tmp_path, durable=durable) as remote:
            await emit_all(remote, texts(*range(3_000)))
            assert remote.emit(TextDone(text="last")) == ""
            await remote.end("failed", 3)
            assert remote.unacknowledged == 0
            assert remote.refusals == (0, "")
    assert texts_of(tmp_path) == [*map(str, range(3_000)), "last"]
    assert ends_in(tmp_path) == [("failed", 3)]
    keys = keys_in(tmp_path)
    assert len(keys) == len(set(keys)) == 3_001


async def test_without_an_end_the_worker_has_crashed(tmp_path: Path):
    with open_runtime(tmp_path, LISTENING) as runtime:
        async with opened(tmp_path) as remote:
            remote.emit_many(texts(1))
            await wait_until_async(lambda: remote.unacknowledged == 0)
        await wait_until_async(lambda: not runtime.running_workers())
    assert ends_in(tmp_path) == [("crashed", None)]


@pytest.mark.parametrize("kind", ["closed", "abandoned"])
async def test_a_runtime_that_comes_back_gets_what_it_missed_once(tmp_path: Path, kind: str):
    """``abandoned``: closed behind the client's back, after it had written and before it could say so."""
    told: list[str] = []
    runtime = open_runtime(tmp_path, LISTENING)
    async with opened(tmp_path, tell=told.append) as remote:
        for begin in range(0, 1_000, 250):
            await emit_all(remote, texts(*range(begin, begin + 250)))
            if kind == "closed":
                await wait_until_async(lambda: remote.unacknowledged == 0)
            await asyncio.to_thread(runtime.close)
            await wait_until_async(lambda: "away" in "".join(told[-1:]))
            runtime = open_runtime(tmp_path, LISTENING)
            await wait_until_async(lambda: "is back" in told[-1])
        await emit_all(remote, texts(1_000))
        await remote.end("completed")
    runtime.close()
    assert texts_of(tmp_path) == [*map(str, range(1_001))]
    check_numbers(envelopes_in(tmp_path / "log"))
    # Each new Runtime finds it away: a stream ends when it does not come back soon.
    assert [outcome for outcome, _ in ends_in(tmp_path)] == ["cancelled", "lost"] * 4 + ["completed"]
    print(told)  # noqa: T201  shown by -rA


async def test_while_the_runtime_is_away_the_source_is_held_back(tmp_path: Path):
    told: list[str] = []
    runtime = open_runtime(tmp_path, LISTENING)
    async with opened(tmp_path, tell=told.append) as remote:
        await asyncio.to_thread(runtime.close)
        await wait_until_async(lambda: bool(told))
        events = texts(*range(MOST_HELD_EVENTS + 100))
        assert remote.emit_many(events) == MOST_HELD_EVENTS
        assert remote.emit_many(events[MOST_HELD_EVENTS:]) == 0
        waiting = asyncio.create_task(remote.ready())
        await asyncio.sleep(0)
        assert not waiting.done()
        with open_runtime(tmp_path, LISTENING):
            await waiting
            await emit_all(remote, events[MOST_HELD_EVENTS:])
            await remote.end("completed")
    assert texts_of(tmp_path) == [event.text for event in events]


async def test_a_full_disk_holds_the_source_back(tmp_path: Path):
    disk = SmallDisk(1 << 20, QuickFiles())
    with open_runtime(tmp_path, LISTENING, disk):
        async with opened(tmp_path) as remote:
            disk.room_bytes = 0
            events = texts(*range(MOST_HELD_EVENTS + 1))
            assert remote.emit_many(events) == MOST_HELD_EVENTS
            await wait_until_async(lambda: disk.refused > 2)
            assert remote.emit_many(events[MOST_HELD_EVENTS:]) == 0
            disk.room_bytes = 4 << 20
            await emit_all(remote, events[MOST_HELD_EVENTS:])
            await remote.end("completed")
    assert texts_of(tmp_path) == [event.text for event in events]


async def test_a_runtime_that_stays_away_is_given_up(tmp_path: Path):
    runtime = open_runtime(tmp_path, LISTENING)
    async with opened(tmp_path, patience_seconds=0.2) as remote:
        await asyncio.to_thread(runtime.close)
        remote.emit_many(texts(1, 2))
        with pytest.raises(IngestLostError, match="start one with yoi-runtime serve") as caught:
            await remote.end("completed")
        assert caught.value.unsent == 3
        for call in (lambda: remote.emit(TextDone(text="x")), lambda: remote.emit_many(texts(1))):
            with pytest.raises(IngestLostError):
                call()
        with pytest.raises(IngestLostError):
            await remote.ready()


async def test_nobody_listens(tmp_path: Path):
    remote = RemoteWorker(tmp_path, "coder")
    with pytest.raises(IngestLostError, match=r"no Runtime listens at .*runtime\.sock"):
        await remote.open()
    await remote.close()


async def test_a_runtime_that_starts_a_little_later_is_waited_for(tmp_path: Path):
    remote = RemoteWorker(tmp_path, "coder")
    opening = asyncio.create_task(remote.open(patience_seconds=30))
    await asyncio.sleep(0)
    with open_runtime(tmp_path, LISTENING):
        await opening
        await remote.end("completed")
        await remote.close()


async def test_a_worker_that_runs_is_not_opened_twice(tmp_path: Path):
    with open_runtime(tmp_path, LISTENING) as runtime, runtime.create_worker("coder"):
        remote = RemoteWorker(tmp_path, "coder")
        with pytest.raises(IngestRefusedError) as caught:
            await remote.open(patience_seconds=30)
        assert caught.value.code == "worker_running"


async def test_who_is_turned_away_before_he_says_a_word_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refused = b'{"kind":"error","code":"too_many_connections","message":"256 programs","fatal":true}\n'
    with listen(tmp_path) as listener:
        loop = asyncio.get_running_loop()
        sends = loop.sock_sendall

        async def close_first(connection: socket.socket, data: bytes) -> None:
            other, _ = listener.accept()
            with other:
                other.sendall(refused)
            await sends(connection, data)

        monkeypatch.setattr(loop, "sock_sendall", close_first)
        with pytest.raises(IngestRefusedError) as caught:
            await RemoteWorker(tmp_path, "coder").open(patience_seconds=30)
    assert caught.value.code == "too_many_connections"


async def test_events_that_can_never_be_taken_are_the_callers_to_tell(tmp_path: Path):
    with open_runtime(tmp_path, LISTENING):
        async with opened(tmp_path) as remote:
            with pytest.raises(EventInvalidError):
                remote.emit_many([*texts(1), TextDone(text="\ud800")])
            with pytest.raises(RecordTooLargeError):
                remote.emit(UnknownEvent(name="own", data=list(range(300_000))))
            remote.emit(TextDone(text="x" * 3_000_000))
            await remote.end("completed")
    text, alert, second = said_by(tmp_path)
    assert isinstance(text, TextDone)
    assert 200_000 < len(text.text) < 262_144
    # Cut here for the line, and there for the record.
    assert isinstance(alert, Alert)
    assert isinstance(second, Alert)


async def test_what_the_runtime_refuses_is_counted(tmp_path: Path):
    with open_runtime(tmp_path, LISTENING):
        async with opened(tmp_path) as remote:
            remote.emit(UnknownEvent(name="own", data=list(range(60_000))))
            remote.emit(TextDone(text="a"))
            await remote.end("completed")
            count, first = remote.refusals
    assert count == 1
    assert first.endswith("(event_too_large)")
    assert texts_of(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", IngestRefusedError),
        (b"[]\n", IngestRefusedError),
        (b'{"kind":"error","code":"protocol_unknown","message":"no","fatal":true}\n', IngestRefusedError),
        (b"", IngestLostError),
    ],
)
async def test_something_else_that_listens_there_is_told_apart(tmp_path: Path, answer: bytes, error: type[Exception]):
    with listen(tmp_path) as listener:
        answering = asyncio.create_task(answer_all(listener, answer))
        remote = RemoteWorker(tmp_path, "coder")
        with pytest.raises(error):
            await remote.open(patience_seconds=0.1)
        answering.cancel()


async def answer_all(listener: socket.socket, answer: bytes) -> None:
    loop = asyncio.get_running_loop()
    while True:
        connection, _ = await loop.sock_accept(listener)
        with connection, contextlib.suppress(OSError):
            connection.setblocking(False)
            await loop.sock_recv(connection, 1000)
            await loop.sock_sendall(connection, answer)


async def test_an_answer_that_was_lost_is_asked_for_again(tmp_path: Path):
    """A Runtime that takes lines and dies before it answers: all of them come again, with their keys, in their order."""
    heard: list[list[dict[str, object]]] = []
    loop = asyncio.get_running_loop()

    async def play(listener: socket.socket) -> None:
        for lives in range(3):
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            rest, lines = b"", list[dict[str, object]]()
            heard.append(lines)
            with connection:
                while data := await loop.sock_recv(connection, 1 << 16):
                    *whole, rest = (rest + data).split(b"\n")
                    lines += map(json.loads, whole)
                    if len(lines) == len(whole):
                        await loop.sock_sendall(connection, b'{"kind":"hello"}\n')
                    if len(lines) > 3 and lives < 2:
                        break
                    if lives == 2 and lines[-1].get("kind") == "end":
                        await loop.sock_sendall(
                            connection, b'{"kind":"ack","line":2,"cursor":"wo1"}\n' * (len(lines) - 1)
                        )

    with listen(tmp_path) as listener:
        playing = asyncio.create_task(play(listener))
        async with opened(tmp_path) as remote:
            remote.emit_many(texts(1, 2, 3))
            await wait_until_async(lambda: len(heard) == 3)
            await remote.end("completed")
        await playing
    said = [[line["key"] for line in lines if "key" in line] for lines in heard]
    assert said[0] == said[1] == said[2]
    assert len(set(said[0])) == 3


class HeldFiles(QuickFiles):
    """Syncs wait until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()

    def fdatasync(self, fd: int) -> None:
        assert self.go.wait(60)


@pytest.mark.parametrize("was_written", [True, False])
async def test_an_end_that_was_not_answered_is_said_again_and_ends_the_same_run(tmp_path: Path, was_written: bool):
    """Before the Runtime stops it has written the end, and cannot say so; or it has heard of none of the last lines."""
    files, told = HeldFiles(), list[str]()
    # A roll would wait for the sync.
    runtime = open_runtime(tmp_path, replace(LISTENING, segment_bytes=1 << 20), files)
    async with opened(tmp_path, durable=True, tell=told.append) as remote:
        await emit_all(remote, texts(*range(100)))
        await wait_until_async(lambda: remote.unacknowledged == 0)
        if was_written:
            files.go.clear()
            await emit_all(remote, texts(*range(100, 200)))
            ending = asyncio.create_task(remote.end("failed", 3))
            # In the file, and shown to nobody.
            segment = min((tmp_path / "log").glob("*.jsonl"))
            await wait_until_async(lambda: b'"event":"worker_ended"' in segment.read_bytes())
            assert remote.unacknowledged == 101
        stopping = asyncio.create_task(asyncio.to_thread(runtime.close))
        await wait_until_async(lambda: bool(told))
        files.go.set()
        await stopping
        if not was_written:
            ending = asyncio.create_task(remote.end("failed", 3))
            await asyncio.sleep(0)
        with open_runtime(tmp_path, LISTENING):
            await ending
            assert remote.unacknowledged == 0
    assert texts_of(tmp_path) == [*map(str, range(200 if was_written else 100))]
    assert ends_in(tmp_path) == [*([] if was_written else [("cancelled", None), ("lost", None)]), ("failed", 3)]
    assert runs_in(tmp_path) == [1]
    check_numbers(envelopes_in(tmp_path / "log"))


async def test_what_comes_after_a_runtime_went_and_before_the_end_is_another_run(tmp_path: Path):
    told = list[str]()
    runtime = open_runtime(tmp_path, LISTENING)
    async with opened(tmp_path, tell=told.append) as remote:
        await asyncio.to_thread(runtime.close)
        await wait_until_async(lambda: bool(told))
        await emit_all(remote, texts(1))
        ending = asyncio.create_task(remote.end("completed"))
        await asyncio.sleep(0)
        with open_runtime(tmp_path, LISTENING):
            await ending
    assert texts_of(tmp_path) == ["1"]
    assert runs_in(tmp_path) == [1, 2]

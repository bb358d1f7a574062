from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from tests.server.serving import Answer, http_get
from tests.support.deadline import wait_until_async
from yoi_runtime.cli.options import Address
from yoi_runtime.cli.served_runtime import ServedRuntime, ServeOptions
from yoi_runtime.cli.server_file import SERVER_FILE, ServerInfo, read_server_file
from yoi_runtime.errors import LogHeldError
from yoi_runtime.events import TextDone
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.transcript.options import TranscriptOptions

LOCALLY = Address("127.0.0.1", 0)


async def test_it_is_announced_while_it_serves(tmp_path: Path):
    served = await ServedRuntime.start(ServeOptions(tmp_path, LOCALLY))
    try:
        assert read_server_file(tmp_path) == ServerInfo(served.url, os.getpid(), served.runtime.log_id)
        assert served.description == f"serving {served.url} (log {served.runtime.log_id}, data {tmp_path})"
        with socket.create_connection(("127.0.0.1", served.server.port)):
            pass
    finally:
        await served.stop("test")
    assert not (tmp_path / SERVER_FILE).exists()
    Runtime.open(tmp_path).close()


async def test_the_server_goes_and_comes_back_at_the_same_address(tmp_path: Path):
    served = await ServedRuntime.start(ServeOptions(tmp_path, LOCALLY))
    try:
        url = served.url
        await served.stop_server()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", served.server.port))
        await served.start_server()
        assert served.url == url
    finally:
        await served.stop("test")


async def test_a_server_that_comes_back_keeps_as_much_in_memory_as_the_one_before(tmp_path: Path):
    served = await ServedRuntime.start(ServeOptions(tmp_path, LOCALLY, cache_bytes=0))
    try:
        for _ in range(2):
            with served.runtime.create_worker("a") as worker:
                cursor = worker.emit(TextDone(text="x"))
            await served.runtime.durable(cursor)
            view = served.server._state.view
            await wait_until_async(lambda view=view: view.end >= served.runtime._log._writer.end)  # type: ignore[misc]
            assert view.read(view.floor()) is not None
            assert len(view._cache) == 0
            await served.stop_server()
            await served.start_server()
    finally:
        await served.stop("test")


async def test_transcripts_are_kept_and_answered_unless_they_are_switched_off(tmp_path: Path):
    for transcripts, status in ((TranscriptOptions(), 200), (None, 404)):
        served = await ServedRuntime.start(ServeOptions(tmp_path, LOCALLY, transcripts=transcripts))
        try:
            if transcripts is not None:
                # The same transcripts behind a server that went and came back.
                await served.stop_server()
                await served.start_server()
            with served.runtime.create_worker("a") as worker:
                worker.emit(TextDone(text="x"))
            answer = await transcript_of(served.url)
            assert answer.status == status
        finally:
            await served.stop("test")
    assert (tmp_path / "transcript" / "transcript.db").exists()
    assert not (tmp_path / "transcript" / "transcript.db-wal").exists()


async def transcript_of(url: str) -> Answer:
    """Return the transcript of Worker a as soon as there is one, or that there is none."""
    async with asyncio.timeout(20):
        while True:
            answer = await asyncio.to_thread(http_get, url, "/v1/workers/a/transcript")
            if answer.status == 200 and answer.json["total_items"]:
                return answer
            if answer.status == 404 and answer.json["diagnostic"]["code"] == "runtime.invalid_request":
                return answer


async def test_a_held_log_leaves_nothing_open_and_nothing_announced(tmp_path: Path):
    with Runtime.open(tmp_path), pytest.raises(LogHeldError):
        await ServedRuntime.start(ServeOptions(tmp_path, LOCALLY))
    assert not (tmp_path / SERVER_FILE).exists()


# The loser of a bind is left to the collector by Tornado's bind_sockets.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_port_in_use_leaves_the_log_free(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        await ServedRuntime.start(ServeOptions(tmp_path, Address("127.0.0.1", taken.getsockname()[1])))
    assert not (tmp_path / SERVER_FILE).exists()
    Runtime.open(tmp_path).close()


async def test_an_announcement_that_fails_takes_everything_down(tmp_path: Path):
    (tmp_path / SERVER_FILE).mkdir()
    with pytest.raises(OSError):
        await ServedRuntime.start(ServeOptions(tmp_path, LOCALLY))
    Runtime.open(tmp_path).close()


async def test_whatever_keeps_it_from_listening_to_this_machine_leaves_the_log_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refuse(error: Exception) -> None:
        def listen(_: Runtime) -> None:
            raise error

        monkeypatch.setattr(Runtime, "listen", listen)

    refuse(RuntimeError("can't start new thread"))
    with pytest.raises(RuntimeError, match="new thread"):
        await ServedRuntime.start(ServeOptions(tmp_path, LOCALLY))
    refuse(OSError(95, "Operation not supported"))
    served = await ServedRuntime.start(ServeOptions(tmp_path, LOCALLY))
    await served.stop("test")
    assert "cannot bring Workers: Operation not supported" in capsys.readouterr().err

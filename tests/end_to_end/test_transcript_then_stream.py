"""follow_transcript against the real thing: `yoi-runtime serve`, a transcript of several pages, a Worker that goes on
talking meanwhile, rotation, a restart. Folding all of it is what the Runtime itself folded.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.real_program import Program, python_command, server_url, start_program
from yoi_runtime.client.follow_transcript import TranscriptStream, follow_transcript, transcript_event
from yoi_runtime.client.stream_event import StreamEvent
from yoi_runtime.protocol.transcript_fold import TranscriptFold
from yoi_runtime.protocol.transcript_items import TranscriptItem

# Says as many rounds as each line of its FIFO asks for. Most of its tool calls are never done: the fold cuts them off.
TALKER = """
import itertools, json, os, sys
def say(event, **data):
    print(json.dumps({"event": event, "data": data}), flush=False)
counter = itertools.count(int(sys.argv[2]))
with open(sys.argv[1]) as orders:
    while order := orders.readline():
        for n in itertools.islice(counter, int(order)):
            say("text_delta", text=f"{n} ")
            say("thinking_delta", text=f"hm {n}")
            say("thinking_done", text=f"hm {n}")
            say("tool_call_start", id=f"c{n}", name="t")
            if n % 3 == 0:
                say("tool_call_done", id=f"c{n}", name="t", arguments="{}")
            say("text_done", text=f"{n} is said")
        sys.stdout.flush()
"""
BACKLOG = 1500
PORTION = 150
SECOND_RUN = 1_000_000
SMALL = ("--segment-bytes", "64KiB", "--retain-bytes", "1MiB")


class Talker:
    """The FIFO by which the Worker of either run is told how much to say."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "orders"
        os.mkfifo(self._path)
        # For reading too: it never blocks, and the Worker never sees an end.
        self._fd = os.open(self._path, os.O_RDWR)

    def say(self, rounds: int) -> None:
        os.write(self._fd, b"%d\n" % rounds)

    def worker(self, first: int) -> tuple[str, str]:
        return "--worker", f"a={shlex.join([*python_command(TALKER), str(self._path), str(first)])}"

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def talker(tmp_path: Path) -> Iterator[Talker]:
    talker = Talker(tmp_path)
    yield talker
    talker.close()


@contextmanager
def served(tmp_path: Path, port: int, *options: str) -> Iterator[tuple[Program, str]]:
    data = tmp_path / "data"
    with start_program(tmp_path, "serve", "--data-dir", str(data), "--bind", f":{port}", *SMALL, *options) as program:
        yield program, server_url(data, program)


class Follower:
    """Takes items and events of one stream, and folds."""

    def __init__(self, stream: TranscriptStream) -> None:
        self._stream = stream
        self.fold = stream.fold
        self.polled = 0
        self.events = 0
        self.numbers: list[int] = []
        self.items: list[TranscriptItem] = []

    async def until_said(self, text: str) -> None:
        """Take what comes up to the text that is ``text``."""
        async with asyncio.timeout(30):
            async for item in self._stream:
                new = self._taken(item)
                if any(item.kind == "text" and item.data["text"] == text for item in new):
                    return

    def _taken(self, item: object) -> list[TranscriptItem]:
        match item:
            case TranscriptItem():
                assert not self.events, "an item behind an event"
                self.polled += 1
                new = [item]
            case StreamEvent():
                self.events += 1
                self.numbers.append(item.worker_seq or 0)
                new = self.fold.apply(transcript_event(item))
            case _:
                raise AssertionError(item)
        self.items += new
        return new


async def whole_transcript(url: str, thinking: bool, last: str) -> tuple[list[TranscriptItem], TranscriptFold]:
    """Read the transcript as the Runtime folded it, once it holds the text ``last``."""
    async with asyncio.timeout(30):
        while True:
            # The server may answer before the Worker's first event is shown.
            items, fold = await follow_transcript(url, "a", thinking=thinking, wait_for_worker=True)._polled()
            if any(item.kind == "text" and item.data["text"] == last for item in items):
                return items, fold


@pytest.mark.parametrize("thinking", [False, True])
async def test_transcript_and_stream_make_the_whole_over_pages_rotation_and_a_restart(
    tmp_path: Path, talker: Talker, thinking: bool, capsys: pytest.CaptureFixture[str]
):
    said = BACKLOG
    with served(tmp_path, 0, *talker.worker(0)) as (program, url):
        port = int(url.rpartition(":")[2])
        # In portions that retention keeps: what rotated out before it was folded would be a gap.
        for portion in range(0, BACKLOG, PORTION):
            talker.say(PORTION)
            await whole_transcript(url, thinking, f"{portion + PORTION - 1} is said")
        assert not (tmp_path / "data/log/00000000000000000001.jsonl").exists(), "nothing was rotated out"
        # It goes on while the pages are read: what it says in this moment is partly on a page, partly on the stream.
        talker.say(200)
        said += 200
        async with follow_transcript(url, "a", thinking=thinking, after_end="wait") as stream:
            assert stream.cursor is None
            follower = Follower(stream)
            await follower.until_said(f"{said - 1} is said")
            for _ in range(5):
                talker.say(20)
                said += 20
                await follower.until_said(f"{said - 1} is said")
            assert await asyncio.to_thread(program.stop) == 143
            with served(tmp_path, port, *talker.worker(SECOND_RUN)):
                for number in range(5):
                    talker.say(20)
                    await follower.until_said(f"{SECOND_RUN + 20 * number + 19} is said")
                items, fold = await whole_transcript(url, thinking, f"{SECOND_RUN + 99} is said")
    with capsys.disabled():
        sys.stdout.write(
            f"\ntranscript, then stream: {follower.polled} items polled, {follower.events} events, {len(items)} items\n"
        )
    assert follower.polled > 1000
    assert follower.events > 500
    assert follower.numbers == [*range(follower.numbers[0], follower.numbers[0] + follower.events)]
    streamed = [item for item in follower.items if thinking or item.kind != "thinking"]
    assert streamed == items
    assert follower.fold.in_progress() == fold.in_progress()
    texts = [item.data["text"] for item in streamed if item.kind == "text"]
    assert texts == [f"{n} is said" for n in (*range(said), *range(SECOND_RUN, SECOND_RUN + 100))]

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deadline import wait_until_async
from yoi_runtime.errors import LogBrokenError
from yoi_runtime.runtime.ingest.answers import MOST_UNREAD_BYTES, Answers


class Disk:
    """Makes durable what it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.done = asyncio.Event()
        self.broken = False

    async def durable(self, cursor: str) -> None:
        self.asked.append(cursor)
        await self.done.wait()
        if self.broken:
            raise LogBrokenError(Path("/data/log/1.jsonl"), 0, 0, "sync failed")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    yield near, far
    near.close()
    far.close()


async def receive(far: socket.socket, size: int = 1 << 16) -> bytes:
    async with asyncio.timeout(10):
        return await asyncio.get_running_loop().sock_recv(far, size)


async def test_answers_go_out_together_and_in_order(ends):
    near, far = ends
    answers = Answers(near, Disk().durable)
    for number in range(5):
        answers.put(b"%d\n" % number)
    assert await receive(far) == b"0\n1\n2\n3\n4\n"
    answers.put(b"last\n")
    await answers.finish()
    assert await receive(far) == b"last\n"


async def test_what_waits_for_the_disk_holds_back_what_comes_after_it(ends):
    near, far = ends
    disk = Disk()
    answers = Answers(near, disk.durable)
    answers.put(b"a\n", "wo1a")
    answers.put(b"b\n")
    await wait_until_async(lambda: disk.asked == ["wo1a"])
    with pytest.raises(BlockingIOError):
        far.recv(1)
    disk.done.set()
    assert await receive(far) == b"a\nb\n"
    await answers.finish()


async def test_who_does_not_read_is_waited_for(ends):
    near, far = ends
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    answers = Answers(near, Disk().durable)
    piece = b"x" * 1023 + b"\n"
    put = 0

    async def put_all() -> None:
        nonlocal put
        for _ in range(1024):
            await answers.room()
            answers.put(piece)
            put += 1

    putting = asyncio.create_task(put_all())
    await wait_until_async(lambda: put * 1024 >= MOST_UNREAD_BYTES)
    for _ in range(100):
        await asyncio.sleep(0)
    # One piece too many at most, and what the kernel holds and one sending has taken.
    assert put * 1024 < 2 * MOST_UNREAD_BYTES + (64 << 10)
    assert not putting.done()
    received = 0
    while received < 1 << 20:
        received += len(await receive(far))
    await putting
    await answers.finish()


async def test_answers_to_nobody_are_dropped_and_hold_nothing_back(ends):
    near, far = ends
    far.close()
    answers = Answers(near, Disk().durable)
    for _ in range(1024):
        async with asyncio.timeout(10):
            await answers.room()
        answers.put(b"x" * 1024)
    await answers.finish()


async def test_a_disk_that_broke_is_told_to_who_reads_the_socket(ends):
    near, far = ends
    disk = Disk()
    disk.broken = True
    disk.done.set()
    answers = Answers(near, disk.durable)
    answers.put(b"a\n", "wo1a")
    # Whoever waits for the peer's next line is woken.
    assert await receive(near) == b""
    with pytest.raises(LogBrokenError):
        await answers.room()
    with pytest.raises(LogBrokenError):
        await answers.finish()
    await answers.cancel()
    with pytest.raises(BlockingIOError):
        far.recv(1)

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.workers.real_children import run
from yoi_runtime.workers.pipe_reader import READ_BYTES, PipeReader

LONG = 1000.0


@asynccontextmanager
async def pipe() -> AsyncIterator[tuple[PipeReader, int]]:
    reading, writing = os.pipe()
    reader = PipeReader(reading)
    try:
        yield reader, writing
    finally:
        reader.close()
        with suppress(OSError):
            os.close(writing)


def test_bytes_come_as_they_are_written_and_then_the_end() -> None:
    async def test() -> None:
        async with pipe() as (reader, writing):
            waiting = asyncio.create_task(reader.read())
            await asyncio.sleep(0)
            os.write(writing, b"one")
            assert await waiting == b"one"
            os.write(writing, b"two")
            os.close(writing)
            assert [await reader.read(), await reader.read(), await reader.read()] == [b"two", b"", b""]
            assert not reader.abandoned

    run(test)


def test_nothing_is_read_before_it_is_asked_for() -> None:
    async def test() -> None:
        async with pipe() as (reader, writing):
            os.set_blocking(writing, False)
            written = 0
            with suppress(BlockingIOError):
                while True:
                    written += os.write(writing, bytes(4096))
            for _ in range(10):
                await asyncio.sleep(0)
            with pytest.raises(BlockingIOError):
                os.write(writing, bytes(4096))
            assert len(await reader.read()) == min(written, READ_BYTES)
            assert os.write(writing, bytes(4096)) == 4096

    run(test)


def test_a_cancelled_read_takes_no_bytes_with_it() -> None:
    async def test() -> None:
        async with pipe() as (reader, writing):
            waiting = asyncio.create_task(reader.read())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            os.write(writing, b"kept")
            assert await reader.read() == b"kept"

    run(test)


def test_a_quiet_pipe_ends_after_its_time_even_for_a_read_that_waited_before() -> None:
    async def test() -> None:
        async with pipe() as (reader, _):
            waiting = asyncio.create_task(reader.read())
            await asyncio.sleep(0)
            reader.end_after(0.05, LONG)
            assert await waiting == b""
            assert reader.abandoned

    run(test)


def test_every_byte_restarts_the_quiet_time() -> None:
    async def test() -> None:
        async with pipe() as (reader, writing):
            quiet = 0.2
            loop = asyncio.get_running_loop()
            reader.end_after(quiet, LONG)
            begin = loop.time()
            for _ in range(3):
                loop.call_later(quiet / 2, os.write, writing, b"x")
                assert await reader.read() == b"x"
            assert await reader.read() == b""
            # Three times half the quiet time, then all of it; without a restart it were one.
            assert loop.time() - begin >= 2 * quiet

    run(test)


def test_bytes_that_come_together_with_the_timeout_are_read() -> None:
    async def test() -> None:
        async with pipe() as (reader, writing):
            quiet = 0.01
            reader.end_after(quiet, LONG)
            waiting = asyncio.create_task(reader.read())
            await asyncio.sleep(0)
            # A loop that was held up finds both at once.
            loop = asyncio.get_running_loop()
            held_until = loop.time() + 2 * quiet
            while loop.time() < held_until:
                pass
            os.write(writing, b"just in time")
            assert await waiting == b"just in time"

    run(test)


def test_the_limit_ends_a_pipe_that_is_never_quiet() -> None:
    async def test() -> None:
        async with pipe() as (reader, writing):
            reader.end_after(LONG, 0.1)
            os.write(writing, b"x")
            while await reader.read():
                os.write(writing, b"x")
            assert reader.abandoned

    run(test)


def test_what_was_in_the_pipe_is_read_even_after_the_limit() -> None:
    async def test() -> None:
        async with pipe() as (reader, writing):
            os.write(writing, b"a" * 60_000)
            reader.end_after(0, 0)
            os.write(writing, b"b" * 5_000)
            assert (await reader.read())[:60_000] == b"a" * 60_000
            os.write(writing, b"c")
            assert await reader.read() == b""
            assert reader.abandoned

    run(test)


def test_a_pipe_that_everybody_closed_is_not_abandoned_after_the_limit() -> None:
    async def test() -> None:
        async with pipe() as (reader, writing):
            os.write(writing, b"last words")
            os.close(writing)
            reader.end_after(0, 0)
            assert [await reader.read(), await reader.read()] == [b"last words", b""]
            assert not reader.abandoned

    run(test)


def test_closing_twice_closes_one_descriptor() -> None:
    async def test() -> None:
        async with pipe() as (reader, writing):
            reader.close()
            spare = os.open("/dev/null", os.O_RDONLY)
            reader.close()
            os.fstat(spare)
            os.close(spare)
            with pytest.raises(BrokenPipeError):
                os.write(writing, b"x")

    run(test)

from __future__ import annotations

import asyncio
import os
import pty
from pathlib import Path

import pytest

from yoi_runtime.cli.input_reader import InputReader


async def read_all(fd: int) -> bytes:
    reader, found = InputReader(fd), b""
    async with asyncio.timeout(10):
        while data := await reader.read():
            found += data
    return found


async def test_a_pipe_is_read_as_it_fills_and_to_its_end():
    reading, writing = os.pipe()
    try:
        reader = InputReader(reading)
        waiting = asyncio.create_task(reader.read())
        await asyncio.sleep(0)
        assert not waiting.done()
        os.write(writing, b"a\n")
        assert await waiting == b"a\n"
        os.close(writing)
        assert await reader.read() == b""
    finally:
        os.close(reading)


@pytest.mark.parametrize("size", [0, 1, 200_000])
async def test_a_file_is_read_to_its_end(tmp_path: Path, size: int):
    (tmp_path / "input").write_bytes(b"x" * size)
    with (tmp_path / "input").open("rb", buffering=0) as file:
        assert await read_all(file.fileno()) == b"x" * size


async def test_nothing_is_nothing():
    fd = os.open(os.devnull, os.O_RDONLY)
    try:
        assert await read_all(fd) == b""
    finally:
        os.close(fd)


async def test_a_terminal_stays_as_it_is():
    master, terminal = pty.openpty()
    try:
        reader = InputReader(terminal)
        waiting = asyncio.create_task(reader.read())
        await asyncio.sleep(0)
        os.write(master, b"typed\n")
        async with asyncio.timeout(10):
            assert await waiting == b"typed\n"
        assert os.get_blocking(terminal)
    finally:
        os.close(master)
        os.close(terminal)


async def test_who_stops_waiting_leaves_nothing_behind():
    reading, writing = os.pipe()
    try:
        waiting = asyncio.create_task(InputReader(reading).read())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not asyncio.get_running_loop().remove_reader(reading)
    finally:
        os.close(reading)
        os.close(writing)

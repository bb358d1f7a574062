"""One connection's steps, against a client of bare bytes: what the library behind the other tests would hide."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conformance.playing import FAST
from tests.conformance.test_client_frames import masked
from yoi_runtime.conformance import CaseResult, Stage, play
from yoi_runtime.conformance.case import read_cases

REQUEST = (
    b"GET /v1/workers/w/events/ws?%s HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Bare:
    """A client's socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def until(self, part: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(part), 10)


@asynccontextmanager
async def asked(stage: Stage, query: bytes = b"from=now") -> AsyncIterator[Bare]:
    host, _, port = stage.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**20)
    try:
        writer.write(REQUEST % query)
        yield Bare(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def staged(directory: Path, steps: str, more: str = "") -> AsyncIterator[Stage]:
    path = directory / "case.toml"
    path.write_text(
        f'[[case]]\nname = "own"\nsays = "Mine."\nsection = "event"\nmodes = ["v0"]\n{more}\n'
        f"[[case.connection]]\nplay = [{steps}]\n"
    )
    (case,) = read_cases(path)
    async with play(case, mode="v0", timing=FAST) as stage:
        yield stage


def rules(result: CaseResult) -> list[str | None]:
    return [finding.rule for finding in result.findings]


async def test_an_event_torn_in_half_ends_where_a_frame_does_not(tmp_path: Path):
    steps = '{ do = "start" }, { do = "torn", number = 1 }'
    async with staged(tmp_path, steps, 'ending = "either"') as stage, asked(stage) as client:
        await client.until(b"\x89\x0bconformance")
        client.writer.write(masked(10, b"conformance"))
        half = await asyncio.wait_for(client.reader.read(), 10)
        assert half[:2] == b"\x81\x7e"
        assert len(half) == (4 + int.from_bytes(half[2:4], "big")) // 2
        assert b'{"kind":"event"' in half
        await stage.result()


async def test_a_close_without_an_answer_is_a_breach_of_the_handshake(tmp_path: Path):
    steps = '{ do = "start" }, { do = "close", code = 4577 }'
    async with staged(tmp_path, steps, 'ending = "either"') as stage, asked(stage) as client:
        await client.until(b"\x88\x02\x11\xe1")
        client.writer.transport.abort()
        assert rules(await stage.result()) == ["close_handshake"]


async def test_a_frame_without_a_mask_is_named(tmp_path: Path):
    async with staged(tmp_path, '{ do = "start" }, { do = "ping" }') as stage, asked(stage) as client:
        await client.until(b"\x89\x0bconformance")
        client.writer.write(b"\x8a\x00")
        result = await stage.result()
    assert None in rules(result)
    assert "websocket_frames" in rules(result)
    assert "without a mask" in result.explain()


async def test_a_refusal_has_its_delay_in_header_and_body(tmp_path: Path):
    steps = '{ do = "refuse", status = 429, code = "runtime.too_many_subscribers", retry_after_ms = 6000 }'
    async with staged(tmp_path, steps, 'ending = "leaves"') as stage, asked(stage) as client:
        said = await asyncio.wait_for(client.reader.read(), 10)
        assert said.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nRetry-After: 2\r\n" in said
        assert b'"retry_after_ms":1500' in said
        assert (await stage.result()).findings == ()


@pytest.mark.parametrize(("step", "ends_with_an_error"), [("reset", True), ("hang_up", False)])
async def test_a_connection_is_broken_once_the_client_has_read(tmp_path: Path, step: str, ends_with_an_error: bool):
    steps = f'{{ do = "start" }}, {{ do = "events", first = 1, last = 1 }}, {{ do = "{step}" }}'
    async with staged(tmp_path, steps, 'ending = "either"') as stage, asked(stage) as client:
        await client.until(b"\x89\x0bconformance")
        assert not client.reader.at_eof()
        client.writer.write(masked(10, b"conformance"))
        stage.ended(0)
        if ends_with_an_error:
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(client.reader.read(), 10)
        else:
            assert await asyncio.wait_for(client.reader.read(), 10) == b""
        assert "never handed over" in (await stage.result()).explain()


async def test_a_second_connection_beside_the_first_is_found(tmp_path: Path):
    async with staged(tmp_path, '{ do = "start" }') as stage, asked(stage) as client:
        await client.until(b'"kind":"event"')
        async with asked(stage):
            assert "a second one beside it" in (await stage.result()).explain()


async def test_who_comes_after_the_case_is_told_to_give_up(tmp_path: Path):
    async with staged(tmp_path, '{ do = "start" }', 'ending = "either"') as stage:
        async with asked(stage):
            await stage.result()
        async with asked(stage) as late:
            said = await asyncio.wait_for(late.reader.read(), 10)
    assert said.startswith(b"HTTP/1.1 403 ")
    assert b'"recovery":"give_up"' in said

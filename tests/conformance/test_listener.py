from __future__ import annotations

import asyncio
import json

import pytest

from yoi_runtime.conformance.handshake import HttpRequest
from yoi_runtime.conformance.listener import Listener, send_answer


async def say(url: str, request: bytes) -> bytes:
    host, _, port = url.removeprefix("http://").partition("/")[0].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


def echo(name: str):
    async def take(request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await send_answer(writer, 200, [name, request.path])

    return take


@pytest.mark.parametrize(
    ("path", "answered"),
    [("/a/v1/x", ["a", "/v1/x"]), ("/b", ["b", ""]), ("/v1/x", ["root", "/v1/x"]), ("/ab/a", ["root", "/ab/a"])],
)
async def test_a_request_goes_to_the_case_of_its_path(path: str, answered: list[str]):
    async with Listener() as listener:
        for prefix, name in (("/a", "a"), ("/b", "b"), ("", "root")):
            listener.put(prefix, echo(name))
        got = await say(listener.url(""), b"GET %s HTTP/1.1\r\n\r\n" % path.encode())
    assert json.loads(got.partition(b"\r\n\r\n")[2]) == answered


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"404"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b"400"),
    ],
)
async def test_what_no_case_can_take_is_answered(request_bytes: bytes, status: bytes):
    async with Listener() as listener:
        got = await say(listener.url(""), request_bytes)
    assert got.split(b" ")[1] == status


async def test_leaving_ends_what_is_being_served():
    stuck = asyncio.Event()

    async def take(request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stuck.set()
        await asyncio.Event().wait()

    async with Listener() as listener:
        listener.put("", take)
        asking = asyncio.create_task(say(listener.url(""), b"GET / HTTP/1.1\r\n\r\n"))
        await asyncio.wait_for(stuck.wait(), 10)
    assert await asking == b""

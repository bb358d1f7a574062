from __future__ import annotations

import socket

from tests.client.transcript_server import transcripts
from yoi_runtime.client.backend_request import get
from yoi_runtime.client.resume import Answered, ConnectFailed, ConnectFault
from yoi_runtime.client.settings import ClientSettings

SETTINGS = ClientSettings()
PATH = "/v1/workers/a/transcript"


async def test_a_body_comes_with_the_token_in_the_header_alone():
    async with transcripts((200, b"body"), (200, b"")) as (url, asked):
        assert await get(url + PATH, "s3cret", SETTINGS) == b"body"
        assert await get(url + PATH, None, SETTINGS) == b""
    assert asked[0].request.headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in asked[0].request.uri
    assert "Authorization" not in asked[1].request.headers


async def test_whatever_is_no_200_is_an_answer():
    async with transcripts((302, b""), (404, b""), (503, b"<html>")) as (url, _):
        assert [await get(url + PATH, None, SETTINGS) for _ in range(3)] == [
            Answered(302),
            Answered(404),
            Answered(503),
        ]


async def test_nobody_there_is_a_failure_of_its_kind():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        outcome = await get(f"http://127.0.0.1:{taken.getsockname()[1]}/", None, SETTINGS)
    assert outcome == ConnectFailed("Connection refused", ConnectFault.REFUSED)


async def test_one_who_never_answers_is_a_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        outcome = await get(url, None, ClientSettings(request_timeout_seconds=0.1))
    assert outcome == ConnectFailed("Timeout", ConnectFault.TIMEOUT)

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.server.serving import Answer, serving
from yoi_runtime.protocol.diagnostics import DiagnosticCode, diagnostic
from yoi_runtime.server.keepalive import Keepalive
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.request_base import DiagnosticAnswerError, ServerState
from yoi_runtime.server.request_guard import HostList


def problem_of(answer: Answer) -> dict[str, object]:
    assert set(answer.json) == {"kind", "diagnostic"}
    assert answer.json["kind"] == "diagnostic"
    return answer.json["diagnostic"]


async def test_every_answer_is_json_that_nobody_stores_and_without_a_banner(tmp_path: Path):
    async with serving(tmp_path) as served:
        for path in (
            "/healthz",
            "/v1/workers",
            "/v1/workers/nobody",
            "/v1/workers/%2e%2e",
            "/nothing",
            "/v1/events/ws",
        ):
            answer = await served.get(path)
            assert answer.headers["content-type"] == "application/json; charset=utf-8"
            assert answer.headers["cache-control"] == "no-store"
            assert "server" not in answer.headers
            assert isinstance(answer.json, dict)


async def test_a_path_that_there_is_not_is_answered_with_a_diagnostic(tmp_path: Path):
    async with serving(tmp_path) as served:
        for path in ("/", "/v1", "/v2/events/ws", "/v1/workers/a/b", "/../etc/passwd", "/v1/events/ws/", "//healthz"):
            answer = await served.get(path)
            assert (path, answer.status, problem_of(answer)["code"]) == (path, 404, "runtime.invalid_request")


async def test_nothing_can_be_changed(tmp_path: Path):
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    async with serving(tmp_path) as served:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            for path in ("/v1/workers", "/v1/events/ws", "/v1/events/status", "/healthz", "/readyz"):
                answer = await served.get(path, method=method, headers=upgrade if path.endswith("ws") else {})
                assert (method, path, answer.status) == (method, path, 405)
                assert answer.headers["allow"] == ("GET" if path.endswith("ws") else "GET, HEAD")
                assert problem_of(answer)["code"] == "runtime.invalid_request"


async def test_a_browser_is_refused_everywhere_and_before_anything_else(tmp_path: Path):
    browsers = [
        {"Origin": "http://127.0.0.1"},
        {"Cookie": "a=b"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-WebSocket-Origin": "null"},
        {"Host": "evil.example"},
    ]
    async with serving(tmp_path) as served:
        for path in ("/healthz", "/readyz", "/v1/workers", "/v1/workers/%00", "/nothing", "/v1/events/ws?from=x"):
            for headers in browsers:
                answer = await served.get(path, headers=headers)
                assert (path, headers, answer.status) == (path, headers, 403)
                assert problem_of(answer)["code"] == "runtime.origin_refused"


async def test_a_bug_of_ours_is_logged_and_told_without_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log: ExpectLog
):
    expect_log("yoi_runtime.server", "RuntimeView failed")
    expect_log("yoi_runtime.server", "RuntimeView answered 500")

    def log_id(view: LogView) -> str:
        raise ZeroDivisionError("secret reason")

    async with serving(tmp_path) as served:
        monkeypatch.setattr(LogView, "log_id", property(log_id))
        answer = await served.get("/v1/runtime")
        assert (answer.status, problem_of(answer)["code"]) == (500, "runtime.internal")
        assert b"secret" not in answer.body
        assert b"ZeroDivision" not in answer.body


async def test_a_refusal_takes_its_status_from_the_table_unless_told_otherwise():
    problem = diagnostic(DiagnosticCode.WORKER_NOT_FOUND, "x")
    assert DiagnosticAnswerError(problem).http_status == 404
    assert DiagnosticAnswerError(problem, 426).http_status == 426
    assert DiagnosticAnswerError(diagnostic(DiagnosticCode.CURSOR_EXPIRED, "x")).http_status == 500


async def test_waiting_for_the_last_socket_ends_with_it_or_with_the_time():
    loop = asyncio.get_running_loop()
    state = ServerState(view=None, hosts=HostList(""), keepalive=Keepalive(loop.time), watch=None)  # type: ignore[arg-type]
    await state.wait_for_last_socket(10)
    one, two = object(), object()
    state.sockets.update((one, two))
    waiting = asyncio.ensure_future(state.wait_for_last_socket(10))
    await asyncio.sleep(0)
    state.socket_left(one)
    state.socket_left(one)
    await asyncio.sleep(0)
    assert not waiting.done()
    state.socket_left(two)
    async with asyncio.timeout(20):
        await waiting
        state.sockets.add(one)
        await state.wait_for_last_socket(0.02)
    assert state.sockets == {one}

"""Keeping server processes: with a real socket and real processes. ``serve --processes`` itself is in test_serve."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.deadline import wait_until_async
from yoi_runtime.cli import server_processes
from yoi_runtime.cli.operator_log import LogFormat
from yoi_runtime.cli.options import Address
from yoi_runtime.cli.server_orders import ServerOrders
from yoi_runtime.cli.server_processes import ServerProcesses
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.limits import Limits

_START_SECONDS = 30


@asynccontextmanager
async def two_processes(data_dir: Path) -> AsyncIterator[tuple[ServerProcesses, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        processes = ServerProcesses(
            2,
            ServerOrders(
                data_dir,
                Address("127.0.0.1", port),
                (listener.fileno(),),
                number=1,
                cache_bytes=1 << 20,
                transcripts=False,
                access=ServerAccess(),
                limits=Limits(),
                log_format=LogFormat.TEXT,
                log_level="warning",
            ),
        )
        try:
            await wait_until_async(lambda: len(processes.pids) == 2, _START_SECONDS)
            yield processes, port
        finally:
            await processes.stop()


async def answers(port: int) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(_START_SECONDS):
        answer = await reader.read()
    writer.close()
    return answer.startswith(b"HTTP/1.1 200")


async def test_they_serve_the_parents_socket_and_end_when_told(tmp_path: Path):
    Runtime.open(tmp_path).close()
    async with two_processes(tmp_path) as (processes, port):
        # Nobody serves in this process: whoever answers inherited the socket.
        assert await answers(port)
        pids = processes.pids
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_dead_one_is_replaced_after_a_while_that_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(server_processes, "_FIRST_DELAY_SECONDS", 0.05)
    Runtime.open(tmp_path).close()
    async with two_processes(tmp_path) as (processes, port):
        said = ""
        for delay in ("0.05", "0.1"):
            killed = processes.pids[0]
            os.kill(killed, signal.SIGKILL)
            await wait_until_async(lambda killed=killed: killed not in processes.pids, _START_SECONDS)  # type: ignore[misc]
            await wait_until_async(lambda: len(processes.pids) == 2, _START_SECONDS)
            said = capfd.readouterr().err
            assert f"server process {killed} ended with -9" in said
            if delay == "0.05":
                assert "started in 0.05 s" in said
        assert await answers(port)


async def test_who_dies_while_all_refuse_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """A new one would let subscribers in, at the very end."""
    monkeypatch.setattr(server_processes, "_FIRST_DELAY_SECONDS", 0.05)
    Runtime.open(tmp_path).close()
    async with two_processes(tmp_path) as (processes, _):
        processes.refuse()
        os.kill(processes.pids[0], signal.SIGKILL)
        await wait_until_async(lambda: any(task.done() for task in processes._followed), _START_SECONDS)
        assert len(processes.pids) == 1
    assert "another one is started" not in capfd.readouterr().err


async def test_one_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """A machine that has no process left for us has one again later."""
    monkeypatch.setattr(server_processes, "_FIRST_DELAY_SECONDS", 0.05)
    start, refusals = asyncio.create_subprocess_exec, [errno.EAGAIN, errno.ENOMEM]

    async def refused_at_first(*arguments: Any, **settings: Any) -> asyncio.subprocess.Process:
        if refusals:
            number = refusals.pop()
            raise OSError(number, os.strerror(number))
        return await start(*arguments, **settings)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refused_at_first)
    Runtime.open(tmp_path).close()
    async with two_processes(tmp_path):
        assert not refusals
    assert capfd.readouterr().err.count("a server process could not be started: ") == 2

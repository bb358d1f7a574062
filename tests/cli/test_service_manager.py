from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.real_program import start_program
from tests.conftest import ExpectLog
from tests.support.deadline import wait_until, wait_until_async
from yoi_runtime.cli.service_manager import ServiceManager, keep_watch


@contextmanager
def manager_at(address: str) -> Iterator[list[str]]:
    """Be a service manager; the list fills with what it is told."""
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
        own.bind("\0" + address[1:] if address.startswith("@") else address)
        own.settimeout(0.1)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    heard.append(own.recv(4096).decode())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("abstract", [False, True])
def test_it_is_told_at_its_socket_also_an_abstract_one(abstract: bool, tmp_path: Path):
    address = f"@yoi-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with manager_at(address) as heard:
        manager = ServiceManager(address, 10.0)
        manager.ready("serving http://127.0.0.1:1")
        manager.well()
        manager.status("busy")
        manager.stopping("signal SIGTERM")
        wait_until(lambda: len(heard) == 4)
    assert heard == [
        "READY=1\nSTATUS=serving http://127.0.0.1:1",
        "WATCHDOG=1",
        "STATUS=busy",
        "STOPPING=1\nSTATUS=signal SIGTERM",
    ]


def test_what_names_it_is_taken_out_of_the_environment():
    environment = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "7", "HOME": "/"}
    manager = ServiceManager.take_from(environment, pid=7)
    assert environment == {"HOME": "/"}
    assert manager.watchdog_seconds == 20.0


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": "/run/x"},
        {"WATCHDOG_USEC": "20000000"},
        {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "8"},
        {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "vsock:2:1", "WATCHDOG_USEC": "20000000"},
    ],
)
async def test_without_a_watchdog_of_ours_there_is_nothing_to_keep(environment: dict[str, str]):
    manager = ServiceManager.take_from(environment, pid=7)
    assert manager.watchdog_seconds is None
    async with asyncio.timeout(10):
        await keep_watch(manager, lambda _: None)


def test_nobody_to_tell_is_harmless():
    ServiceManager().ready("x")


def test_a_manager_that_is_gone_is_logged(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.cli", "the service manager cannot be told")
    ServiceManager(str(tmp_path / "gone")).ready("x")


async def test_the_watchdog_hears_nothing_while_there_is_a_problem(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.cli", "the disk has not answered")
    problem: list[str | None] = [None]
    asked: list[float] = []

    def look(interval: float) -> str | None:
        asked.append(interval)
        return problem[0]

    with manager_at(str(tmp_path / "notify")) as heard:
        watching = asyncio.create_task(keep_watch(ServiceManager(str(tmp_path / "notify"), 0.1), look))
        await wait_until_async(lambda: len(heard) >= 3)
        problem[0] = "the disk has not answered for 9 s"
        seen = len(asked)
        await wait_until_async(lambda: len(asked) > seen + 1)
        count = len(heard)
        await wait_until_async(lambda: len(asked) > seen + 5)
        assert len(heard) <= count + 1
        problem[0] = None
        await wait_until_async(lambda: len(heard) > count + 2)
        watching.cancel()
    assert set(heard) == {"WATCHDOG=1"}
    assert set(asked) == {0.1}


@pytest.mark.parametrize("more", [(), ("--processes", "2")])
def test_the_program_tells_it_that_it_serves_is_well_and_stops_and_its_worker_does_not_hear_of_it(
    tmp_path: Path, more: tuple[str, ...]
):
    with manager_at(str(tmp_path / "notify")) as heard:
        worker = "a=sh -c 'echo has-$NOTIFY_SOCKET$WATCHDOG_USEC > seen; sleep 100'"
        options = ["--data-dir", str(tmp_path / "data"), "--bind", "127.0.0.1:0", "--worker", worker, *more]
        notify = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        with start_program(tmp_path, "serve", *options, **notify) as program:
            program.wait_for_stdout("serving")
            wait_until(lambda: heard.count("WATCHDOG=1") >= 3, 30)
            wait_until(lambda: (tmp_path / "seen").exists() and (tmp_path / "seen").read_text("utf-8"), 30)
            assert program.stop() == 143
        wait_until(lambda: any("STOPPING=1" in one for one in heard))
    assert [one.split("\n")[0] for one in heard if one != "WATCHDOG=1"] == ["READY=1", "STOPPING=1"]
    assert (tmp_path / "seen").read_text("utf-8") == "has-\n"

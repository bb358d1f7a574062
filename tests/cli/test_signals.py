from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from tests.cli.real_program import DEADLINE_SECONDS, environment
from yoi_runtime.cli.signals import StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_the_first_signal_is_something_to_wait_for(number: signal.Signals):
    with StopSignals() as signals:
        waiting = asyncio.create_task(signals.wait())
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(waiting, DEADLINE_SECONDS) == number
        assert signals.received == number


async def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


async def test_a_hangup_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0)
            assert signals.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_second_signal_ends_a_process_whose_loop_is_stuck():
    code = """
import asyncio, os, signal, threading
from yoi_runtime.cli.signals import StopSignals

async def main():
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait()

asyncio.run(main())
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment(), timeout=DEADLINE_SECONDS, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (130, b"")

"""Being asked to stop: the first signal is an event to wait for, the second ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self, TypeAlias

from yoi_runtime.cli.exit_codes import signal_exit_code

__all__ = ["StopSignals"]

_Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None


class StopSignals:
    """Takes SIGINT, SIGTERM and, unless it is ignored (nohup), SIGHUP for the length of a ``with`` block.

    On the main thread, inside a running loop. Handlers of ``signal.signal``, not of the loop: the second signal must
    work when the loop is stuck in a blocking call. SIGINT is taken also where a script's ``&`` has it ignored: who
    sends it to a process by its id means it.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._before: dict[signal.Signals, _Handler] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            # None: it was not installed from Python, and cannot be put back.
            if handler is not None:
                signal.signal(number, handler)

    async def wait(self) -> signal.Signals:
        """Return the first signal, as soon as it has come."""
        await self._arrived.wait()
        assert self.received is not None
        return self.received

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            # No clean-up: somebody is in a hurry. Our children die with us (workers/parent_death.py).
            os._exit(signal_exit_code(number))
        self.received = signal.Signals(number)
        self._loop.call_soon_threadsafe(self._arrived.set)

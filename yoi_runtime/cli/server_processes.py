"""More server processes on one socket: started, started again when they die, and taken down together.

The process that binds the socket writes the log and serves, too; the others only serve. Each accepts for itself from
the socket that all of them inherited. Decision: docs/decisions/0015-server-processes.md.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace

from yoi_runtime.cli.exit_codes import say
from yoi_runtime.cli.server_orders import ServerOrders
from yoi_runtime.notices import Notice
from yoi_runtime.workers.parent_death import die_with_parent

__all__ = ["ServerProcesses"]

# One more than they take to part with stalled subscribers.
_STOP_SECONDS = 4.0
# Between a death and the next start: short at first, longer when it dies again and again.
_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 30.0
# Who lived this long died of something new.
_WELL_SECONDS = 60.0


class ServerProcesses:
    """So many processes beside this one. One event loop, main thread."""

    def __init__(self, count: int, first: ServerOrders) -> None:
        """Start them, the first with these orders and the others with higher numbers.

        What ``first.listening`` names stays the caller's, and must stay open until ``stop``.
        """
        self._orders = first
        self._refusing = False
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._followed = [asyncio.create_task(self._keep_one(number)) for number in range(count)]

    @property
    def pids(self) -> list[int]:
        """Return the processes that run now."""
        return sorted(process.pid for process in self._processes.values())

    async def _keep_one(self, number: int) -> None:
        delay = _FIRST_DELAY_SECONDS
        clock = asyncio.get_running_loop().time
        while not self._refusing:
            began = clock()
            try:
                ended = await self._one_life(number)
            except OSError as error:
                ended = f"a server process could not be started: {error.strerror or error}"
            if self._refusing:
                return
            delay = _FIRST_DELAY_SECONDS if clock() - began > _WELL_SECONDS else delay
            say(
                f"{ended}; another one is started in {delay:g} s",
                Notice.SERVER_PROCESS_ENDED,
                process=self._orders.number + number,
            )
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY_SECONDS)

    async def _one_life(self, number: int) -> str:
        """Start a process, wait for its end, and say how it ended. Raises ``OSError``: it could not be started."""
        process = await self._start(number)
        self._processes[number] = process
        if self._refusing:
            self._tell_to_refuse(process)
        code = await process.wait()
        del self._processes[number]
        return f"server process {process.pid} ended with {code}"

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        tie: Callable[[], None] | None = die_with_parent()
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "yoi_runtime.cli.server_process"),
            replace(self._orders, number=self._orders.number + number).argument(),
            # Its end says that nobody new is to be let in (``refuse``).
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            pass_fds=self._orders.listening,
            # A session of its own: Ctrl-C in the terminal is for this process, which tells them in its order.
            start_new_session=True,
            preexec_fn=tie,
        )

    def refuse(self) -> None:
        """Have all of them let no new subscriber in; who ends from now on is not replaced."""
        self._refusing = True
        for process in self._processes.values():
            self._tell_to_refuse(process)

    @staticmethod
    def _tell_to_refuse(process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        process.stdin.close()

    async def stop(self) -> None:
        """Ask all to end, which tells their subscribers; kill who has not after 4 s."""
        for task in self._followed:
            task.cancel()
        await asyncio.gather(*self._followed, return_exceptions=True)
        processes = list(self._processes.values())
        for process in processes:
            if process.returncode is None:
                process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await asyncio.gather(*(process.wait() for process in processes))
        except TimeoutError:
            for process in processes:
                if process.returncode is None:
                    process.kill()
            await asyncio.gather(*(process.wait() for process in processes))

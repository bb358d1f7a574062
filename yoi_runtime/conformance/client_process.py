"""The client under test as a child process: started for one case, its report read from its stdout, killed when a case says so."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import struct
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from yoi_runtime.conformance.deliveries import Deliveries

__all__ = ["ClientProcess", "filled_in"]

_READ_BYTES: Final = 64 * 1024
_STOP_SECONDS: Final = 2.0
# The smallest there is on Linux: after some 200 event ids a client that hands over is stuck.
_STALLED_PIPE_BYTES: Final = 4096
_STUCK_LOOKS: Final = 8
_LOOK_SECONDS: Final = 0.1
_STUCK_DEADLINE_SECONDS: Final = 20.0
_SHOWN_STDERR_LINES: Final = 8
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")


def filled_in(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return ``command`` with each ``{name}`` that is in ``values`` replaced; other braces stay."""
    return [_PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), word) for word in command]


class ClientProcess:
    """One client, and after ``kill_and_restart`` its successor. Use ``start`` and ``stop``; one event loop."""

    def __init__(
        self, command: Sequence[str], directory: Path, deliveries: Deliveries, variables: Mapping[str, str]
    ) -> None:
        """Prepare. ``directory``: of this run alone, for its stderr. ``variables`` go into its environment."""
        self._command = command
        self._stderr_file = directory / "stderr"
        self._deliveries = deliveries
        self._environment = {**os.environ, **variables}
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._pipe = -1
        self._unread = b""
        self._is_stalled = False
        self._drained = asyncio.Event()

    async def start(self) -> None:
        """Start it.

        Raises:
            OSError: the program cannot be run.
        """
        self._pipe, write_end = os.pipe()
        os.set_blocking(self._pipe, False)
        self._is_stalled = False
        self._drained.clear()
        try:
            with self._stderr_file.open("ab") as stderr:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=write_end,
                    stderr=stderr,
                    env=self._environment,
                    # Its own group: what it starts is stopped with it.
                    start_new_session=True,
                )
        except OSError:
            os.close(self._pipe)
            self._pipe = -1
            raise
        finally:
            os.close(write_end)
        asyncio.get_running_loop().add_reader(self._pipe, self._read)
        self._watching = asyncio.create_task(self._watch(self._process), name="conformance client")

    async def stop(self) -> None:
        """Ask it to end (SIGTERM), then end it. Again: nothing happens."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        if self._process is not None and self._process.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                pass
        if self._process is not None:
            # Also when it has ended by itself: it may have left children.
            self._signal(signal.SIGKILL)
            await self._process.wait()
        self._close_pipe()

    async def stall(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pipe)
        self._is_stalled = True
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _STALLED_PIPE_BYTES)

    async def kill_and_restart(self) -> None:
        assert self._process is not None
        assert self._watching is not None
        await self._stuck()
        self._watching.cancel()
        await asyncio.wait({self._watching})
        self._signal(signal.SIGKILL)
        await self._process.wait()
        # Everything that it had handed over is in the pipe.
        while self._read():
            pass
        self._close_pipe()
        await self.start()

    def last_words(self) -> list[str]:
        """Return the end of its stderr."""
        if not self._stderr_file.exists():
            return []
        return self._stderr_file.read_text("utf-8", "replace").splitlines()[-_SHOWN_STDERR_LINES:]

    async def _stuck(self) -> None:
        """Wait until what lies in its pipe has not grown for a while."""
        looks, before = 0, -1
        deadline = asyncio.get_running_loop().time() + _STUCK_DEADLINE_SECONDS
        while looks < _STUCK_LOOKS and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
            lies = struct.unpack("i", fcntl.ioctl(self._pipe, termios.FIONREAD, b"\0\0\0\0"))[0]
            looks = looks + 1 if lies == before and lies > 0 else 0
            before = lies

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        exit_code = await process.wait()
        if not self._is_stalled:
            await self._drained.wait()
        self._deliveries.ended(exit_code)

    def _read(self) -> bool:
        """Take what has been printed; False: nothing more for now, or for ever."""
        try:
            piece = os.read(self._pipe, _READ_BYTES)
        except BlockingIOError:
            return False
        if not piece:
            asyncio.get_running_loop().remove_reader(self._pipe)
            self._drained.set()
            return False
        *lines, self._unread = (self._unread + piece).split(b"\n")
        for line in lines:
            self._deliveries.line(line.decode("utf-8", "replace"))
        return True

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # Gone; macOS says the latter of a group of which nobody is left.

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            asyncio.get_running_loop().remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
        self._unread = b""

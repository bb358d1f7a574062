"""The reading end of a child's pipe or terminal, read only when somebody asks: backpressure without a buffer.

Memory is one chunk. While nobody reads, the kernel's pipe (64 KiB on Linux) fills up and the child
blocks in ``write``.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import struct
import termios

__all__ = ["READ_BYTES", "PipeReader"]

# What a pipe holds on Linux by default: a larger read would seldom find more.
READ_BYTES = 64 * 1024


class PipeReader:
    """Owns the descriptor ``fd``. Belongs to the running loop; one task reads."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._quiet_seconds: float | None = None
        self._deadline = 0.0
        self._owed_bytes = 0
        self._abandoned = False

    @property
    def abandoned(self) -> bool:
        """Whether reading ended while some process still held the writing end."""
        return self._abandoned

    async def read(self) -> bytes:
        """Return the next 1 to READ_BYTES bytes, ``b""`` at the end.

        Raises:
            OSError: the pipe failed.
        """
        quiet = False
        while True:
            try:
                data = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                if quiet or self._overdue():
                    break
                # Once more after a quiet time: on a busy loop bytes and timeout come together.
                quiet = not await self._readable()
                continue
            except OSError as error:
                # Linux: the end of a terminal, where a pipe has no bytes.
                if error.errno != errno.EIO:
                    raise
                return b""
            if data and self._overdue():
                break
            self._owed_bytes -= len(data)
            return data
        self._abandoned = True
        return b""

    def end_after(self, quiet_seconds: float, limit_seconds: float) -> None:
        """The child has ended: let reading end even if another process keeps the pipe open.

        Reading ends after ``quiet_seconds`` in which no byte came, and at the latest
        ``limit_seconds`` from now, but never before what is in the pipe at this moment was read:
        that may be the child's own output. A reader that does not read loses nothing.
        """
        self._quiet_seconds = quiet_seconds
        self._deadline = self._loop.time() + limit_seconds
        self._owed_bytes = 0 if self._closed else _bytes_in_pipe(self._fd)
        # A read that waits since before the child's end has no time limit: let it look again.
        self._wake(self._waiter)

    def close(self) -> None:
        """Give the descriptor back. A process that writes to the pipe gets SIGPIPE from now on. May be repeated."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._fd)
            os.close(self._fd)

    def _overdue(self) -> bool:
        return self._quiet_seconds is not None and self._owed_bytes <= 0 and self._loop.time() >= self._deadline

    async def _readable(self) -> bool:
        """Wait until a read may give something; False when the pipe stayed quiet for too long."""
        waiter = self._waiter = self._loop.create_future()
        self._loop.add_reader(self._fd, self._wake, waiter)
        try:
            async with asyncio.timeout(self._quiet_seconds):
                await waiter
        except TimeoutError:
            return False
        finally:
            self._waiter = None
            if not self._closed:
                self._loop.remove_reader(self._fd)
        return True

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _bytes_in_pipe(fd: int) -> int:
    """Return how many bytes wait to be read; 0 where the system cannot say."""
    with contextlib.suppress(OSError):
        return int(struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"))[0])
    return 0

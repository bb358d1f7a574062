"""This process's standard input, in pieces as they come, whatever it is: a pipe, a terminal, a file."""

from __future__ import annotations

import asyncio
import os
from typing import Final

__all__ = ["InputReader"]

_READ_BYTES: Final = 64 * 1024


class InputReader:
    """Reads a descriptor without making it non-blocking: a terminal's is shared with the shell. One task reads."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._loop = asyncio.get_running_loop()

    async def read(self) -> bytes:
        """Return the next bytes, ``b""`` at the end. Raises ``OSError``."""
        readable = asyncio.Event()
        try:
            self._loop.add_reader(self._fd, readable.set)
        except PermissionError:
            # A regular file, which never makes anybody wait (epoll takes none).
            await asyncio.sleep(0)
            return os.read(self._fd, _READ_BYTES)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(self._fd)
        return os.read(self._fd, _READ_BYTES)

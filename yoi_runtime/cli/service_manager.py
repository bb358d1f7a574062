"""What systemd is told about this process: that it serves, that it stops, and again and again that it is well.

The protocol is a datagram of ``NAME=value`` lines to the Unix socket that ``NOTIFY_SOCKET`` names, an abstract one when
it begins with ``@``. Source: sd_notify(3), sd_watchdog_enabled(3). Decision: docs/decisions/0034-the-service-manager.md.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, MutableMapping

from yoi_runtime.notices import Notice, named

__all__ = ["ServiceManager", "keep_watch"]

_log = logging.getLogger("yoi_runtime.cli")

_SOCKET_VARIABLE = "NOTIFY_SOCKET"
_WATCHDOG_VARIABLE = "WATCHDOG_USEC"
_WATCHDOG_PID_VARIABLE = "WATCHDOG_PID"


class ServiceManager:
    """Whoever started us and wants to hear; nobody, when that is no service manager. Every method is harmless then."""

    def __init__(self, address: str | None = None, watchdog_seconds: float | None = None) -> None:
        self._address = "\0" + address[1:] if address is not None and address.startswith("@") else address
        # Within this time it wants to hear that we are well, or it ends us; None: it does not.
        self.watchdog_seconds = watchdog_seconds if address is not None else None

    @classmethod
    def take_from(cls, environment: MutableMapping[str, str], pid: int | None = None) -> ServiceManager:
        """Return who is named there, and take the names out: a Worker must not speak for its Runtime."""
        address = environment.pop(_SOCKET_VARIABLE, None)
        interval = environment.pop(_WATCHDOG_VARIABLE, "")
        meant = environment.pop(_WATCHDOG_PID_VARIABLE, "")
        ours = not meant or meant == str(os.getpid() if pid is None else pid)
        watchdog = int(interval) / 1_000_000 if ours and interval.isascii() and interval.isdigit() else 0.0
        if address is not None and not address.startswith(("/", "@")):
            address = None
        return cls(address, watchdog or None)

    def ready(self, status: str) -> None:
        """Say that the service is up."""
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self, status: str) -> None:
        """Say that the service is on its way down."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def well(self) -> None:
        """Say that all is well; due within ``watchdog_seconds`` of the last time."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say in a line what ``systemctl status`` shows."""
        self._send(f"STATUS={text}")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
                door.settimeout(1.0)
                door.connect(self._address)
                door.sendall(message.encode())
        except OSError as error:
            _log.warning(
                "the service manager cannot be told: %s",
                error.strerror or error,
                extra=named(Notice.SERVICE_MANAGER_LOST),
            )


async def keep_watch(manager: ServiceManager, problem: Callable[[float], str | None]) -> None:
    """Say at half the interval that all is well, until cancelled; from the event loop, so that it must be alive.

    ``problem``: given the interval, what is not well, None when all is. While there is a problem nothing is said, and
    the service manager does what its unit says.
    """
    interval = manager.watchdog_seconds
    if interval is None:
        return
    while True:
        wrong = problem(interval)
        if wrong is None:
            manager.well()
        else:
            _log.error("the watchdog is not told that all is well: %s", wrong, extra=named(Notice.WATCHDOG_WITHHELD))
        await asyncio.sleep(interval / 2)

"""Who sleeps until something happens in the log: per Worker, or for anything. No threads, no timers, no I/O.

A wake-up is a hint and carries no data: whoever wakes looks. All in one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

__all__ = ["Sleeper", "WakeUps"]


class Sleeper:
    """One task that sleeps now and then. ``scope``: the Worker whose events wake it, None for everybody's."""

    __slots__ = ("_future", "scope")

    def __init__(self, scope: str | None) -> None:
        self.scope = scope
        self._future: asyncio.Future[None] | None = None

    async def sleep(self) -> None:
        """Wait for ``wake``. What happened before the call wakes nobody: look first, without awaiting in between."""
        self._future = asyncio.get_running_loop().create_future()
        try:
            await self._future
        finally:
            self._future = None

    def wake(self) -> None:
        """End the sleep, if it sleeps; harmless otherwise."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class WakeUps:
    """All sleepers of one view."""

    def __init__(self) -> None:
        self._of_everything: set[Sleeper] = set()
        self._of_worker: dict[str, set[Sleeper]] = {}

    def add(self, sleeper: Sleeper) -> None:
        self._sleepers(sleeper.scope).add(sleeper)

    def remove(self, sleeper: Sleeper) -> None:
        """Forget a sleeper; harmless when it is not here."""
        sleepers = self._sleepers(sleeper.scope)
        sleepers.discard(sleeper)
        if sleeper.scope is not None and not sleepers:
            del self._of_worker[sleeper.scope]

    def _sleepers(self, scope: str | None) -> set[Sleeper]:
        return self._of_everything if scope is None else self._of_worker.setdefault(scope, set())

    def wake(self, workers: Iterable[str]) -> None:
        """Wake who follows one of these Workers, and who follows everything."""
        for sleeper in self._of_everything:
            sleeper.wake()
        of_worker = self._of_worker
        if of_worker:
            for worker_id in workers:
                for sleeper in of_worker.get(worker_id, ()):
                    sleeper.wake()

    def wake_all(self) -> None:
        """Wake everybody: something other than an event happened."""
        for sleepers in (self._of_everything, *self._of_worker.values()):
            for sleeper in sleepers:
                sleeper.wake()

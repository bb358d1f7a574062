"""Who sleeps until something happens in the log: per Worker, or for anything. No threads, no timers, no I/O of its own.

A wake-up is a hint and carries no data: whoever wakes looks. All in one event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

__all__ = ["Sleeper", "WakeUps"]

# How long sleepers are served in one turn of the loop, which may take 5 ms in all and has others to serve.
_SERVING_SECONDS = 0.001


class Sleeper:
    """One task that sleeps now and then. ``scope``: the Worker whose events wake it, None for everybody's.

    ``in_place`` does what the task would do, without waiting for anything, and says whether that was all: then the
    task sleeps on. Called only while it sleeps. Saves a future and a switch of tasks.
    """

    __slots__ = ("_future", "_in_place", "scope")

    def __init__(self, scope: str | None, in_place: Callable[[], bool] | None = None) -> None:
        self.scope = scope
        self._in_place = in_place
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

    def serve(self) -> None:
        """Serve it in place, if it sleeps; wake it if that is not enough, or fails: its task comes to the same place."""
        if self._future is None or self._future.done():
            return
        try:
            is_all = self._in_place is not None and self._in_place()
        except Exception:  # noqa: BLE001 - the task raises it where somebody hears it; the others must be served
            is_all = False
        if not is_all:
            self.wake()


class WakeUps:
    """All sleepers of one view."""

    def __init__(self) -> None:
        self._of_everything: set[Sleeper] = set()
        self._of_worker: dict[str, set[Sleeper]] = {}
        # Who is served next, each once and in the order of the wake-ups, and whether that is going on.
        self._next: dict[Sleeper, None] = {}
        self._serving = False

    def add(self, sleeper: Sleeper) -> None:
        self._sleepers(sleeper.scope).add(sleeper)

    def remove(self, sleeper: Sleeper) -> None:
        """Forget a sleeper; harmless when it is not here."""
        sleepers = self._sleepers(sleeper.scope)
        sleepers.discard(sleeper)
        self._next.pop(sleeper, None)
        if sleeper.scope is not None and not sleepers:
            del self._of_worker[sleeper.scope]

    def _sleepers(self, scope: str | None) -> set[Sleeper]:
        return self._of_everything if scope is None else self._of_worker.setdefault(scope, set())

    def wake(self, workers: Iterable[str]) -> None:
        """Serve who follows one of these Workers, and who follows everything: now, and what takes longer in later turns."""
        self._next.update(dict.fromkeys(self._of_everything))
        of_worker = self._of_worker
        if of_worker:
            for worker_id in workers:
                if worker_id in of_worker:
                    self._next.update(dict.fromkeys(of_worker[worker_id]))
        if not self._serving:
            self._serve_some()

    def _serve_some(self) -> None:
        monotonic, until = time.monotonic, time.monotonic() + _SERVING_SECONDS
        following = self._next
        self._serving = True
        try:
            while following:
                sleeper = next(iter(following))
                del following[sleeper]
                sleeper.serve()
                if monotonic() > until:
                    break
        finally:
            # Whatever was raised: a round that is said to go on and does not would be the last for everybody.
            self._serving = bool(following)
            if following:
                asyncio.get_running_loop().call_soon(self._serve_some)

    def wake_all(self) -> None:
        """Wake everybody: something other than an event happened."""
        for sleepers in (self._of_everything, *self._of_worker.values()):
            for sleeper in sleepers:
                sleeper.wake()

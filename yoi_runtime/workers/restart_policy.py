"""Whether a Worker that has ended runs again, and when: decided here, done in ``runtime.child_workers``. Pure.

The words are those of systemd and of Compose: on-failure, always; a delay that doubles up to a cap; a limit of
restarts within a window. Decision: docs/decisions/0029-configured-workers.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from yoi_runtime.workers.outcome import WorkerExit

__all__ = ["GiveUp", "NoRestart", "Restart", "RestartDecision", "RestartPolicy", "RestartWhen", "Restarts"]

RestartWhen = Literal["never", "on-failure", "always"]

# Doubling stops mattering long before: 2 to this power is over any cap.
_MOST_DOUBLINGS: Final = 64


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a Worker runs again. ``limit``: so many restarts within ``window_seconds`` are enough; None: there is no limit.

    A run of ``healthy_seconds`` makes all before it forgotten: the delay begins anew, and so does the counting.
    """

    when: RestartWhen = "never"
    first_delay_seconds: float = 1.0
    max_delay_seconds: float = 60.0
    healthy_seconds: float = 10.0
    limit: int | None = 10
    window_seconds: float = 600.0

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for numbers that make no sense together."""
        if not 0 < self.first_delay_seconds <= self.max_delay_seconds:
            raise ValueError("the first delay must be over 0 s and not over the longest")
        if self.healthy_seconds <= 0 or self.window_seconds <= 0:
            raise ValueError("the healthy time and the window must be over 0 s")
        if self.limit is not None and self.limit < 1:
            raise ValueError("the limit must be at least 1; no restart at all is the policy never")


@dataclass(frozen=True, slots=True)
class Restart:
    """Run it again after ``delay_seconds``; ``number`` counts the restarts since a healthy run."""

    delay_seconds: float
    number: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It ended once too often: ``restarts`` within ``window_seconds``, none of them healthy."""

    restarts: int
    window_seconds: float


@dataclass(frozen=True, slots=True)
class NoRestart:
    """This end is its end: the policy has nothing against it, or somebody stopped it."""


RestartDecision: TypeAlias = Restart | GiveUp | NoRestart


class Restarts:
    """The restarts of one Worker. Times are seconds of one clock that never goes back; the caller reads it."""

    def __init__(self, policy: RestartPolicy, random: Callable[[], float]) -> None:
        """Take ``random`` for the jitter: numbers in [0, 1)."""
        self._policy = policy
        self._random = random
        self._doublings = 0
        self._number = 0
        self._recent: deque[float] = deque()

    def after(self, ended: WorkerExit, ran_seconds: float, now: float) -> RestartDecision:
        """Decide what follows a run of ``ran_seconds`` that has ended just ``now``.

        The delay lies between half and the whole of a bound that doubles from restart to restart: Workers that died
        of the same thing do not come back at the same moment, and none comes back at once.
        """
        policy = self._policy
        failed = ended.outcome in ("failed", "crashed")
        if ended.outcome == "cancelled" or policy.when == "never" or (policy.when == "on-failure" and not failed):
            return NoRestart()
        if ran_seconds >= policy.healthy_seconds:
            self._doublings = self._number = 0
            self._recent.clear()
        while self._recent and self._recent[0] <= now - policy.window_seconds:
            self._recent.popleft()
        if policy.limit is not None:
            if len(self._recent) >= policy.limit:
                return GiveUp(len(self._recent), policy.window_seconds)
            # Without a limit nobody counts, and nothing grows.
            self._recent.append(now)
        bound = min(policy.first_delay_seconds * 2.0**self._doublings, policy.max_delay_seconds)
        self._doublings = min(self._doublings + 1, _MOST_DOUBLINGS)
        self._number += 1
        return Restart(bound / 2 + self._random() * bound / 2, self._number)

"""How a Worker's process ended, and what that means for the Worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["WorkerExit", "WorkerExitOutcome", "worker_exit"]

# The fifth outcome of the vocabulary, ``lost``, is for Workers nobody saw ending.
WorkerExitOutcome = Literal["completed", "failed", "cancelled", "crashed"]


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """The end of a Worker. ``exit_code`` and ``signal`` are None where there was none.

    ``stop_reason`` is what the caller of ``stop`` gave, None when nobody stopped the Worker.
    """

    outcome: WorkerExitOutcome
    exit_code: int | None
    signal: int | None
    stop_reason: str | None = None

    @property
    def description(self) -> str:
        """What the process left, for people."""
        if self.signal is not None:
            return f"signal {self.signal}"
        return f"exit code {self.exit_code}" if self.exit_code is not None else "no process"


def worker_exit(returncode: int, stop_reason: str | None) -> WorkerExit:
    """Judge a process by its ``returncode`` (below 0: minus the signal that ended it, as in ``subprocess``).

    A Worker stopped by us is cancelled, whatever it made of the signal.
    """
    exit_code, signal = (None, -returncode) if returncode < 0 else (returncode, None)
    outcome: WorkerExitOutcome
    if stop_reason is not None:
        outcome = "cancelled"
    elif signal is not None:
        outcome = "crashed"
    elif exit_code == 0:
        outcome = "completed"
    else:
        outcome = "failed"
    return WorkerExit(outcome, exit_code, signal, stop_reason)

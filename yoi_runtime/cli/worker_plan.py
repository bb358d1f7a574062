"""A Worker that is to be started: its command, and everything about how it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from yoi_runtime.workers.restart_policy import RestartPolicy
from yoi_runtime.workers.terminal import TerminalOptions

if TYPE_CHECKING:
    import asyncio

    from yoi_runtime.runtime.child_workers import ChildWorkers
    from yoi_runtime.workers.adapters import AdapterName
    from yoi_runtime.workers.outcome import WorkerExit

__all__ = ["STOP_GRACE_SECONDS", "WorkerPlan"]

# Of the 10 s in which everything has to be down: see ``served_runtime.py``.
STOP_GRACE_SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """How a command is to run as the Worker ``worker_id``. ``env`` None: as this process, ``terminal`` None: on pipes."""

    worker_id: str
    command: tuple[str, ...]
    adapter: AdapterName = "auto"
    cwd: Path | None = None
    env: Mapping[str, str] | None = None
    terminal: TerminalOptions | None = None
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    stop_grace_seconds: float = STOP_GRACE_SECONDS

    def start(self, children: ChildWorkers) -> asyncio.Task[WorkerExit]:
        """Start it. Raises as ``ChildWorkers.start``."""
        return children.start(
            self.worker_id,
            self.command,
            adapter=self.adapter,
            cwd=self.cwd,
            env=self.env,
            terminal=self.terminal,
            restart=self.restart,
            grace_seconds=self.stop_grace_seconds,
        )

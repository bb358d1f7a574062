"""Events that the disk refused and nobody kept: counted per Worker until the log can say so."""

from __future__ import annotations

from typing import NamedTuple

from yoi_runtime.events import EventsLost

__all__ = ["RefusedEvents"]


class _Refused(NamedTuple):
    events: int
    from_time: str
    to_time: str


class RefusedEvents:
    """Who lost how many events, from when to when. Whoever holds the log's turn may use it."""

    __slots__ = ("by_worker",)

    def __init__(self) -> None:
        self.by_worker: dict[str, _Refused] = {}

    def note(self, worker_id: str | None, time: str, events: int = 1) -> None:
        """Count ``events`` of a Worker as refused; the Runtime's own (None) are told by nobody."""
        if worker_id is not None:
            before = self.by_worker.get(worker_id, _Refused(0, time, time))
            self.by_worker[worker_id] = _Refused(before.events + events, before.from_time, time)

    def losses(self) -> list[tuple[str, EventsLost]]:
        """Return what there is to tell, and of whom. Once that is in the log, it goes from ``by_worker``."""
        return [
            (worker_id, EventsLost(count=refused.events, from_time=refused.from_time, to_time=refused.to_time))
            for worker_id, refused in self.by_worker.items()
        ]

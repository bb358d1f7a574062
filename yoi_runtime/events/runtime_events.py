"""Events that the Runtime itself writes: its own life, its Workers' lives, and what its log went through.

A child process may emit none of them.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from yoi_runtime.events.event import Event, UnitEvent
from yoi_runtime.events.scalars import I32, U32, U64, Flag, Omittable, Str, UtcTime, WorkerId

__all__ = [
    "RUNTIME_EVENTS",
    "EventsLost",
    "LogRecovered",
    "Lost",
    "RuntimeStarted",
    "RuntimeStopping",
    "WorkerCreated",
    "WorkerEnded",
    "WorkerOutcome",
    "WorkerStarted",
]

WorkerOutcome = Literal["completed", "failed", "cancelled", "crashed", "lost"]


class RuntimeStarted(Event):
    """A Runtime opened the log."""

    event_name: ClassVar[str] = "runtime_started"
    version: Str
    pid: U32


class RuntimeStopping(Event):
    """The Runtime is about to close the log; its Workers have ended."""

    event_name: ClassVar[str] = "runtime_stopping"
    reason: Omittable[Str] = None


class WorkerCreated(Event):
    """A Worker id was used for the first time."""

    event_name: ClassVar[str] = "worker_created"
    worker_id: WorkerId


class WorkerStarted(Event):
    """A Worker began its ``run``-th run, from 1; ``command`` and ``pid`` when it is a process."""

    event_name: ClassVar[str] = "worker_started"
    worker_id: WorkerId
    run: Annotated[U32, Field(ge=1)]
    command: Omittable[tuple[Str, ...]] = None
    pid: Omittable[U32] = None


class WorkerEnded(Event):
    """A Worker's run ended; ``lost`` when nobody saw how. ``exit_code`` when its process left one.

    ``restart_pending``: its Runtime is going to run it again, so this is not the end of its events.
    """

    event_name: ClassVar[str] = "worker_ended"
    worker_id: WorkerId
    outcome: WorkerOutcome
    exit_code: Omittable[I32] = None
    restart_pending: Omittable[Flag] = None


class LogRecovered(Event):
    """Opening the log repaired its last segment: ``kept_events`` stayed in it, ``dropped_bytes`` went."""

    event_name: ClassVar[str] = "log_recovered"
    segment: U64
    kept_events: U64
    dropped_bytes: U64
    reason: Str


class EventsLost(Event):
    """The log refused ``count`` events of a Worker (disk full), between the two times, both included.

    Stands in that Worker's own sequence.
    """

    event_name: ClassVar[str] = "events_lost"
    count: U64
    from_time: UtcTime
    to_time: UtcTime


class Lost(UnitEvent):
    """Stands for an event whose record was damaged; ``yoi-log repair`` wrote it.

    It has the place, seq and event id of the lost event, and its Worker and worker_seq where they are known.
    """

    event_name: ClassVar[str] = "lost"


RUNTIME_EVENTS: tuple[type[Event], ...] = (
    RuntimeStarted,
    RuntimeStopping,
    WorkerCreated,
    WorkerStarted,
    WorkerEnded,
    LogRecovered,
)

"""The answers of the read-only HTTP endpoints, as the server makes them.

``…Answer`` and ``EventsStatus`` are whole bodies. Fields that are None are left out.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from yoi_runtime.events.conversation_events import WorkerStatus
from yoi_runtime.events.runtime_events import WorkerOutcome
from yoi_runtime.protocol.versions import ProtocolVersion

__all__ = [
    "ApiInfo",
    "EventsStatus",
    "RuntimeAnswer",
    "RuntimeInfo",
    "WorkerAnswer",
    "WorkerEventsStatus",
    "WorkerInfo",
    "WorkersAnswer",
]

_Count: TypeAlias = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Answer(_Model):
    def body(self) -> bytes:
        """Encode as compact UTF-8 JSON."""
        return self.model_dump_json(exclude_none=True).encode()


class ApiInfo(_Model):
    """What this server speaks."""

    stream_versions: tuple[ProtocolVersion, ...]


class RuntimeInfo(_Model):
    """``version`` is the program's; ``started_at`` None: no Runtime runs on this log, or this process cannot know."""

    runtime_id: str
    log_id: str
    version: str
    started_at: str | None = None
    api: ApiInfo


class WorkerInfo(_Model):
    """A Worker. ``outcome``, ``exit_code`` and ``ended_at`` are of its latest run and None while it runs.

    ``worker_seq`` is the number of its latest event, 0 before the first. ``run`` counts its starts, from 1.
    ``restart_pending`` is True when it has ended and its Runtime is going to run it again.
    ``cursor`` is the point after its latest event.
    """

    worker_id: str
    status: WorkerStatus
    outcome: WorkerOutcome | None = None
    exit_code: int | None = None
    restart_pending: bool | None = None
    worker_seq: _Count
    run: Annotated[int, Field(ge=1)] | None = None
    created_at: str | None = None
    ended_at: str | None = None
    cursor: str | None = None


class WorkerEventsStatus(_Model):
    """What the log holds of one Worker.

    ``worker_seq`` numbers its latest event, ``oldest_worker_seq`` the oldest still readable; with none readable
    that is ``worker_seq + 1``. ``cursor`` is the point after the latest event.
    """

    worker_id: str
    worker_seq: _Count
    oldest_worker_seq: Annotated[int, Field(ge=1)]
    cursor: str


class RuntimeAnswer(_Answer):
    """``/v1/runtime``."""

    runtime: RuntimeInfo


class WorkersAnswer(_Answer):
    """``/v1/workers``: one page, in the order of ids; ``next_after`` leads to the next page, None on the last."""

    workers: tuple[WorkerInfo, ...]
    next_after: str | None = None


class WorkerAnswer(_Answer):
    """``/v1/workers/{worker_id}``."""

    worker: WorkerInfo


class EventsStatus(_Answer):
    """``/v1/events/status``: readable events, their bytes and segments, and the ends between which cursors are good.

    ``workers`` is one page, as in ``WorkersAnswer``.
    """

    log_id: str
    oldest_cursor: str
    latest_cursor: str
    durable_cursor: str
    events: _Count
    bytes: _Count
    segments: _Count
    workers: tuple[WorkerEventsStatus, ...]
    next_after: str | None = None

"""Tornado adapter: the read-only HTTP endpoints. Specification: docs/protocol.md, "HTTP"."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable

from yoi_runtime.catalog.worker_state import WorkerState
from yoi_runtime.errors import LogUnavailableError, RequestInvalidError
from yoi_runtime.protocol.diagnostics import DiagnosticCode, diagnostic
from yoi_runtime.protocol.http_models import (
    ApiInfo,
    EventsStatus,
    RuntimeAnswer,
    RuntimeInfo,
    WorkerAnswer,
    WorkerEventsStatus,
    WorkerInfo,
    WorkersAnswer,
)
from yoi_runtime.protocol.page_request import PageRequest, parse_page_request
from yoi_runtime.protocol.versions import ProtocolVersion
from yoi_runtime.server.credentials import Grant
from yoi_runtime.server.diagnose import diagnose_request, worker_not_found
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.request_base import DiagnosticAnswerError, GuardedRequest, Shows
from yoi_runtime.version import VERSION

__all__ = ["EventsStatusView", "HealthView", "ReadyView", "RuntimeView", "WorkerView", "WorkersView"]


class _LogRequest(GuardedRequest):
    """A request that needs the log."""

    def prepare(self) -> None:
        super().prepare()
        try:
            self.state.view.check_available()
        except LogUnavailableError as error:
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.UNAVAILABLE, error.reason)) from error

    def head(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
        return self.get(*args, **kwargs)

    def page_request(self) -> PageRequest:
        """Return which Workers are asked for, or answer 400."""
        try:
            return parse_page_request(self.query_pairs())
        except RequestInvalidError as error:
            raise DiagnosticAnswerError(diagnose_request(error)) from error


class RuntimeView(_LogRequest):
    """``/v1/runtime``: what every stream's first frame tells, too."""

    shows = Shows.SOME

    def get(self) -> None:
        log_id = self.state.view.log_id
        info = RuntimeInfo(
            runtime_id=f"rt-{log_id}",
            log_id=log_id,
            version=VERSION,
            api=ApiInfo(stream_versions=tuple(ProtocolVersion)),
        )
        self.finish(RuntimeAnswer(runtime=info).body())


class WorkersView(_LogRequest):
    """``/v1/workers``: the Workers that the log knows and the token may see, by id, a page at a time."""

    shows = Shows.SOME

    def get(self) -> None:
        view = self.state.view
        states, next_after = _page_of(view, self.page_request(), self.grant)
        workers = tuple(_worker_info(view, state) for state in states)
        self.finish(WorkersAnswer(workers=workers, next_after=next_after).body())


class WorkerView(_LogRequest):
    """``/v1/workers/{worker_id}``."""

    shows = Shows.WORKER

    def get(self, worker_id: str) -> None:
        view = self.state.view
        state = view.worker(self.checked_worker_id(worker_id))
        if state is None:
            raise DiagnosticAnswerError(worker_not_found(worker_id))
        self.finish(WorkerAnswer(worker=_worker_info(view, state)).body())


class EventsStatusView(_LogRequest):
    """``/v1/events/status``: what can be read, and between which cursors; of the Workers a page at a time."""

    async def get(self) -> None:
        view = self.state.view
        page = self.page_request()
        # The last listing may be of before the last rotation.
        await view.relist()
        states, next_after = _page_of(view, page, self.grant)
        floor, end = view.floor(), view.end
        numbers = view.reader.segment_numbers()
        self.finish(
            EventsStatus(
                log_id=view.log_id,
                oldest_cursor=view.token(floor),
                latest_cursor=view.token(end),
                durable_cursor=view.token(min(view.synced, end)),
                events=end.seq - floor.seq,
                bytes=view.reader.readable_bytes(),
                segments=len(numbers),
                workers=tuple(
                    WorkerEventsStatus(
                        worker_id=state.worker_id,
                        worker_seq=state.worker_seq,
                        oldest_worker_seq=(state.rotated_out.last_worker_seq if state.rotated_out else 0) + 1,
                        cursor=view.token(end, state.worker_id, state.worker_seq),
                    )
                    for state in states
                ),
                next_after=next_after,
            ).body()
        )


class HealthView(GuardedRequest):
    """``/healthz``: this process answers."""

    shows = Shows.NOTHING

    def get(self) -> None:
        self.finish(b'{"status":"ok"}')

    def head(self) -> None:
        self.get()


class ReadyView(GuardedRequest):
    """``/readyz``: this process can serve streams; 503 while it starts, stops, or has lost the log."""

    shows = Shows.NOTHING

    def get(self) -> None:
        if self.state.closing or not self.state.view.ready:
            self.set_status(503)
            self.finish(b'{"status":"unavailable"}')
        else:
            self.finish(b'{"status":"ready"}')

    def head(self) -> None:
        self.get()


def _page_of(view: LogView, page: PageRequest, grant: Grant | None) -> tuple[list[WorkerState], str | None]:
    """Return the Workers of a page, and after which id the next one begins if there are more."""
    workers = view.ledger.workers
    seen = workers if grant is None or grant.workers is None else workers.keys() & grant.workers
    ids = heapq.nsmallest(page.limit + 1, (worker_id for worker_id in seen if worker_id > page.after))
    shown = ids[: page.limit]
    return [workers[worker_id] for worker_id in shown], shown[-1] if len(ids) > page.limit else None


def _worker_info(view: LogView, state: WorkerState) -> WorkerInfo:
    return WorkerInfo(
        worker_id=state.worker_id,
        status=state.status,
        outcome=state.outcome,
        exit_code=state.exit_code,
        restart_pending=state.restart_pending or None,
        worker_seq=state.worker_seq,
        run=state.run or None,
        created_at=state.created_at,
        ended_at=state.ended_at,
        cursor=view.token(view.end, state.worker_id, state.worker_seq),
    )

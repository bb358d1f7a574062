"""Tornado adapter: the server as a whole. Starts it, stops it, and knows its sockets.

Belongs to the running asyncio event loop. It reads the log in ``data_dir`` and nothing else: it does not
know whether a Runtime lives in the same process.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from yoi_runtime.notices import Notice, named
from yoi_runtime.segment_log.figures import LogFigures
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.credentials import Credentials
from yoi_runtime.server.descriptors import (
    ConnectionRoom,
    connection_room,
    open_descriptors,
    wanted_descriptors,
)
from yoi_runtime.server.doorway import Doorway
from yoi_runtime.server.event_socket import EventSocket
from yoi_runtime.server.http_views import (
    EventsStatusView,
    HealthView,
    ReadyView,
    RuntimeView,
    WorkersView,
    WorkerView,
)
from yoi_runtime.server.keepalive import PING_SECONDS, PONG_SECONDS, Keepalive
from yoi_runtime.server.limits import LimitCounters, Limits
from yoi_runtime.server.log_view import CACHE_BYTES, LogView
from yoi_runtime.server.loop_watch import LoopWatch
from yoi_runtime.server.metrics import ServerMetrics
from yoi_runtime.server.metrics_view import MetricsView
from yoi_runtime.server.request_base import NoSuchPath, ServerState
from yoi_runtime.server.request_guard import HostList
from yoi_runtime.server.sibling_metrics import SiblingMetrics, SiblingPlace
from yoi_runtime.server.tls_files import TlsIdentity
from yoi_runtime.server.transcript_source import TranscriptSource
from yoi_runtime.server.transcript_view import TranscriptView
from yoi_runtime.server.websocket_outlet import STALL_SECONDS
from yoi_runtime.workers.descriptor_limit import raised_limit
from yoi_runtime.workers.worker_counts import WorkerCounts

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "EventServer"]

_log = logging.getLogger("yoi_runtime.server")

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 38800
_LOG_DIRECTORY = "log"
# How long subscribers have to take their last frames at a stop, and to catch up before that.
_DRAIN_SECONDS = 3.0
_LAST_EVENTS_SECONDS = 1.5
# How soon a token that was revoked ends its streams.
_LOOK_SECONDS = 1.0
# What is read of a connection before somebody takes it.
_MAX_BUFFER_BYTES = 1 << 20
# Those who wait while the doorway makes room; the kernel may hold fewer.
_BACKLOG = 1024
_WORKER = r"/v1/workers/(?P<worker_id>[^/]*)"


class EventServer:
    """A running server. Made by ``start``."""

    def __init__(
        self, http: HTTPServer, state: ServerState, regular: Sequence[asyncio.Task[None]], url: str, port: int
    ) -> None:
        self._http = http
        self._state = state
        self._regular = regular
        self._metrics: ServerMetrics | None = None
        self._siblings: SiblingMetrics | None = None
        self.url = url
        self.port = port
        self._stopped = False

    @classmethod
    async def start(
        cls,
        data_dir: Path,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        *,
        transcripts: TranscriptSource | None = None,
        stall_seconds: float = STALL_SECONDS,
        ping_seconds: float = PING_SECONDS,
        pong_seconds: float = PONG_SECONDS,
        cache_bytes: int = CACHE_BYTES,
        listening: Sequence[socket.socket] | None = None,
        access: ServerAccess | None = None,
        limits: Limits | None = None,
        figures: LogFigures | None = None,
        workers: WorkerCounts | None = None,
        siblings: SiblingPlace | None = None,
    ) -> EventServer:
        """Bind, read the log's state, and serve. Port 0 picks a free one; ``url`` and ``port`` tell.

        ``listening``: sockets that are bound already (``bind``), instead; the server closes them. ``cache_bytes``: how
        much of the log is kept in memory for subscribers to share. ``transcripts``: where they come from; None answers
        none. ``access``: who may connect; None is everybody on this machine. ``limits``: None is the usual ones.
        The process's soft limit of open files is raised as far as they need. ``figures``, ``workers``: of the Runtime,
        where that is in this process. ``siblings``: where server processes on the same address ask each other for their metrics.

        The port is bound first and answers only when the log has been read: a port in use costs nothing.

        Raises:
            OSError: the address cannot be bound; it is never shared with another process.
            LogNotFoundError: there is no log in ``data_dir``.
            LogError: the log cannot be read.
            OpenToAllError: others than this machine could connect, and nobody would be asked for a token.
            SecretFileError: the token file, the certificate or the key cannot be used.
            DescriptorLimitError: the limits do not fit under that of open files.
        """
        access = access if access is not None else ServerAccess()
        access.check_bind(host)
        loop = asyncio.get_running_loop()
        sockets = cls.bind(host, port) if listening is None else list(listening)
        try:
            credentials = Credentials(access.token_file, loop.time) if access.token_file is not None else None
            identity = TlsIdentity(access.tls) if access.tls is not None else None
            view = LogView(data_dir, data_dir / _LOG_DIRECTORY, REAL_PLATFORM, cache_bytes)
            try:
                await view.start()
                room = _room(limits if limits is not None else Limits())
            except BaseException:
                await view.close()
                raise
        except BaseException:
            for bound in sockets:
                bound.close()
            raise
        keepalive = Keepalive(loop.time, ping_seconds, pong_seconds)
        watch = LoopWatch(loop.time, lambda: view.end.seq)
        state = ServerState(
            view,
            HostList(host, access.allow_hosts),
            keepalive,
            watch,
            transcripts=transcripts,
            stall_seconds=stall_seconds,
            credentials=credentials,
            limits=room.limits,
        )
        metrics = ServerMetrics(state, figures, workers)
        shared_metrics = None
        if siblings is not None:
            shared_metrics = SiblingMetrics(metrics, siblings)
            await shared_metrics.start()
        http = HTTPServer(
            _application(state, metrics, shared_metrics),
            # The doorway drops who sends no good request in time; this is for the next request of who did.
            idle_connection_timeout=room.limits.header_seconds + _LOOK_SECONDS,
            body_timeout=5,
            max_header_size=room.limits.header_bytes,
            max_body_size=64 << 10,
            max_buffer_size=_MAX_BUFFER_BYTES,
        )
        state.doorway = Doorway(
            room.limits,
            room.connections,
            state.counters,
            state.refusals,
            http.handle_stream,
            tls=(lambda: identity.context) if identity is not None else None,
            max_buffer_bytes=_MAX_BUFFER_BYTES,
        )
        bound_port = int(sockets[0].getsockname()[1])
        state.doorway.open(sockets)
        shown_host = f"[{host}]" if ":" in host else host or DEFAULT_HOST
        scheme = "http" if identity is None else "https"
        regular = [
            loop.create_task(keepalive.run(), name="keepalive"),
            loop.create_task(watch.run(), name="loop watch"),
            loop.create_task(_look_after(state, identity), name="guard"),
        ]
        server = cls(http, state, regular, f"{scheme}://{shown_host}:{bound_port}", bound_port)
        server._metrics, server._siblings = metrics, shared_metrics
        return server

    @staticmethod
    def bind(host: str, port: int) -> list[socket.socket]:
        """Return sockets that listen at an address, for this process and those that inherit them.

        Raises:
            OSError: the address cannot be bound; it is never shared with another process. ``filename`` has the address.
        """
        try:
            return bind_sockets(port, host, backlog=_BACKLOG, reuse_port=False)
        except OSError as error:
            # A name that does not resolve has a number of another kind, and a text of its own.
            shown_host = f"[{host}]" if ":" in host else host
            raise OSError(error.errno, error.strerror or str(error), f"{shown_host}:{port}") from error

    @property
    def subscribers(self) -> int:
        """Return how many WebSockets are open."""
        return len(self._state.sockets)

    @property
    def counters(self) -> LimitCounters:
        """Return what is counted against the limits."""
        return self._state.counters

    def refuse(self) -> None:
        """Let no new subscriber in: ``/readyz`` answers 503 from now on. Those that are here go on; ``stop`` is next."""
        self._state.closing = True

    @property
    def looked_at(self) -> float:
        """Return when, in loop time, the event loop last came round to what is done regularly."""
        return self._state.watch.looked_at

    async def stop(self) -> None:
        """Refuse new requests, tell every subscriber, wait for them up to 3 s, close. May be repeated."""
        if self._stopped:
            return
        self._stopped = True
        self.refuse()
        self._state.view.begin_closing()
        await self._state.wait_for_last_socket(_LAST_EVENTS_SECONDS)
        self._state.view.hurry()
        await self._state.wait_for_last_socket(_DRAIN_SECONDS - _LAST_EVENTS_SECONDS)
        if self._state.doorway is not None:
            self._state.doorway.close()
        for remaining in list(self._state.sockets):
            remaining.drop()
        await self._http.close_all_connections()
        if self._siblings is not None:
            await self._siblings.stop()
        for task in self._regular:
            task.cancel()
        await asyncio.gather(*self._regular, return_exceptions=True)
        await self._state.view.close()


def _room(limits: Limits) -> ConnectionRoom:
    """Fit the limits under that of open files, which is raised first. Raises ``DescriptorLimitError``."""
    in_use = open_descriptors()
    return connection_room(limits, raised_limit(wanted_descriptors(limits, in_use)), in_use)


async def _look_after(state: ServerState, identity: TlsIdentity | None) -> None:
    """Every second: take over a changed token file or certificate, end what is not to go on. Until cancelled."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            if identity is not None:
                identity.look()
            if state.credentials is not None:
                state.credentials.look(thorough=True)
                for open_socket in list(state.sockets):
                    open_socket.check_grant()
            if state.doorway is not None:
                state.doorway.sweep()
        except Exception:  # noqa: BLE001 - nothing above this task would go on
            # A bug of ours must not leave a revoked token in force for ever.
            _log.exception("the guard failed, and goes on", extra=named(Notice.GUARD_FAILED))


def _application(state: ServerState, metrics: ServerMetrics, siblings: SiblingMetrics | None) -> Application:
    shared = {"state": state}
    measured = {"state": state, "metrics": metrics, "siblings": siblings}
    return Application(
        [
            (r"/v1/events/ws", EventSocket, shared),
            (_WORKER + r"/events/ws", EventSocket, shared),
            (r"/v1/runtime", RuntimeView, shared),
            (r"/v1/workers", WorkersView, shared),
            (_WORKER, WorkerView, shared),
            (_WORKER + r"/transcript", TranscriptView, shared),
            (r"/v1/events/status", EventsStatusView, shared),
            (r"/healthz", HealthView, shared),
            (r"/readyz", ReadyView, shared),
            (r"/metrics", MetricsView, measured),
        ],
        default_handler_class=NoSuchPath,
        default_handler_args=shared,
        log_function=_log_request,
        # A peer of ours sends nothing; ping and close frames are smaller than this.
        websocket_max_message_size=4 << 10,
    )


def _log_request(handler: RequestHandler) -> None:
    """Log the path template, never the query: it may hold what should not be in a log."""
    # 503 is a state, told where it begins, and a load balancer asks for it every second.
    if handler.get_status() >= 500 and handler.get_status() != 503:
        name, level = Notice.REQUEST_FAILED, logging.ERROR
    else:
        name, level = Notice.REQUEST_ANSWERED, logging.DEBUG
    view, status = type(handler).__name__, handler.get_status()
    _log.log(level, "%s answered %d", view, status, extra=named(name, view=view, status=status))

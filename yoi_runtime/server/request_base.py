"""Tornado adapter: what every request to this server has in common: the guard, and errors as diagnostics.

Before a handler does anything: browser and host (403), a credential in the address (400), the token (401), the method
(405), and whether the token may see the whole Runtime where that is shown (403).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError, RequestHandler

from yoi_runtime.errors import LogError, WorkerIdInvalidError
from yoi_runtime.notices import Notice, named
from yoi_runtime.protocol.diagnostics import Diagnostic, DiagnosticCode, code_spec, diagnostic
from yoi_runtime.server.credentials import Credentials, Grant, query_credential
from yoi_runtime.server.keepalive import Keepalive
from yoi_runtime.server.limits import LimitCounters, Limits, RefusedBecause, SubscriberPlaces
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.loop_watch import LoopWatch
from yoi_runtime.server.refusals import Refusals
from yoi_runtime.server.request_guard import HostList, refusal
from yoi_runtime.server.traffic import Traffic
from yoi_runtime.server.transcript_source import TranscriptSource
from yoi_runtime.workers.worker_id import check_worker_id

if TYPE_CHECKING:
    from yoi_runtime.server.doorway import Doorway

__all__ = ["DiagnosticAnswerError", "GuardedRequest", "NoSuchPath", "ServerState", "Shows"]

_log = logging.getLogger("yoi_runtime.server")

_CHALLENGE = 'Bearer realm="yoi-runtime"'


@dataclass(slots=True)
class ServerState:
    """What the handlers of one server share."""

    view: LogView
    hosts: HostList
    keepalive: Keepalive
    watch: LoopWatch
    closing: bool = False
    transcripts: TranscriptSource | None = None
    stall_seconds: float = 20.0
    # None: nobody is asked for a token.
    credentials: Credentials | None = None
    limits: Limits = field(default_factory=Limits)
    counters: LimitCounters = field(default_factory=LimitCounters)
    doorway: Doorway | None = None
    traffic: Traffic = field(default_factory=Traffic)
    sockets: set[Any] = field(default_factory=set)
    places: SubscriberPlaces = field(init=False)
    refusals: Refusals = field(init=False)
    _last_left: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.places = SubscriberPlaces(self.limits, self.counters)
        self.refusals = Refusals(self.counters)

    def socket_left(self, socket: object) -> None:
        """Take note that a socket is closed."""
        self.sockets.discard(socket)
        if not self.sockets:
            self._last_left.set()

    async def wait_for_last_socket(self, most_seconds: float) -> None:
        """Wait until no socket is open any more, or the time is up."""
        self._last_left.clear()
        if self.sockets:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._last_left.wait(), most_seconds)


class DiagnosticAnswerError(Exception):
    """Ends a request with a diagnostic as its body, before any upgrade."""

    def __init__(self, problem: Diagnostic, http_status: int | None = None) -> None:
        self.problem = problem
        self.http_status = http_status or code_spec(problem.code).http_status or 500
        super().__init__(problem.code.value)


class Shows(Enum):
    """What a handler shows, and so what a token has to be good for."""

    NOTHING = auto()  # of the log: anybody may ask
    SOME = auto()  # as much as the token is good for
    WORKER = auto()  # the Worker that the path names: ``checked_worker_id`` looks
    EVERYTHING = auto()


class GuardedRequest(RequestHandler):
    """Base of all handlers. Bodies are JSON; header values are fixed text, never a peer's."""

    state: ServerState
    # Of a handler that does not say, the most is feared.
    shows = Shows.EVERYTHING
    # Whose request it is; None where nobody is asked for a token.
    grant: Grant | None = None
    stream: Any = None
    _challenge = _CHALLENGE
    # What a 405 has to say (RFC 9110, section 15.5.6).
    allowed_methods = "GET, HEAD"

    def initialize(self, state: ServerState) -> None:
        self.state = state

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Cache-Control", "no-store")

    def prepare(self) -> None:
        reason = refusal(self.request.headers, self.state.hosts)
        if reason is not None:
            self.state.refusals.note(RefusedBecause.BROWSER)
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.ORIGIN_REFUSED, reason))
        if query_credential(self.query_pairs()) is not None:
            message = "a credential in the address ends up in logs: send it as Authorization: Bearer, and replace it"
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.INVALID_REQUEST, message))
        if self.shows is not Shows.NOTHING:
            self._check_token()
        # Of this connection, also when it has become a WebSocket; None when it is gone already.
        self.stream = getattr(self.request.connection, "stream", None)
        # What anybody may ask makes nobody known: without a token a connection stays unfinished, and ends in time.
        known = self.grant is not None
        if self.state.doorway is not None and self.stream is not None and (known or self.state.credentials is None):
            self.state.doorway.passed(self.stream, known=known)
        if self.request.method not in self.allowed_methods.split(", "):
            raise HTTPError(405)
        if self.shows is Shows.EVERYTHING:
            self.check_sees_everything()

    def _check_token(self) -> None:
        credentials = self.state.credentials
        if credentials is None:
            return
        authorization = self.request.headers.get("Authorization")
        self.grant = credentials.grant(authorization)
        if self.grant is None:
            self.state.refusals.note(RefusedBecause.UNAUTHENTICATED)
            given = authorization is not None
            # RFC 6750, section 3: the reason only to whom has shown something.
            self._challenge = _CHALLENGE + (', error="invalid_token"' if given else "")
            message = (
                "this token is unknown, expired or revoked"
                if given
                else "this server asks for a token: send Authorization: Bearer TOKEN"
            )
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.UNAUTHENTICATED, message))

    def check_sees_everything(self) -> None:
        """Answer 403 unless the token is good for the whole Runtime."""
        if self.grant is not None and not self.grant.sees_everything:
            self.state.refusals.note(RefusedBecause.FORBIDDEN)
            message = "this token is for some Workers only; this shows the whole Runtime"
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.FORBIDDEN, message))

    def query_pairs(self) -> list[tuple[str, str]]:
        """Return names and values of the query, decoded; repeated and empty ones included."""
        return [
            (name, value.decode("utf-8", "replace"))
            for name, values in self.request.query_arguments.items()
            for value in values
        ]

    def checked_worker_id(self, worker_id: str) -> str:
        """Return the id from the path (decoded), or answer 400; 403 when it is none of the token's, there or not."""
        try:
            check_worker_id(worker_id)
        except WorkerIdInvalidError:
            message = "a Worker id is 1 to 64 of the characters A-Z a-z 0-9 _ -"
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.INVALID_REQUEST, message)) from None
        if self.grant is not None and not self.grant.sees(worker_id):
            self.state.refusals.note(RefusedBecause.FORBIDDEN)
            message = "this token is not for this Worker"
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.FORBIDDEN, message, worker_id=worker_id))
        return worker_id

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer every error, ours or Tornado's, with a diagnostic."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, (LogError, OSError)):
            error = DiagnosticAnswerError(diagnostic(DiagnosticCode.UNAVAILABLE, "the log cannot be read at present"))
        if isinstance(error, DiagnosticAnswerError):
            self.set_status(error.http_status)
            retry_after_ms = error.problem.retry_after_ms
            if retry_after_ms is not None:
                self.set_header("Retry-After", str(-(-retry_after_ms // 1000)))
            if error.http_status == 401:
                self.set_header("WWW-Authenticate", self._challenge)
            if error.http_status == 426:
                self.set_header("Upgrade", "websocket")
                self.set_header("Sec-WebSocket-Version", "13")
            self.state.traffic.turned_away(error.problem.code)
            self.finish(error.problem.frame())
            return
        if status_code == 405:
            self.set_header("Allow", self.allowed_methods)
        if status_code >= 500:
            problem = diagnostic(DiagnosticCode.INTERNAL, "this server failed to answer; its log has the reason")
        else:
            problem = diagnostic(DiagnosticCode.INVALID_REQUEST, f"HTTP {status_code}: {self._reason}")
        self.state.traffic.turned_away(problem.code)
        self.finish(problem.frame())

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """A refusal is no fault of ours: only bugs are logged, with their stack."""
        if isinstance(value, (LogError, OSError)):
            _log.warning("the log could not answer a request: %s", value, extra=named(Notice.REQUEST_WITHOUT_LOG))
        elif not isinstance(value, (DiagnosticAnswerError, HTTPError)):
            # Not Tornado's own words: they have the whole request in them, with its query.
            view = type(self).__name__
            _log.error("%s failed", view, exc_info=value, extra=named(Notice.REQUEST_FAILED, view=view))


class NoSuchPath(GuardedRequest):
    """Every path that there is not."""

    shows = Shows.SOME

    def prepare(self) -> None:
        super().prepare()
        raise DiagnosticAnswerError(diagnostic(DiagnosticCode.INVALID_REQUEST, "there is nothing under this path"), 404)

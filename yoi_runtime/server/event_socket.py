"""Tornado adapter: the two WebSocket endpoints. Thin: it judges the request, then a subscriber serves.

Order of checks: browser and host (403), credential in the address (400), token (401), method (405), upgrade (426),
handshake key (400), query (400), Worker id (400), what the token is for (403), shutting down and log availability (503),
Worker (404), places (429); then the upgrade, and only then the cursor.
Specification: docs/protocol.md, "Connecting".
"""

from __future__ import annotations

import asyncio
import binascii
import logging
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from yoi_runtime.errors import LogUnavailableError, RequestInvalidError
from yoi_runtime.notices import Notice, named
from yoi_runtime.protocol.close_codes import CloseCode
from yoi_runtime.protocol.diagnostics import DiagnosticCode, code_spec, diagnostic
from yoi_runtime.protocol.stream_request import StreamRequest, parse_stream_request
from yoi_runtime.protocol.versions import SUBPROTOCOL_V1, ProtocolVersion
from yoi_runtime.server.diagnose import diagnose_request, worker_not_found
from yoi_runtime.server.limits import RefusedBecause
from yoi_runtime.server.request_base import DiagnosticAnswerError, GuardedRequest, Shows
from yoi_runtime.server.subscriber import ConsumerTooSlowError, OutletClosedError, Standing, Subscriber
from yoi_runtime.server.traffic import ABNORMAL_CLOSE
from yoi_runtime.server.websocket_outlet import WebSocketOutlet

__all__ = ["EventSocket"]

_log = logging.getLogger("yoi_runtime.server")

_FULL = {
    RefusedBecause.SUBSCRIBERS: "this server has as many as it takes",
    RefusedBecause.SUBSCRIBERS_PER_TOKEN: "this token has as many as it may",
    RefusedBecause.SUBSCRIBERS_PER_WORKER: "this Worker has as many as it may",
}


class EventSocket(GuardedRequest, WebSocketHandler):
    """One Backend's connection to ``/v1/events/ws`` or ``/v1/workers/{worker_id}/events/ws``."""

    allowed_methods = "GET"
    shows = Shows.WORKER
    _stream_request: StreamRequest
    _subscriber: Subscriber | None = None
    _outlet: WebSocketOutlet | None = None
    _serving: asyncio.Task[None] | None = None
    # As which token it took its place; what it leaves when the token is no longer good.
    _place_of: str | None = None

    def prepare(self) -> None:
        GuardedRequest.prepare(self)
        self._check_handshake()
        worker_id = self.path_kwargs.get("worker_id")
        self._stream_request = self._parsed_request(worker_id)
        if worker_id is not None:
            self.checked_worker_id(worker_id)
        else:
            self.check_sees_everything()
        if self.state.closing:
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.UNAVAILABLE, "this server is shutting down"))
        try:
            self.state.view.check_available()
        except LogUnavailableError as error:
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.UNAVAILABLE, error.reason)) from error
        if worker_id is not None and self.state.view.worker(worker_id) is None:
            raise DiagnosticAnswerError(worker_not_found(worker_id))
        full = self.state.places.full(self._token_id, worker_id)
        if full is not None:
            self.state.refusals.note(full)
            message = f"no place for another subscriber: {_FULL[full]}"
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.TOO_MANY_SUBSCRIBERS, message, worker_id=worker_id))

    @property
    def _token_id(self) -> str | None:
        return self.grant.token_id if self.grant is not None else None

    def _check_handshake(self) -> None:
        """Answer what Tornado would refuse without a diagnostic (RFC 6455, section 4.2.1)."""
        headers = self.request.headers
        if headers.get("Upgrade", "").strip().lower() != "websocket":
            problem = diagnostic(DiagnosticCode.INVALID_REQUEST, "this path is a WebSocket: send an Upgrade")
            raise DiagnosticAnswerError(problem, 426)
        if "upgrade" not in [option.strip().lower() for option in headers.get("Connection", "").split(",")]:
            problem = diagnostic(DiagnosticCode.INVALID_REQUEST, "header Connection does not name Upgrade")
            raise DiagnosticAnswerError(problem, 426)
        if headers.get("Sec-WebSocket-Version", "").strip() != "13":
            problem = diagnostic(DiagnosticCode.INVALID_REQUEST, "header Sec-WebSocket-Version is not 13")
            raise DiagnosticAnswerError(problem, 426)
        if not _is_websocket_key(headers.get("Sec-WebSocket-Key", "").strip()):
            problem = diagnostic(DiagnosticCode.INVALID_REQUEST, "header Sec-WebSocket-Key is not 16 bytes in base64")
            raise DiagnosticAnswerError(problem)

    def _parsed_request(self, worker_id: str | None) -> StreamRequest:
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        subprotocols = [name.strip() for name in offered.split(",") if name.strip()]
        try:
            return parse_stream_request(worker_id, self.query_pairs(), subprotocols)
        except RequestInvalidError as error:
            raise DiagnosticAnswerError(diagnose_request(error)) from error

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return SUBPROTOCOL_V1 if self._stream_request.version is ProtocolVersion.V1 else None

    def check_origin(self, origin: str) -> bool:
        # prepare() has refused every request with an Origin already.
        return True

    def get_compression_options(self) -> dict[str, Any] | None:
        # Per-message deflate costs ten times an idle connection's memory and forbids shared bytes.
        return None

    def open(self, *args: str, **kwargs: str) -> None:
        """Start the subscriber as a task: Tornado reads no frame until this returns."""
        if self.stream is None or self.stream.closed():
            return  # reset while it was being answered
        try:
            self._outlet = WebSocketOutlet(self, self.state.stall_seconds)
        except OutletClosedError:
            return
        if self.state.doorway is not None:
            self.state.doorway.upgraded(self.stream)
        self.state.sockets.add(self)
        self._place_of = self._token_id
        self.state.places.take(self._place_of, self._stream_request.worker_id)
        self.state.keepalive.watch(self)
        self._ping_second, self._pings = 0, 0
        subscriber = Subscriber(self.state.view, self._stream_request, self._outlet, self.state.traffic)
        self._subscriber = subscriber
        scope, version = self.kind
        _log.info("a subscriber has come", extra=named(Notice.SUBSCRIBER_CONNECTED, scope=scope, version=version))
        self._serving = asyncio.get_running_loop().create_task(self._serve(subscriber, self._outlet), name="subscriber")

    def check_grant(self) -> None:
        """Part with a peer whose token is not good any more for what it sees."""
        if self.grant is None or self._outlet is None or self._serving is None or self.state.credentials is None:
            return
        if self.state.credentials.still_good(self.grant, self._stream_request.worker_id):
            return
        self.grant = None
        self.state.refusals.note(RefusedBecause.REVOKED)
        self._part(DiagnosticCode.UNAUTHENTICATED, "this token has expired or was revoked")

    async def _serve(self, subscriber: Subscriber, outlet: WebSocketOutlet) -> None:
        try:
            await subscriber.run()
        except ConsumerTooSlowError:
            problem = diagnostic(
                DiagnosticCode.CONSUMER_TOO_SLOW,
                "no byte was taken for too long; come back",
                resume_cursor=subscriber.resume_cursor,
                worker_id=self._stream_request.worker_id,
            )
            await outlet.cut_off(problem.frame(), CloseCode.CONSUMER_TOO_SLOW, problem.close_reason)
        except Exception:  # noqa: BLE001 - nothing above this task would answer the peer
            # A bug of ours must not leave a peer waiting on a stream that nobody feeds.
            _log.exception("a subscriber failed", extra=named(Notice.SUBSCRIBER_FAILED))
            problem = diagnostic(DiagnosticCode.INTERNAL, "this server failed; its log has the reason")
            await outlet.cut_off(problem.frame(), CloseCode.INTERNAL, problem.close_reason)

    def on_message(self, message: str | bytes) -> None:
        """Refuse data: this socket is for observation only."""
        self._part(DiagnosticCode.OBSERVATION_ONLY, "this socket is for observation: send nothing on it")

    def _part(self, code: DiagnosticCode, message: str) -> None:
        """Stop serving, leave word, and close."""
        if self._outlet is None or self._serving is None or self._subscriber is None:
            return
        self._serving.cancel()
        problem = diagnostic(
            code, message, resume_cursor=self._subscriber.resume_cursor, worker_id=self._stream_request.worker_id
        )
        self._outlet.part(problem.frame(), code_spec(code).close_code or CloseCode.INTERNAL, problem.close_reason)

    def on_ping(self, data: bytes) -> None:
        second = int(asyncio.get_running_loop().time())
        if second != self._ping_second:
            self._ping_second, self._pings = second, 0
        self._pings += 1
        # More is a flood, and answering it would feed it.
        if self._pings > self.state.limits.pings_per_second:
            self.state.refusals.note(RefusedBecause.FLOOD)
            self.drop()

    def on_pong(self, data: bytes) -> None:
        self.state.keepalive.heard(self)

    def on_close(self) -> None:
        self.state.keepalive.forget(self)
        if self in self.state.sockets:
            self.state.places.leave(self._place_of, self._stream_request.worker_id)
        self.state.socket_left(self)
        if self._subscriber is not None:
            self._note_end(self._subscriber)
        if self._serving is not None:
            self._serving.cancel()

    def _note_end(self, subscriber: Subscriber) -> None:
        said = self._outlet.said_goodbye if self._outlet is not None else None
        code = said or self.close_code or ABNORMAL_CLOSE
        self.state.traffic.disconnected(code)
        scope, version = self.kind
        fields = named(
            Notice.SUBSCRIBER_LEFT, scope=scope, version=version, close_code=int(code), events=subscriber.events
        )
        _log.info("a subscriber has left", extra=fields)

    # For the metrics.

    @property
    def kind(self) -> tuple[str, str]:
        """Return scope and protocol version: of closed sets, unlike a Worker's id."""
        request = self._stream_request
        return "everything" if request.worker_id is None else "worker", request.version.value

    @property
    def standing(self) -> Standing | None:
        return None if self._subscriber is None else self._subscriber.standing

    # Keepalive's side.

    def is_writing(self) -> bool:
        return self._outlet is not None and self._outlet.write_pending

    def send_ping(self) -> None:
        try:
            self.ping(b"")
        except (WebSocketClosedError, StreamClosedError):
            return

    def drop(self) -> None:
        """End the connection without a word."""
        if self._outlet is not None:
            self._outlet.drop()


def _is_websocket_key(text: str) -> bool:
    try:
        return len(binascii.a2b_base64(text, strict_mode=True)) == 16
    except ValueError:
        return False

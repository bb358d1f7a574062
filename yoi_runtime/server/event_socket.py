"""Tornado adapter: the two WebSocket endpoints. Thin: it judges the request, then a subscriber serves.

Order of checks: browser and host (403), method (405), upgrade (426), handshake key (400), query (400), Worker
id (400), shutting down and log availability (503), Worker (404); then the upgrade, and only then the cursor.
Specification: docs/protocol.md, "Connecting".
"""

from __future__ import annotations

import asyncio
import binascii
import logging
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from yoi_runtime.errors import LogUnavailableError, RequestInvalidError
from yoi_runtime.protocol.close_codes import CloseCode
from yoi_runtime.protocol.diagnostics import DiagnosticCode, diagnostic
from yoi_runtime.protocol.stream_request import StreamRequest, parse_stream_request
from yoi_runtime.protocol.versions import SUBPROTOCOL_V1, ProtocolVersion
from yoi_runtime.server.diagnose import diagnose_request, worker_not_found
from yoi_runtime.server.request_base import DiagnosticAnswerError, GuardedRequest
from yoi_runtime.server.subscriber import ConsumerTooSlowError, OutletClosedError, Subscriber
from yoi_runtime.server.websocket_outlet import WebSocketOutlet

__all__ = ["EventSocket"]

_log = logging.getLogger("yoi_runtime.server")

# Per second; a keepalive needs one in 20 s. More is a flood, and answering it would feed it.
_MAX_PINGS_PER_SECOND = 50
# Between two looks of the keepalive, 5 s apart. Catches floods that Tornado shows to nobody: of fragments.
_MAX_RECEIVED_BYTES = 64 << 10


class EventSocket(GuardedRequest, WebSocketHandler):
    """One Backend's connection to ``/v1/events/ws`` or ``/v1/workers/{worker_id}/events/ws``."""

    allowed_methods = "GET"
    _stream_request: StreamRequest
    _outlet: WebSocketOutlet | None = None
    _serving: asyncio.Task[None] | None = None

    def prepare(self) -> None:
        GuardedRequest.prepare(self)
        self._check_handshake()
        worker_id = self.path_kwargs.get("worker_id")
        self._stream_request = self._parsed_request(worker_id)
        if worker_id is not None:
            self.checked_worker_id(worker_id)
        if self.state.closing:
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.UNAVAILABLE, "this server is shutting down"))
        try:
            self.state.view.check_available()
        except LogUnavailableError as error:
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.UNAVAILABLE, error.reason)) from error
        if worker_id is not None and self.state.view.worker(worker_id) is None:
            raise DiagnosticAnswerError(worker_not_found(worker_id))

    def _check_handshake(self) -> None:
        """Answer what Tornado would refuse without a diagnostic (RFC 6455, section 4.2.1)."""
        headers = self.request.headers
        if self.request.method != "GET":
            raise HTTPError(405)
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
        try:
            self._outlet = WebSocketOutlet(self, self.state.stall_seconds)
        except OutletClosedError:
            return
        self.state.sockets.add(self)
        self.state.keepalive.watch(self)
        self._ping_second, self._pings, self._received_bytes = 0, 0, 0
        subscriber = Subscriber(self.state.view, self._stream_request, self._outlet)
        self._serving = asyncio.get_running_loop().create_task(self._serve(subscriber, self._outlet), name="subscriber")

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
            _log.exception("a subscriber failed")
            problem = diagnostic(DiagnosticCode.INTERNAL, "this server failed; its log has the reason")
            await outlet.cut_off(problem.frame(), CloseCode.INTERNAL, problem.close_reason)

    def on_message(self, message: str | bytes) -> None:
        """Refuse data: this socket is for observation only."""
        if self._outlet is None or self._serving is None:
            return
        self._serving.cancel()
        problem = diagnostic(DiagnosticCode.OBSERVATION_ONLY, "this socket is for observation: send nothing on it")
        self._outlet.part(problem.frame(), CloseCode.OBSERVATION_ONLY, problem.close_reason)

    def on_ping(self, data: bytes) -> None:
        second = int(asyncio.get_running_loop().time())
        if second != self._ping_second:
            self._ping_second, self._pings = second, 0
        self._pings += 1
        if self._pings > _MAX_PINGS_PER_SECOND:
            _log.warning("dropped a peer that sent more than %d pings in a second", _MAX_PINGS_PER_SECOND)
            self.drop()

    def on_pong(self, data: bytes) -> None:
        self.state.keepalive.heard(self)

    def on_close(self) -> None:
        self.state.keepalive.forget(self)
        self.state.socket_left(self)
        if self._serving is not None:
            self._serving.cancel()

    # Keepalive's side.

    def is_writing(self) -> bool:
        return self._outlet is not None and self._outlet.write_pending

    def is_flooding(self) -> bool:
        before, self._received_bytes = self._received_bytes, self._outlet.received_bytes if self._outlet else 0
        return self._received_bytes - before > _MAX_RECEIVED_BYTES

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

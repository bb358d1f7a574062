"""Tornado adapter: one WebSocket to a Runtime.

Tornado's client holds at most two messages and one chunk of 64 KiB; while nobody receives, it reads nothing
more and the peer has to wait. Its own pings are not used: they take a reader that is busy elsewhere for a
dead peer, and leave an exception behind when the connection breaks at the wrong moment.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError, UnsatisfiableReadError
from tornado.simple_httpclient import HTTPTimeoutError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketError, websocket_connect

from yoi_runtime.client.resume import Answered, ConnectFailed, ConnectFault, Silence, answered
from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.client.silence import TICKS_PER_HEARTBEAT, SilenceCount, SilenceVerdict
from yoi_runtime.protocol.close_codes import CloseCode
from yoi_runtime.protocol.versions import SUBPROTOCOL_V1, ProtocolVersion

__all__ = ["BackendConnection", "connect", "connect_failed"]

# The wait for a pong is cut in parts, so that a loop that stood still for long (a blocking call, a suspended
# machine) still gets to read what came meanwhile before it judges.
_PING_WAIT_PARTS: Final = 4


class BackendConnection:
    """An open WebSocket; one task receives. Closed by ``close``, also after the peer's end."""

    def __init__(self, connection: WebSocketClientConnection, settings: ClientSettings) -> None:
        """Take over ``connection``, on its event loop."""
        protocol = connection.protocol
        assert protocol is not None
        assert protocol.stream is not None
        self._connection = connection
        self._stream = protocol.stream
        self._settings = settings
        self._ended = False
        self._is_awaited = False
        self._heard = False
        self._silence = SilenceCount()
        self.silence: Silence | None = None
        # What the server chose of what was offered; one that knows no subprotocols speaks v0.
        chosen = protocol.selected_subprotocol
        self.version = ProtocolVersion.V1 if chosen == SUBPROTOCOL_V1 else ProtocolVersion.V0
        # The hook of Tornado's class, which websocket_connect() gives no way to derive from.
        connection.on_pong = self._on_pong  # type: ignore[method-assign]
        self._keepalive = asyncio.create_task(self._keep_alive(), name="keepalive")
        self._watch: asyncio.Task[None] | None = None

    @property
    def close_code(self) -> int | None:
        """The peer's close code, once ``receive`` has returned None; None when the connection broke."""
        return self._connection.close_code

    async def receive(self) -> str | bytes | None:
        """Return the next message, or None for ever after the end. Not to be cancelled but for closing."""
        if self._ended:
            return None
        reading = asyncio.ensure_future(self._connection.read_message())
        self._is_awaited = True
        try:
            await reading
        finally:
            self._is_awaited = False
            # Looked at here: cancelled in the moment it came, the end would be waited for in vain.
            if reading.done() and not reading.cancelled():
                self._ended = reading.result() is None
        self._heard = True
        self._silence.heard()
        return reading.result()

    def expect_heartbeat(self, seconds: float, on_stalled: Callable[[], None]) -> None:
        """Give the connection up when nothing comes for three heartbeats of ``seconds``; call once.

        ``on_stalled`` is called when one stays away; it may not raise.
        """
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_heartbeat(seconds, on_stalled), name="heartbeat")

    def abandon(self) -> None:
        """Break the connection; whoever receives gets None."""
        self._break_off()

    async def close(self) -> None:
        """Close with 1000 and wait, within the close timeout, until the peer has agreed. Cancelled: after that."""
        closing = asyncio.create_task(self._close(), name="close")
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait({closing})
            raise

    async def _close(self) -> None:
        tasks = {task for task in (self._keepalive, self._watch) if task is not None}
        for task in tasks:
            task.cancel()
        self._connection.close(CloseCode.NORMAL)
        await self._drain()
        self._stream.close()
        await self._drain()
        await asyncio.wait(tasks)

    async def _drain(self) -> None:
        """Read to the end: Tornado's reading task would wait for us for ever."""
        try:
            async with asyncio.timeout(self._settings.close_timeout_seconds):
                while await self.receive() is not None:
                    pass
        except TimeoutError:
            pass

    def _on_pong(self, data: bytes) -> None:
        self._heard = True

    async def _keep_alive(self) -> None:
        """Ping; give the connection up when somebody waits for a message and not even a pong comes."""
        part_seconds = self._settings.ping_timeout_seconds / _PING_WAIT_PARTS
        while True:
            await asyncio.sleep(self._settings.ping_interval_seconds)
            self._heard = False
            try:
                self._connection.ping()
            except (WebSocketClosedError, StreamClosedError):
                return
            for _ in range(_PING_WAIT_PARTS):
                await asyncio.sleep(part_seconds)
                if self._heard or not self._is_awaited:
                    break
            else:
                self._give_up(Silence.NO_PONG)
                return

    async def _watch_heartbeat(self, seconds: float, on_stalled: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds / TICKS_PER_HEARTBEAT)
            match self._silence.tick(listening=self._is_awaited):
                case SilenceVerdict.STALLED:
                    on_stalled()
                case SilenceVerdict.GONE:
                    self._give_up(Silence.NO_HEARTBEAT)
                    return
                case SilenceVerdict.FINE:
                    pass

    def _give_up(self, silence: Silence) -> None:
        self.silence = silence
        self._break_off()

    def _break_off(self) -> None:
        self._stream.close()
        # Wakes the receiver, also where Tornado's reading task has died (6.5, a close reason that is no UTF-8).
        self._connection.on_connection_close()


async def connect(
    url: str, version: ProtocolVersion, token: str | None, settings: ClientSettings
) -> BackendConnection | ConnectFailed | Answered:
    """Open a WebSocket to ``url`` (ws or wss), offering ``version``.

    ``token`` goes into the Authorization header and nowhere else.
    """
    request = HTTPRequest(
        url,
        headers={} if token is None else {"Authorization": f"Bearer {token}"},
        connect_timeout=settings.connect_timeout_seconds,
        # Holds until the upgrade.
        request_timeout=settings.connect_timeout_seconds,
        decompress_response=False,
        ssl_options=settings.ssl_context,
    )
    try:
        return BackendConnection(await _upgraded(request, version, settings), settings)
    except HTTPTimeoutError:
        return ConnectFailed("Timeout while connecting", ConnectFault.TIMEOUT)
    except HTTPClientError as error:
        if error.response is None:
            return ConnectFailed(error.message, ConnectFault.HANDSHAKE)
        return answered(error.code, error.response.body, error.response.headers.get("Retry-After"))
    except WebSocketError:
        # A success, but no upgrade; Tornado does not say which.
        return Answered(200)
    except StreamClosedError as error:
        if isinstance(error.real_error, ssl.SSLError):
            return connect_failed(error.real_error)
        return ConnectFailed("the peer broke off during the handshake", ConnectFault.HANDSHAKE)
    except UnsatisfiableReadError:
        return ConnectFailed("the peer does not speak HTTP", ConnectFault.HANDSHAKE)
    except OSError as error:
        return connect_failed(error)


def connect_failed(error: OSError) -> ConnectFailed:
    """Return why there is no connection, in our words."""
    match error:
        case socket.gaierror():
            fault = ConnectFault.DNS
        case ssl.SSLError():
            fault = ConnectFault.TLS
        case TimeoutError():
            fault = ConnectFault.TIMEOUT
        case ConnectionRefusedError():
            fault = ConnectFault.REFUSED
        case _:
            fault = ConnectFault.FAILED
    reason = error.strerror or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectFailed(f"the certificate is not good: {error.verify_message}", fault, for_good=True)
    return ConnectFailed(reason, fault)


async def _upgraded(
    request: HTTPRequest, version: ProtocolVersion, settings: ClientSettings
) -> WebSocketClientConnection:
    """Do as ``websocket_connect`` does, and leave nothing behind when cancelled, which it cannot.

    Then the attempt gets the close timeout to come to its end and be closed in order. Of one that has not, Tornado
    closes the socket at the connect timeout.
    """
    others = asyncio.all_tasks()
    subprotocols = [SUBPROTOCOL_V1] if version is ProtocolVersion.V1 else None
    attempt = asyncio.ensure_future(
        websocket_connect(request, max_message_size=settings.max_frame_bytes, subprotocols=subprotocols)
    )
    started = asyncio.all_tasks() - others
    try:
        # Shielded: cancelled itself, it would go on and open a connection that nobody takes.
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        await asyncio.wait({attempt}, timeout=settings.close_timeout_seconds)
        for task in started:
            task.cancel()
        if started:
            await asyncio.wait(started)
        if attempt.done() and not attempt.cancelled() and attempt.exception() is None:
            await BackendConnection(attempt.result(), settings).close()
        attempt.cancel()
        raise

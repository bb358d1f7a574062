"""Tornado adapter: a connection's stream that watches over what comes in.

Two streams, plain and TLS, that differ from Tornado's in three things:

- a head that is larger than allowed, or that is no HTTP, is answered with a diagnostic, not with a bare close;
- once it is a WebSocket, what it may send each second is bounded: beyond that it counts as reset by its peer. That
  catches what Tornado shows to no handler, empty fragments and answers to pings that were never sent, in the same
  second on every version of Tornado;
- whoever made it is told, once, when its descriptor is closed.

They override ``read_from_fd``, ``close``, ``close_fd`` and ``write`` of ``IOStream``, which its documentation names.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from tornado.iostream import IOStream, SSLIOStream, UnsatisfiableReadError

from yoi_runtime.protocol.diagnostics import DiagnosticCode, diagnostic
from yoi_runtime.server.limits import RefusedBecause

__all__ = ["GuardedStream", "GuardedTlsStream", "plain_answer"]

# All that Tornado says to a request that it cannot read.
_TORNADO_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\n\r\n"
# What a peer may still have under way when it is answered: unread, it would turn the answer into a reset.
_LINGER_BYTES = 256 << 10
_LINGER_CHUNK_BYTES = 64 << 10


def plain_answer(status: int, phrase: str, message: str) -> bytes:
    """Return a whole HTTP answer with a diagnostic ``runtime.invalid_request``, after which the connection closes."""
    body = diagnostic(DiagnosticCode.INVALID_REQUEST, message).frame()
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json; charset=utf-8\r\nCache-Control: no-store\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


class _Guarded(IOStream):
    """What both kinds have in common."""

    _header_bytes = 0
    _on_closed: Callable[[], None] | None = None
    _on_refused: Callable[[RefusedBecause], None] | None = None
    # The budget of a WebSocket: bytes left in the present second. None: not one yet.
    _bytes_per_second: int | None = None
    _second = -1
    _bytes_left = 0

    def guard(
        self, header_bytes: int, on_closed: Callable[[], None], on_refused: Callable[[RefusedBecause], None]
    ) -> None:
        """Say what is to be watched; call once, before anything is read."""
        self._header_bytes = header_bytes
        self._on_closed = on_closed
        self._on_refused = on_refused

    def meter(self, bytes_per_second: int) -> None:
        """From now on the peer is a subscriber, who has nothing to say but pings and pongs."""
        self._bytes_per_second = bytes_per_second

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        count = super().read_from_fd(buf)
        if count is not None and self._bytes_per_second is not None:
            second = int(self.io_loop.time())
            if second != self._second:
                self._second, self._bytes_left = second, self._bytes_per_second
            self._bytes_left -= count
            if self._bytes_left < 0:
                self._refused(RefusedBecause.FLOOD)
                # Not read on: Tornado takes this for what happens all the time, and closes.
                raise ConnectionResetError(errno.ECONNRESET, "the peer sends far more than a subscriber has to say")
        return count

    def write(self, data: bytes | memoryview) -> Any:
        if data == _TORNADO_BAD_REQUEST:
            data = plain_answer(400, "Bad Request", "this is not a request of HTTP/1.1 that this server can read")
        return super().write(data)

    def close(self, exc_info: Any = False) -> None:
        if isinstance(exc_info, UnsatisfiableReadError) and self._bytes_per_second is None and not self.closed():
            self._refused(RefusedBecause.HEADERS)
            self._say_too_large()
        super().close(exc_info=exc_info)

    def close_fd(self) -> None:
        super().close_fd()
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is not None:
            on_closed()

    def _say_too_large(self) -> None:
        """Answer past Tornado, which is about to close: as much as the kernel takes at once, and nobody waits."""
        message = f"request line and headers are larger than {self._header_bytes:,} bytes"
        answer = plain_answer(431, "Request Header Fields Too Large", message)
        try:
            self.socket.send(answer)
            if self.socket.fileno() >= 0 and not isinstance(self, SSLIOStream):
                self.socket.shutdown(socket.SHUT_WR)
            for _ in range(_LINGER_BYTES // _LINGER_CHUNK_BYTES):
                if not self.socket.recv(_LINGER_CHUNK_BYTES):
                    break
        except OSError:
            return  # gone, or it takes nothing: the close says enough

    def _refused(self, reason: RefusedBecause) -> None:
        if self._on_refused is not None:
            self._on_refused(reason)


class GuardedStream(_Guarded):
    """A plain connection."""


class GuardedTlsStream(_Guarded, SSLIOStream):
    """A connection with TLS."""

"""Tornado adapter: accepts connections, no more than there is room for, and keeps an eye on those that say nothing.

    accept -> unfinished -> (first good request) -> guest -> (upgrade) -> subscriber
                  |                                   |
                  +--- too long, or room is needed ---+--> dropped, the oldest first

A connection is *unfinished* until a request on it has passed the guard, with a token where one is asked for. Who opens many and sends nothing is pushed out
by those who come after, so a flood of such connections delays others by moments and shuts nobody out. While nothing
may be pushed out yet, new ones wait in the kernel's queue: accepting them and closing them would lose good ones.

When no descriptor is left all the same, the door closes for a moment instead of turning on the spot: a listening socket
that nobody accepts from is ready all the time, and Tornado's own loop would spin. Decision: docs/decisions/0032-room-is-made.md.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable, Sequence

from tornado.netutil import ssl_wrap_socket

from yoi_runtime.server.guarded_stream import GuardedStream, GuardedTlsStream
from yoi_runtime.server.limits import LimitCounters, Limits, RefusedBecause
from yoi_runtime.server.refusals import Refusals

__all__ = ["Doorway"]

Stream = GuardedStream | GuardedTlsStream
Address = tuple[object, ...]

# What a good peer may need until its first request is read: three round trips around the world.
_GRACE_SECONDS = 1.0
# As many as Tornado takes at a time: others have their turn, too.
_ACCEPT_AT_A_TIME = 128
_PAUSE_SECONDS = 0.2
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Doorway:
    """Where connections come in. One event loop."""

    def __init__(
        self,
        limits: Limits,
        most_connections: int,
        counters: LimitCounters,
        refusals: Refusals,
        on_stream: Callable[[Stream, Address], None],
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        max_buffer_bytes: int,
    ) -> None:
        self._limits = limits
        self._most_connections = most_connections
        self._counters = counters
        self._refusals = refusals
        self._on_stream = on_stream
        self._tls = tls
        self._max_buffer_bytes = max_buffer_bytes
        self._loop = asyncio.get_running_loop()
        self._listening: list[socket.socket] = []
        # Each with the time since which it has been so, the oldest first.
        self._unfinished: OrderedDict[Stream, float] = OrderedDict()
        self._guests: OrderedDict[Stream, float] = OrderedDict()
        self._paused: asyncio.TimerHandle | None = None
        # Given up when there is no other, so that a connection can be taken and told to go by closing it.
        self._spare_fd: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def open(self, listening: Sequence[socket.socket]) -> None:
        """Accept from these sockets, which are the doorway's from now on."""
        self._listening = list(listening)
        self._listen()

    def close(self) -> None:
        """Accept no more. What was accepted stays open."""
        if self._paused is not None:
            self._paused.cancel()
        for listener in self._listening:
            self._loop.remove_reader(listener)
            listener.close()
        self._listening = []
        self._let_go_of_spare()

    # What becomes of a connection.

    def passed(self, stream: Stream, *, known: bool) -> None:
        """A request on it has passed the guard: it is somebody's, and may wait for its next request.

        ``known``: it showed a token. Who did not keeps the age of his first request, or asking again and again would
        hold a place for ever.
        """
        if self._unfinished.pop(stream, None) is not None or (known and stream in self._guests):
            self._guests[stream] = self._loop.time()
            self._guests.move_to_end(stream)
            self._settle()

    def upgraded(self, stream: Stream) -> None:
        """It is a subscriber now, whom nobody pushes out."""
        self._unfinished.pop(stream, None)
        self._guests.pop(stream, None)
        stream.meter(self._limits.inbound_bytes_per_second)
        self._settle()

    def sweep(self) -> None:
        """Drop who has not sent a good request in time; call about every second."""
        now = self._loop.time()
        while self._unfinished:
            stream, since = next(iter(self._unfinished.items()))
            if now - since < self._limits.header_seconds:
                break
            self._drop(stream)

    # Accepting.

    def _listen(self) -> None:
        self._paused = None
        for listener in self._listening:
            self._loop.add_reader(listener, self._accept, listener)

    def _pause(self, seconds: float) -> None:
        if self._paused is None:
            for listener in self._listening:
                self._loop.remove_reader(listener)
            self._paused = self._loop.call_later(seconds, self._listen)

    def _resume(self) -> None:
        """Listen again, before the pause is over, because there is room."""
        if self._paused is not None and self._listening:
            self._paused.cancel()
            self._listen()

    def _accept(self, listener: socket.socket) -> None:
        for number in range(_ACCEPT_AT_A_TIME):
            # Of the first alone it is known that he is there; the loop comes back for who else is.
            if self._is_full() and (number > 0 or not self._make_room()):
                return
            try:
                connection, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _NO_DESCRIPTOR:
                    # What accept(2) passes on of the network: it is of that connection, not of ours.
                    continue
                self._turn_away(listener)
                return
            self._take(connection, address)

    def _make_room(self) -> bool:
        """Push somebody out for one more; False when nobody may be pushed out yet: then the door is shut a while."""
        while self._is_full():
            # Who says nothing goes before who waits for its next request, unless it has just come.
            too_many_unfinished = len(self._unfinished) >= self._limits.unfinished
            queues = [self._unfinished] if too_many_unfinished else [self._unfinished, self._guests]
            oldest = [next(iter(queue.items())) for queue in queues if queue]
            long_ago = self._loop.time() - _GRACE_SECONDS
            may_go = [stream for stream, since in oldest if since <= long_ago]
            if not may_go:
                self._pause(min((since - long_ago for _, since in oldest), default=_PAUSE_SECONDS))
                return False
            self._drop(may_go[0])
        return True

    def _is_full(self) -> bool:
        return len(self._unfinished) >= self._limits.unfinished or self._counters.connections >= self._most_connections

    def _take(self, connection: socket.socket, address: Address) -> None:
        try:
            stream = self._stream(connection)
        except OSError:
            # Closed already by its peer, as a scan of ports does.
            connection.close()
            return
        self._counters.connections += 1
        self._unfinished[stream] = self._loop.time()
        self._counters.unfinished = len(self._unfinished)
        stream.guard(self._limits.header_bytes, lambda: self._left(stream), self._refusals.note)
        self._on_stream(stream, address)

    def _stream(self, connection: socket.socket) -> Stream:
        connection.setblocking(False)
        if self._tls is None:
            return GuardedStream(connection, max_buffer_size=self._max_buffer_bytes)
        secured = ssl_wrap_socket(connection, self._tls(), server_side=True, do_handshake_on_connect=False)
        return GuardedTlsStream(secured, max_buffer_size=self._max_buffer_bytes)

    def _turn_away(self, listener: socket.socket) -> None:
        """Without a descriptor left: give the spare one up for a connection, close that, and wait a while."""
        self._refusals.note(RefusedBecause.DESCRIPTORS)
        self._let_go_of_spare()
        try:
            connection, _ = listener.accept()
            connection.close()
        except OSError:
            pass  # the descriptor went to somebody else; the peer waits on
        try:
            self._spare_fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            pass  # next time nothing is given up
        self._pause(_PAUSE_SECONDS)

    def _let_go_of_spare(self) -> None:
        fd, self._spare_fd = self._spare_fd, None
        if fd is not None:
            os.close(fd)

    # Leaving.

    def _drop(self, stream: Stream) -> None:
        self._refusals.note(RefusedBecause.UNFINISHED)
        stream.close()

    def _left(self, stream: Stream) -> None:
        self._counters.connections -= 1
        self._unfinished.pop(stream, None)
        self._guests.pop(stream, None)
        self._settle()

    def _settle(self) -> None:
        self._counters.unfinished = len(self._unfinished)
        if self._paused is not None and not self._is_full():
            self._resume()

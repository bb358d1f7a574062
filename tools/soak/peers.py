"""The peers of a soak: raw sockets that know just enough of RFC 6455 to stay, to leave, and to be a nuisance.

They read only the heads of frames and answer pings; thousands fit into one process.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import socket
from collections import Counter
from enum import Enum

__all__ = ["Behaviour", "Crowd", "Peer"]

_PING, _CLOSE = 0x9, 0x8
_POLITE_CLOSE = b"\x88\x82" + bytes(4) + (1000).to_bytes(2)
# A stalled peer's own buffer: what it does not read must pile up at the server.
_SMALL_BUFFER = 4096


class Behaviour(Enum):
    """What a peer does with its stream."""

    READ = "read"
    STALL = "stall"
    # Go as soon as the first frame is there: with a close frame, by resetting, or by just going.
    LEAVE = "leave"


class Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, crowd: Crowd, path: str, subprotocol: str | None, behaviour: Behaviour) -> None:
        self._crowd = crowd
        self._path = path
        self._subprotocol = subprotocol
        self._behaviour = behaviour
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._skip = 0
        self.upgraded = asyncio.get_running_loop().create_future()
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        offered = f"Sec-WebSocket-Protocol: {self._subprotocol}\r\n" if self._subprotocol else ""
        transport.write(
            (
                f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offered}\r\n"
            ).encode()
        )

    def data_received(self, data: bytes) -> None:
        self._crowd.counts["bytes"] += len(data)
        if self._skip >= len(data):
            self._skip -= len(data)
            return
        self._buffer += data[self._skip :]
        self._skip = 0
        if not self.upgraded.done():
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._buffer = rest
            if b" 101 " not in head.split(b"\r\n")[0]:
                self._crowd.counts["refused"] += 1
                self.leave(reset=True)
                return
            self.upgraded.set_result(None)
            self._crowd.counts["upgraded"] += 1
            if self._behaviour is Behaviour.STALL and self._transport is not None:
                self._transport.pause_reading()
                return
        self._take_frames()

    def _take_frames(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            opcode, length, head = buffer[at] & 0x0F, buffer[at + 1] & 0x7F, 2
            if length >= 126:
                head = 4 if length == 126 else 10
                if len(buffer) - at < head:
                    break
                length = int.from_bytes(buffer[at + 2 : at + head])
            if opcode in (_PING, _CLOSE) and len(buffer) - at < head + length:
                break
            self._take_frame(opcode, buffer[at + head : at + head + length])
            at += head + length
        self._skip = max(0, at - len(buffer))
        self._buffer = buffer[at:]

    def _take_frame(self, opcode: int, payload: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if opcode == _PING:
            self._crowd.counts["pings"] += 1
            self._transport.write(bytes((0x8A, 0x80 | len(payload))) + bytes(4) + payload)
        elif opcode == _CLOSE:
            self._crowd.counts[f"close {int.from_bytes(payload[:2])}"] += 1
            self.leave()
        else:
            self._crowd.counts["frames"] += 1
            if self._behaviour is Behaviour.LEAVE:
                self.leave(reset=random.random() < 0.5)  # noqa: S311 - no secret

    def leave(self, *, reset: bool = False) -> None:
        """Go, with a close frame or without."""
        if self._transport is None:
            return
        if reset:
            self._transport.abort()
        else:
            self._transport.write(_POLITE_CLOSE)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.peers.discard(self)
        if not self.upgraded.done():
            self._crowd.counts["lost in the handshake"] += 1
            self.upgraded.cancel()
        if not self.gone.done():
            self.gone.set_result(None)


class Crowd:
    """Peers of one kind, and what they saw."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.peers: set[Peer] = set()
        self.counts: Counter[str] = Counter()

    async def add(self, path: str, subprotocol: str | None = None, behaviour: Behaviour = Behaviour.READ) -> Peer:
        """Connect one more, and return when it has its stream. Raises ``OSError``, or ``CancelledError``: refused."""
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        if behaviour is Behaviour.STALL:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, ("127.0.0.1", self._port))
            _, peer = await loop.create_connection(lambda: Peer(self, path, subprotocol, behaviour), sock=sock)
        except BaseException:
            sock.close()
            raise
        self.peers.add(peer)
        await asyncio.wait([peer.upgraded])
        return peer

    async def disband(self) -> None:
        """Have all go."""
        leaving = list(self.peers)
        for peer in leaving:
            peer.leave(reset=peer._behaviour is Behaviour.STALL)
        if leaving:
            await asyncio.wait([peer.gone for peer in leaving], timeout=30)

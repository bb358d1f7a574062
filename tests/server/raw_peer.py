"""A peer that does only what it is told: a bare socket after the handshake. Stalls, lies and vanishes on command."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from typing import Any, Self

__all__ = ["RawPeer"]

_DEADLINE_SECONDS = 20.0


class RawPeer:
    """A WebSocket whose owner reads every frame by hand, or not at all."""

    def __init__(self, sock: socket.socket, rest: bytes) -> None:
        self.socket = sock
        self._unread = rest

    @classmethod
    async def connect(
        cls,
        url: str,
        target: str,
        *,
        receive_buffer: int | None = None,
        subprotocol: str | None = None,
        token: str | None = None,
    ) -> RawPeer:
        """Shake hands for ``target`` (path and query); a small ``receive_buffer`` makes a stall come soon."""
        host, port = url.removeprefix("http://").rsplit(":", 1)
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, (host, int(port)))
            request = (
                f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            )
            if subprotocol is not None:
                request += f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
            if token is not None:
                request += f"Authorization: Bearer {token}\r\n"
            await loop.sock_sendall(sock, (request + "\r\n").encode())
            head = b""
            async with asyncio.timeout(_DEADLINE_SECONDS):
                while b"\r\n\r\n" not in head:
                    head += await loop.sock_recv(sock, 4096)
            head, _, rest = head.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 "), head
        except BaseException:
            sock.close()
            raise
        return cls(sock, rest)

    async def _bytes(self, count: int) -> bytes:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while len(self._unread) < count:
                more = await loop.sock_recv(self.socket, 1 << 16)
                if not more:
                    raise EOFError
                self._unread += more
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken

    async def frame(self) -> tuple[int, bytes]:
        """Read one frame as RFC 6455 has it and return (opcode, payload). Raises ``EOFError`` at the end."""
        first, second = await self._bytes(2)
        assert first & 0x80, "no frame is a fragment"
        assert not second & 0x80, "a server masks nothing"
        length = second
        if length == 126:
            (length,) = struct.unpack(">H", await self._bytes(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", await self._bytes(8))
        return first & 0x0F, await self._bytes(length)

    async def json(self) -> dict[str, Any]:
        """Read one text frame; a ping before it, on a machine so busy that one was due, is passed over."""
        opcode, payload = await self.frame()
        while opcode == 9:
            opcode, payload = await self.frame()
        assert opcode == 1, (opcode, payload)
        return json.loads(payload)

    async def send(self, opcode: int, payload: bytes = b"", *, final: bool = True, times: int = 1) -> None:
        """Send a masked frame, as clients must, ``times`` times."""
        assert len(payload) < 126
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        frame = bytes((opcode | (0x80 if final else 0), 0x80 | len(payload))) + mask + masked
        await asyncio.get_running_loop().sock_sendall(self.socket, frame * times)

    async def ended(self) -> bool:
        """Read to the end of the connection; True when it was cut without a close frame."""
        try:
            while True:
                if (await self.frame())[0] == 8:
                    return False
        except (EOFError, ConnectionError):
            return True

    def vanish(self) -> None:
        """End the connection with a reset: what is under way is thrown away."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

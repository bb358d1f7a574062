"""The server's end of one WebSocket, with everything a sound server never does: break off, tear a frame, fall silent.

What the client sends is read all the time by a task of its own, but for ``fall_silent``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

from yoi_runtime.conformance.client_frames import ClientFrame, ClientFrames, FrameFaultError, Opcode, server_frame

__all__ = ["Peer", "PeerLeftError"]

_READ_BYTES: Final = 64 * 1024
# SO_LINGER on, zero seconds: close() sends RST.
_LINGER_NOT: Final = struct.pack("ii", 1, 0)


class PeerLeftError(Exception):
    """The client ended the connection before the script did. Never leaves the room."""


class Peer:
    """An upgraded connection. ``close_code``: the client's, None as long as it has sent none."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # drain() then waits until the kernel has everything, so that a reset throws nothing of ours away.
        writer.transport.set_write_buffer_limits(high=0)
        self._pongs = 0
        self._changed = asyncio.Event()
        self.left = asyncio.Event()
        self.close_code: int | None = None
        self.got_close = False
        self.messages: list[str] = []
        self.fault: str | None = None
        self.on_left: Callable[[], None] | None = None
        self._reading = asyncio.create_task(self._read(), name="conformance peer")

    async def send_text(self, message: bytes) -> None:
        """Send one text message.

        Raises:
            PeerLeftError: the client is gone.
        """
        await self._send(server_frame(Opcode.TEXT, message))

    async def send_half(self, message: bytes) -> None:
        """Send the first half of a text message's bytes. Raises as ``send_text`` does."""
        frame = server_frame(Opcode.TEXT, message)
        await self._send(frame[: len(frame) // 2])

    async def ping(self, deadline_seconds: float) -> bool:
        """Ping and say whether the pong came. Raises as ``send_text`` does."""
        before = self._pongs
        await self._send(server_frame(Opcode.PING, b"conformance"))
        try:
            async with asyncio.timeout(deadline_seconds):
                while self._pongs == before and not self.left.is_set():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        if self._pongs == before:
            raise PeerLeftError
        return True

    async def close(self, code: int, reason: str, deadline_seconds: float) -> bool:
        """Send a close frame, wait for the client's, and end the connection; say whether it came.

        An end without a close frame is none. Never raises: a client may have left by itself.
        """
        try:
            await self._send(server_frame(Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode()))
            async with asyncio.timeout(deadline_seconds):
                await self.left.wait()
        except (PeerLeftError, TimeoutError):
            pass
        self._writer.close()
        return self.got_close

    async def reset(self) -> None:
        """Break the connection: RST."""
        connection: socket.socket | None = self._writer.get_extra_info("socket")
        if connection is not None and not self._writer.transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        await self.abandon()

    async def hang_up(self) -> None:
        """End the connection without a close frame: FIN."""
        self._writer.close()
        await self.abandon()

    def fall_silent(self) -> None:
        """Read nothing more; the socket stays open until ``abandon``."""
        self._reading.cancel()

    async def abandon(self) -> None:
        """Let go of the socket, whatever state it is in. Again: nothing happens."""
        self._reading.cancel()
        await asyncio.wait({self._reading})
        if not self._writer.transport.is_closing():
            self._writer.transport.abort()

    async def _send(self, frame: bytes) -> None:
        if self.left.is_set():
            raise PeerLeftError
        try:
            self._writer.write(frame)
            await self._writer.drain()
        except ConnectionError:
            raise PeerLeftError from None

    async def _read(self) -> None:
        frames = ClientFrames()
        try:
            while received := await self._reader.read(_READ_BYTES):
                for frame in frames.feed(received):
                    if not self._take(frame):
                        return
                self._changed.set()
        except FrameFaultError as fault:
            self.fault = str(fault)
        except OSError:
            pass  # Reset by the client: it has left.
        finally:
            self.left.set()
            self._changed.set()
            if self.on_left is not None:
                self.on_left()

    def _take(self, frame: ClientFrame) -> bool:
        """Act on one frame; False: it was the last."""
        match frame.opcode:
            case Opcode.PING:
                self._writer.write(server_frame(Opcode.PONG, frame.payload))
            case Opcode.PONG:
                self._pongs += 1
            case Opcode.CLOSE:
                self.got_close = True
                self.close_code = int.from_bytes(frame.payload[:2], "big") if len(frame.payload) >= 2 else None
                return False
            case Opcode.TEXT | Opcode.BINARY | Opcode.CONTINUATION:
                self.messages.append(f"{frame.opcode.name.lower()} of {len(frame.payload)} bytes")
        return True

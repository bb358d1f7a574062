"""A client's WebSocket frames, read from bytes as they come (RFC 6455, section 5). No I/O.

Own code, not a library's: the kit must say what exactly a client did wrong, and go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

__all__ = ["ClientFrame", "ClientFrames", "FrameFaultError", "Opcode", "server_frame"]

# A client has nothing to say: a close reason and ping payloads are the most it needs.
_MAX_PAYLOAD_BYTES: Final = 64 * 1024
_MAX_CONTROL_BYTES: Final = 125


class Opcode(IntEnum):
    """RFC 6455, section 5.2."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10

    @property
    def is_control(self) -> bool:
        return self >= Opcode.CLOSE


class FrameFaultError(Exception):
    """The bytes are no frame a client may send. Never leaves the room."""


@dataclass(frozen=True, slots=True)
class ClientFrame:
    """One frame, unmasked."""

    opcode: Opcode
    payload: bytes


class ClientFrames:
    """Takes bytes in any pieces and gives frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, received: bytes) -> list[ClientFrame]:
        """Return the frames that are whole now.

        Raises:
            FrameFaultError: says what is wrong; nothing after it can be read.
        """
        self._buffer += received
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> ClientFrame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        if first & 0x70:
            raise FrameFaultError("a frame with reserved bits, and no extension was agreed on")
        if not second & 0x80:
            raise FrameFaultError("a frame without a mask")
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise FrameFaultError(f"a frame with the reserved opcode {first & 0x0F}") from None
        length, start = second & 0x7F, 2
        if opcode.is_control and (length > _MAX_CONTROL_BYTES or not first & 0x80):
            raise FrameFaultError("a control frame that is fragmented or over 125 bytes")
        if length > _MAX_CONTROL_BYTES:
            start = 4 if length == 126 else 10
            if len(buffer) < start:
                return None
            length = int.from_bytes(buffer[2:start], "big")
        if length > _MAX_PAYLOAD_BYTES:
            raise FrameFaultError(f"a frame of {length} bytes")
        end = start + 4 + length
        if len(buffer) < end:
            return None
        mask = bytes(buffer[start : start + 4])
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(buffer[start + 4 : end]))
        del buffer[:end]
        return ClientFrame(opcode, payload)


def server_frame(opcode: Opcode, payload: bytes) -> bytes:
    """Return a whole, unmasked frame."""
    first, length = 0x80 | opcode, len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 0x10000:
        return bytes((first, 126)) + length.to_bytes(2, "big") + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload

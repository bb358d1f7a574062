"""WebSocket frames taken apart again, by the ``websockets`` library's own parser."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

__all__ = ["messages_in", "parsed"]

_T = TypeVar("_T")


def parsed(data: bytes) -> list[Frame]:
    """Return the frames in ``data``, which holds nothing else."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    frames = []
    while not _ended(reader.at_eof()):
        frames.append(_ended(Frame.parse(reader.read_exact, mask=False)))
    return frames


def messages_in(data: bytes) -> list[bytes]:
    """Return the text messages in ``data``, each of one frame."""
    frames = parsed(data)
    assert all(frame.opcode is Opcode.TEXT and frame.fin for frame in frames)
    return [bytes(frame.data) for frame in frames]


def _ended(steps: Generator[None, None, _T]) -> _T:
    """Run one of the library's generators, all of whose bytes are there."""
    try:
        next(steps)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    raise AssertionError("a frame is cut short")

"""Frames made by hand, read back by the ``websockets`` library's own parser."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from yoi_runtime.server.websocket_frames import text_frame_header, text_frames

_T = TypeVar("_T")

# RFC 6455, 5.2: the length takes 7 bits up to 125, 16 bits up to 65535, else 64 bits.
BOUNDARIES = [0, 1, 125, 126, 127, 65535, 65536, 70000]


def parsed(data: bytes) -> list[Frame]:
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    frames = []
    while not ended(reader.at_eof()):
        frames.append(ended(Frame.parse(reader.read_exact, mask=False)))
    return frames


def ended(steps: Generator[None, None, _T]) -> _T:
    """Run one of the library's generators, all of whose bytes are there."""
    try:
        next(steps)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a frame is cut short")


@pytest.mark.parametrize("length", BOUNDARIES)
def test_a_message_of_any_length_is_one_whole_text_frame(length: int):
    message = bytes(32 + index % 90 for index in range(length))
    (frame,) = parsed(text_frames([message]))
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.TEXT, True, message)


@pytest.mark.parametrize("length", BOUNDARIES)
def test_the_header_is_the_shortest_form_of_the_length(length: int):
    assert len(text_frame_header(length)) == (2 if length < 126 else 4 if length < 65536 else 10)


def test_many_messages_in_one_run_stay_apart_and_in_order():
    messages = [b'{"n":%d}' % number + b"x" * (number * 37 % 300) for number in range(500)]
    assert [bytes(frame.data) for frame in parsed(text_frames(messages))] == messages


def test_no_message_is_no_bytes():
    assert text_frames([]) == b""

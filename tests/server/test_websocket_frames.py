"""Frames made by hand, read back by the ``websockets`` library's own parser."""

from __future__ import annotations

import json

import pytest
from websockets.frames import Opcode

from tests.server.frames import messages_in, parsed
from yoi_runtime.server.websocket_frames import frames_of_batch, frames_of_lines, text_frame_header, text_frames

# RFC 6455, 5.2: the length takes 7 bits up to 125, 16 bits up to 65535, else 64 bits.
BOUNDARIES = [0, 1, 125, 126, 127, 65535, 65536, 70000]


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


def lines(count: int) -> tuple[list[bytes], bytes]:
    records = [b'{"n":%d,"text":"%s"}' % (number, b"x" * (number * 37 % 300)) for number in range(count)]
    return records, b"".join(record + b"\n" for record in records)


@pytest.mark.parametrize("count", [0, 1, 2, 500])
def test_whole_lines_are_messages_one_by_one(count: int):
    records, data = lines(count)
    assert messages_in(frames_of_lines(data, count)) == records


@pytest.mark.parametrize("count", [2, 3, 200, 500])
def test_whole_lines_are_one_batch_that_can_be_split_without_parsing(count: int):
    records, data = lines(count)
    (message,) = messages_in(frames_of_batch(data, count))
    assert json.loads(message) == {"kind": "batch", "frames": [json.loads(record) for record in records]}
    assert message.removeprefix(b'{"kind":"batch","frames":[').removesuffix(b"]}").split(b",\n") == records


def test_a_line_alone_goes_without_a_batch_around_it():
    assert messages_in(frames_of_batch(b'{"n":1}\n', 1)) == [b'{"n":1}']

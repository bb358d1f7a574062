from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.conformance.client_frames import ClientFrame, ClientFrames, FrameFaultError, Opcode, server_frame


def masked(opcode: int, payload: bytes, *, final: bool = True, mask: bytes = b"\x11\x22\x33\x44") -> bytes:
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([(0x80 if final else 0) | opcode]) + size + mask + body


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 9, 10]), st.binary(max_size=125)), max_size=5),
    st.integers(min_value=1, max_value=40),
)
def test_frames_are_read_from_bytes_in_any_pieces(frames: list[tuple[int, bytes]], piece: int):
    wire = b"".join(masked(opcode, payload) for opcode, payload in frames)
    reader = ClientFrames()
    read = [frame for at in range(0, len(wire), piece) for frame in reader.feed(wire[at : at + piece])]
    assert read == [ClientFrame(Opcode(opcode), payload) for opcode, payload in frames]


def test_a_longer_frame_has_its_length_in_two_bytes():
    assert ClientFrames().feed(masked(1, b"x" * 300)) == [ClientFrame(Opcode.TEXT, b"x" * 300)]


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"\x81\x01x", "without a mask"),
        (b"\xc1\x80\0\0\0\0", "reserved bits"),
        (b"\x83\x80\0\0\0\0", "reserved opcode 3"),
        (masked(9, b"", final=False), "control frame"),
        (b"\x89\xfe\0\x7e", "control frame"),
        (b"\x82\xff" + (2**40).to_bytes(8, "big"), "1099511627776 bytes"),
    ],
)
def test_what_no_client_may_send_is_named(wire: bytes, reason: str):
    with pytest.raises(FrameFaultError, match=reason):
        ClientFrames().feed(wire)


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f" + (65_536).to_bytes(8, "big")),
    ],
)
def test_a_servers_frame_is_whole_and_unmasked(length: int, head: bytes):
    assert server_frame(Opcode.TEXT, b"x" * length) == head + b"x" * length

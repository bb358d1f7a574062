"""A segment's name and header."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.errors import LogFormatError
from yoi_runtime.segment_log.record import seal_object
from yoi_runtime.segment_log.segment import (
    LONGEST_HEADER_BYTES,
    MAX_HEADER_BYTES,
    Previous,
    SegmentHeader,
    segment_name,
    segment_number,
    segment_numbers,
)

HEADER = SegmentHeader(
    log_id="0123456789abcdef",
    segment=7,
    nonce=0xFEDCBA9876543210,
    first_seq=101,
    time="2026-11-22T17:37:23.123456Z",
    previous=Previous(6, 5, 4096, 100),
)
FILE = Path("/log") / segment_name(7)


def test_names_are_twenty_digits_so_that_they_sort_as_numbers_do():
    assert segment_name(7) == "00000000000000000007.jsonl"
    assert sorted(map(segment_name, (10, 9, 100))) == [segment_name(9), segment_name(10), segment_name(100)]


@given(st.integers(0, 2**40 - 1))
def test_a_name_says_its_number(number: int):
    assert segment_number(segment_name(number)) == number


@pytest.mark.parametrize(
    "name",
    [
        "LOCK",
        "COMMITTED",
        "RESERVE",
        "7.jsonl",
        "00000000000000000007.tmp",
        "00000000000000000007.index.json",
        "00000000000000000007.jsonl.broken",
        "00000000000000000007.jsonl\n",
        "000000000000000000070.jsonl",
        "-0000000000000000007.jsonl",
        "0000000000000000000٧.jsonl",
        # More than a token can name: no writer made it.
        f"{2**40:020d}.jsonl",
        "99999999999999999999.jsonl",
    ],
)
def test_other_names_are_no_segments(name: str):
    assert segment_number(name) is None
    assert segment_numbers([segment_name(7), name, segment_name(3)]) == [3, 7], "nor does it hide its neighbours"


@pytest.mark.parametrize("previous", [HEADER.previous, None], ids=["after another", "first"])
def test_a_header_reads_back_whatever_follows_it(previous: Previous | None):
    header = replace(HEADER, previous=previous)
    line = header.encode()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert SegmentHeader.decode(line + b'{"kind":"event"', FILE) == replace(header, length=len(line))


def test_64_bit_numbers_are_hex_text_in_json():
    fields = json.loads(HEADER.encode())
    assert fields["kind"] == "segment"
    assert (fields["nonce"], fields["previous"]["nonce"]) == ("fedcba9876543210", "0000000000000005")


def test_the_longest_header_is_within_the_limit():
    longest = SegmentHeader(
        "f" * 16, 2**40 - 1, 2**64 - 1, 2**56, "x" * 27, Previous(2**40 - 1, 2**64 - 1, 2**40, 2**56)
    )
    assert len(longest.encode()) <= LONGEST_HEADER_BYTES < MAX_HEADER_BYTES


def _sealed(**changes: object) -> bytes:
    fields = json.loads(HEADER.encode()) | changes
    del fields["crc"]
    fields = {key: value for key, value in fields.items() if value != "gone"}
    return seal_object(json.dumps(fields).encode()) + b"\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no end"),
        (HEADER.encode()[:-1], "no end"),
        (b"\n", "checksum"),
        (bytes(512) + b"\n", "checksum"),
        (HEADER.encode().replace(b"101", b"102"), "checksum"),
        (_sealed(format=2), "format version 2; this program knows version 1"),
        (_sealed(kind="event"), "format version 1"),
        (_sealed(segment=8), "segment 8: the file was renamed or copied"),
        (_sealed(nonce="gone"), "lacks a field"),
        (_sealed(nonce="xyz"), "lacks a field or has it wrong"),
        (_sealed(first_seq=None), "lacks a field or has it wrong"),
        (_sealed(previous={"segment": 6}), "lacks a field or has it wrong"),
        (_sealed(previous=[]), "lacks a field or has it wrong"),
        (seal_object(b"[1,2]}") + b"\n", "lacks a field or has it wrong"),
        (seal_object(b'{"kind":"segment"}') + b"\n", "lacks a field or has it wrong"),
    ],
)
def test_what_is_no_header_of_this_file_is_refused_with_its_reason(data: bytes, reason: str):
    with pytest.raises(LogFormatError) as caught:
        SegmentHeader.decode(data, FILE)
    assert reason in caught.value.reason
    assert caught.value.file == FILE


def test_a_newer_writer_may_add_fields():
    assert SegmentHeader.decode(_sealed(compression="none"), FILE).nonce == HEADER.nonce


def test_every_flipped_bit_of_a_header_is_noticed():
    line = HEADER.encode()
    for at in range(len(line)):
        for bit in range(8):
            changed = bytearray(line)
            changed[at] ^= 1 << bit
            with pytest.raises(LogFormatError):
                SegmentHeader.decode(bytes(changed), FILE)


@given(st.binary(max_size=600))
def test_arbitrary_bytes_are_a_format_error_and_never_another(data: bytes):
    with pytest.raises(LogFormatError):
        SegmentHeader.decode(data, FILE)

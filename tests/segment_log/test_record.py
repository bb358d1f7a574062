"""A record's bytes, and knowing a record again among damage."""

from __future__ import annotations

import json
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.segment_log.sample_log import body
from yoi_runtime.segment_log.cursor import NO_WORKER, Cursor, decode_token, worker_tag
from yoi_runtime.segment_log.record import (
    RecordEncoder,
    RecordFormat,
    Scan,
    check_crc,
    cursor_of_line,
    next_whole_record,
    scan_records,
    seal_object,
    seq_of_line,
)

NONCE = 0x8000_0000_0000_0005
FORM = RecordFormat(NONCE)
LOG_ID = "0123456789abcdef"
TAG = worker_tag("coder")


def record(seq: int, content: bytes = body("hello"), nonce: int = NONCE) -> bytes:
    return RecordEncoder(LOG_ID, 1, nonce).encode(1000, seq, "", content, NO_WORKER, 0)[1]


def records(first: int, last: int) -> list[bytes]:
    return [record(seq, body(f"é {seq}")) for seq in range(first, last + 1)]


def test_a_record_is_the_event_frame_with_its_crc_last():
    line = record(7, body("hello"))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    frame = json.loads(line)
    assert list(frame) == ["kind", "envelope", "crc"]
    assert frame["kind"] == "event"
    assert list(frame["envelope"])[:3] == ["cursor", "event_id", "seq"]
    assert decode_token(frame["envelope"]["cursor"]) == Cursor(
        LOG_ID, 1, NONCE >> 32, 1000 + len(line), 7, NO_WORKER, 0
    )
    assert frame["envelope"]["seq"] == 7
    assert frame["envelope"]["text"] == "hello"
    covered = line[: line.index(b',"crc"')]
    assert frame["crc"] == f"{crc32(covered):08x}"


@pytest.mark.parametrize("seq", [1, 255, 2**48 - 1])
def test_an_event_id_is_nonce_and_seq_in_at_most_24_characters(seq: int):
    event_id = json.loads(record(seq))["envelope"]["event_id"]
    assert event_id == f"{FORM.nonce_text.decode()}-{seq:x}"
    assert len(event_id) <= 24
    assert len(FORM.nonce_text) == 11


@given(st.integers(1, 2**48 - 1), st.integers(0, 2**32), st.integers(0, 2**56 - 1), st.text(max_size=300))
def test_the_token_in_a_record_names_the_place_after_it(seq: int, start: int, worker_seq: int, text: str):
    token, line = RecordEncoder(LOG_ID, 3, NONCE).encode(start, seq, '"a":1,', body(text), TAG, worker_seq)
    assert decode_token(token.decode()) == Cursor(LOG_ID, 3, NONCE >> 32, start + len(line), seq, TAG, worker_seq)
    assert cursor_of_line(line[:-1]) == decode_token(token.decode())


@given(st.integers(1, 2**48 - 1), st.text(max_size=300))
def test_head_and_tail_are_one_body(seq: int, text: str):
    encoder = RecordEncoder(LOG_ID, 1, NONCE)
    whole, head = body(text), '"time":"now",'
    assert encoder.encode(7, seq, head, whole, NO_WORKER, 0) == encoder.encode(
        7, seq, "", head.encode() + whole, NO_WORKER, 0
    )


def test_a_sealed_object_is_known_by_its_checksum():
    line = seal_object(b'{"a":1}')
    assert line == b'{"a":1,"crc":"%08x"}' % crc32(b'{"a":1')
    assert check_crc(line)


def test_no_single_byte_of_a_sealed_object_may_change():
    line = seal_object(b'{"a":"hello"}')
    for at in range(len(line)):
        for bit in range(8):
            changed = bytearray(line)
            changed[at] ^= 1 << bit
            assert not check_crc(bytes(changed)), (at, bit)


@pytest.mark.parametrize(
    "line", [b"", b"}", b'"}', b'"crc":"00000000"}', b'{"a":1,"crc":"+1234567"}', b'{"a":1,"crc":"zzzzzzzz"}']
)
def test_what_ends_in_no_checksum_is_unsound(line: bytes):
    assert not check_crc(line)


def test_a_checksum_has_one_spelling():
    # int() would also read capitals, signs, spaces and underscores.
    line = next(line for n in range(1_000_000) if (line := seal_object(b'{"n":%d}' % n))[-10:-2].startswith(b"00ab"))
    digits = line[-10:-2]
    for spelling in (digits.upper(), b" " + digits[1:], b"+" + digits[1:], b"0_" + digits[2:], b"0x" + digits[2:]):
        assert not check_crc(line[:-10] + spelling + b'"}')


def test_contiguous_records_are_scanned_to_the_last_newline():
    data = b"".join(records(5, 9))
    assert scan_records(data, FORM, 4) == Scan(len(data), 5, None)
    assert scan_records(b"", FORM, 4) == Scan(0, 0, None)
    whole = len(b"".join(records(5, 8)))
    for cut in range(1, len(data) - whole):
        assert scan_records(data[:-cut], FORM, 4) == Scan(whole, 4, None)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: record(7)[:-30] + b"X" + record(7)[-29:], "its checksum does not match"),
        (lambda: b"\n", "its checksum does not match"),
        (lambda: b"\0" * 300 + b"\n", "its checksum does not match"),
        (lambda: seal_object(b'{"kind":"note"}') + b"\n", "it is not a record"),
        (lambda: record(8), "record seq 8 stands where seq 7 should be"),
        (lambda: record(6), "record seq 6 stands where seq 7 should be"),
        (lambda: record(7, nonce=NONCE + 1), "it is a record of another segment"),
        (lambda: record(7).replace(b'{"kind"', b'{"Kind"'), "its checksum does not match"),
        (lambda: record(7)[:-1] + record(8), "its checksum does not match"),
    ],
)
def test_the_scan_stops_at_the_first_line_that_is_not_the_next_record(make, reason: str):
    good = b"".join(records(5, 6))
    assert scan_records(good + make() + record(8), FORM, 4) == Scan(len(good), 2, reason)


def test_two_halves_of_different_records_are_no_record():
    # A failed append, cut back, and another one at its place, read by somebody who kept the first half.
    old, new = record(7, body("delete nothing", 40)), record(7, body("delete everything", 37))
    assert len(old) == len(new)
    for at in range(1, len(old) - 1):
        spliced = old[:at] + new[at:]
        if spliced not in (old, new):
            assert scan_records(spliced, FORM, 6).records == 0


def test_the_next_whole_record_is_found_behind_damage():
    line = records(5, 9)
    data = line[0][:-40] + line[1] + b"\0" * 100 + b"\n" + line[2] + line[3]
    assert next_whole_record(data, FORM, 4) == (data.index(line[2]), 7)
    assert next_whole_record(data, FORM, 7) == (data.index(line[3]), 8)
    assert next_whole_record(data, FORM, 8) is None
    assert next_whole_record(line[0] + line[1], FORM, 4) == (0, 5)
    assert next_whole_record(line[0][:-1], FORM, 4) is None
    assert next_whole_record(record(9, nonce=1), FORM, 4) is None
    # Sound by its checksum, and its event id names another seq: no scan would take it.
    odd = seal_object(record(5)[:-20].replace(b'-5","seq"', b'-6","seq"') + b"}") + b"\n"
    assert scan_records(odd, FORM, 4).records == 0
    assert next_whole_record(odd, FORM, 4) is None


def test_the_beginning_of_a_record_bears_its_seq():
    line = record(123_456)
    assert seq_of_line(line[:256]) == 123_456
    assert seq_of_line(line[:100]) is None
    assert seq_of_line(b"x" + line) is None
    assert seq_of_line(b"") is None


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_never_records(data: bytes):
    assert scan_records(data, FORM, 0).records == 0
    assert next_whole_record(data, FORM, 0) is None


@given(st.binary(max_size=200), st.integers(0, 4), st.integers(0, 600))
def test_records_with_arbitrary_bytes_among_them_come_out_whole(junk: bytes, place: int, cut: int):
    lines = records(1, 5)
    data = b"".join(lines[:place]) + junk + b"".join(lines[place:])
    scan = scan_records(data[:cut] if cut < 600 else data, FORM, 0)
    assert data[: scan.length] == b"".join(lines[: scan.records])

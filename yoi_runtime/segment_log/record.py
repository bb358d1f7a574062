r"""One record as bytes: what the engine writes around a caller's body, and how it knows a record again.

    {"kind":"event","envelope":{"cursor":"<token>","event_id":"<id>","seq":<n>,<body>},"crc":"<8 hex>"}\n

The body is the caller's: members of the envelope object as UTF-8 JSON without a newline. The CRC-32
(zlib's) covers every byte before ``,"crc"``. The newline comes last: it is the end mark.
Format: docs/log-format.md, "Records".
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from typing import NamedTuple

from yoi_runtime.checksum import crc32
from yoi_runtime.errors import CursorMalformedError
from yoi_runtime.segment_log.cursor import TOKEN_LENGTH, Cursor, TokenEncoder, decode_token

__all__ = [
    "MAX_RECORD_BYTES",
    "RecordEncoder",
    "RecordFormat",
    "Scan",
    "check_crc",
    "cursor_of_line",
    "next_whole_record",
    "parse_event_id",
    "scan_records",
    "seal_object",
    "seq_of_line",
]

# How far a reader looks for the end of a record before it calls the bytes damaged.
MAX_RECORD_BYTES = 16 << 20

_START = b'{"kind":"event","envelope":{"cursor":"'
_TOKEN_END = len(_START) + TOKEN_LENGTH
_CRC_TAIL = len(b',"crc":"00000000"}')
# All of a record but its identity and body: the envelope's closing brace and the newline are one byte each.
_AROUND = _TOKEN_END + 1 + _CRC_TAIL + 1
_EVENT_ID = re.compile(r"([A-Za-z0-9_-]{11})-([0-9a-f]{1,14})")
_SEQ = re.compile(rb'","event_id":"([A-Za-z0-9_-]{11})-[0-9a-f]{1,14}","seq":([0-9]{1,17}),')


def seal_object(body: bytes) -> bytes:
    """Return the JSON object ``body`` (ending in ``}``) with its checksum as last member, without newline."""
    open_object = body[:-1]
    return b'%s,"crc":"%08x"}' % (open_object, crc32(open_object))


def check_crc(line: bytes) -> bool:
    """Say whether ``line`` (without newline) ends in the checksum of what comes before."""
    # The one spelling of the digits: int() would let a flipped bit pass that turns a digit into a capital or a space.
    return line[-_CRC_TAIL:] == b',"crc":"%08x"}' % crc32(line[:-_CRC_TAIL])


class RecordFormat:
    """How the records of one segment begin; ``nonce`` is the segment's."""

    __slots__ = ("_identity", "nonce_text")

    def __init__(self, nonce: int) -> None:
        self.nonce_text = (
            b2a_base64(nonce.to_bytes(8, "big"), newline=False).replace(b"+", b"-").replace(b"/", b"_")[:11]
        )
        self._identity = b'","event_id":"%s-%%x","seq":%%d,' % self.nonce_text

    def identity(self, seq: int) -> bytes:
        """Return the members that name a record: its event id and seq, from the token's closing quote on."""
        return self._identity % (seq, seq)


class RecordEncoder:
    """Makes the records of one segment."""

    __slots__ = ("_before_seq", "_token")

    def __init__(self, log_id: str, segment: int, nonce: int) -> None:
        self._before_seq = f'","event_id":"{RecordFormat(nonce).nonce_text.decode()}-'
        self._token = TokenEncoder(log_id, segment, nonce).encode

    def encode(
        self, start: int, seq: int, head: str, tail: bytes, worker: bytes, worker_seq: int
    ) -> tuple[bytes, bytes]:
        """Return the token and the whole record, newline last, of a record that begins at offset ``start`` (1.2 µs).

        ``head`` (ASCII) and ``tail`` together are its body, ``worker`` and ``worker_seq`` what the token is issued for.
        """
        in_hex = hex(seq)[2:]  # noqa: FURB116 - half the time of a format specification
        members = f'{self._before_seq}{in_hex}","seq":{seq},{head}'.encode("ascii")
        # The token names the place after the record, whose length it does not change.
        encode_token = self._token
        token = encode_token(start + _AROUND + len(members) + len(tail), seq, worker, worker_seq)
        covered = b"".join((_START, token, members, tail, b"}"))
        return token, b'%s,"crc":"%08x"}\n' % (covered, crc32(covered))


class Scan(NamedTuple):
    """What a run of bytes holds: ``records`` whole, contiguous records in its first ``length`` bytes.

    ``reason`` says why the scan stopped before the last newline; None when it did not.
    """

    length: int
    records: int
    reason: str | None


def scan_records(data: bytes, form: RecordFormat, seq: int) -> Scan:
    """Check the lines of ``data``, the first of which should be record ``seq + 1`` (1.3 µs for 500 bytes).

    Stops at the first line that is not the record that has to follow, and at the last newline.
    """
    start, records = 0, 0
    while True:
        end = data.find(b"\n", start)
        if end < 0:
            return Scan(start, records, None)
        line = data[start:end]
        seq += 1
        if not line.startswith(form.identity(seq), _TOKEN_END) or not line.startswith(_START) or not check_crc(line):
            return Scan(start, records, _why_not(line, form, seq))
        start = end + 1
        records += 1


def _why_not(line: bytes, form: RecordFormat, seq: int) -> str:
    """Say in a few words what is wrong with a line that is not record ``seq``."""
    if not check_crc(line):
        return "its checksum does not match"
    found = _SEQ.match(line, _TOKEN_END)
    if not line.startswith(_START) or found is None:
        return "it is not a record"
    if found[1] != form.nonce_text:
        return "it is a record of another segment"
    return f"record seq {int(found[2])} stands where seq {seq} should be"


def next_whole_record(data: bytes, form: RecordFormat, after_seq: int) -> tuple[int, int] | None:
    """Return (place in ``data``, seq) of the first whole record with a seq above ``after_seq``, or None.

    For finding one's way after damage: every newline is tried as a boundary, and the beginning of ``data``.
    """
    start = 0
    while True:
        end = data.find(b"\n", start)
        if end < 0:
            return None
        line = data[start:end]
        seq = seq_of_line(line)
        # By the same marks as a scan: what is found here is never refused there.
        if seq is not None and seq > after_seq and line.startswith(form.identity(seq), _TOKEN_END) and check_crc(line):
            return start, seq
        start = end + 1


def seq_of_line(head: bytes) -> int | None:
    """Return the seq that the beginning of a record (200 bytes are enough) bears, unchecked; None if it bears none."""
    found = _SEQ.match(head, _TOKEN_END) if head.startswith(_START) else None
    return int(found[2]) if found is not None else None


def cursor_of_line(line: bytes) -> Cursor | None:
    """Return the cursor in a whole record, of whatever segment; None for any other line."""
    if seq_of_line(line) is None or not check_crc(line):
        return None
    try:
        return decode_token(line[len(_START) : _TOKEN_END].decode("ascii", "replace"))
    except CursorMalformedError:
        return None


def parse_event_id(event_id: str) -> tuple[int, int] | None:
    """Return (nonce of the segment, seq) that an event id is made of, None when it is not one."""
    found = _EVENT_ID.fullmatch(event_id)
    if found is None:
        return None
    raw = a2b_base64(found[1].replace("-", "+").replace("_", "/") + "=")
    return int.from_bytes(raw, "big"), int(found[2], 16)

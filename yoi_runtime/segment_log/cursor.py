"""The cursor and its token: the opaque text that names a place in one log.

A token is ``wo1`` and 60 characters of base64url (RFC 4648 section 5) over 45 bytes; big endian:

    bytes  0- 7  log id
    bytes  8-12  segment number
    bytes 13-16  first half of the segment's nonce
    bytes 17-21  offset in bytes, just after the record
    bytes 22-28  seq of the last record before the place
    bytes 29-33  tag of the Worker the token was issued for (zeros: none)
    bytes 34-40  worker_seq of that Worker at the place
    bytes 41-44  CRC-32 of bytes 0-40

45 bytes leave no spare bits in base64, so each place has exactly one token. A token grants nothing:
what a peer may read comes from its URL and credentials. Format: docs/log-format.md, "Cursor".
"""

from __future__ import annotations

import binascii
import re
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class
from typing import NamedTuple, NewType

from yoi_runtime.checksum import crc32
from yoi_runtime.errors import CursorMalformedError

__all__ = [
    "NO_WORKER",
    "TOKEN_LENGTH",
    "Cursor",
    "CursorToken",
    "TokenEncoder",
    "decode_token",
    "encode_token",
    "worker_tag",
]

CursorToken = NewType("CursorToken", str)

TOKEN_LENGTH = 63
NO_WORKER = bytes(5)
_PARTS = Struct(">8s5sI5s7s5s7sI")
# Offset to worker_seq while both seqs fit into four bytes; and the last thirty bytes.
_pack_place = Struct(">QI5s3xI").pack
_pack_end = Struct(">2s24sI").pack
_SHAPE = re.compile(r"wo1[A-Za-z0-9_-]{60}")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


class Cursor(NamedTuple):
    """A decoded token. ``nonce_prefix`` is the upper 32 bits of the segment's nonce."""

    log_id: str
    segment: int
    nonce_prefix: int
    offset: int
    seq: int
    worker: bytes
    worker_seq: int


@lru_cache(maxsize=16_384)
def worker_tag(worker_id: str) -> bytes:
    """Return the five bytes that stand for a Worker id in a token; never all zeros."""
    digest = blake2b(worker_id.encode(), digest_size=5).digest()
    return digest if digest != NO_WORKER else b"\0\0\0\0\1"


class TokenEncoder:
    """Makes the tokens of one segment; the part they share is packed, summed and spelled once."""

    __slots__ = ("_crc", "_rest", "_text")

    def __init__(self, log_id: str, segment: int, nonce: int) -> None:
        head = bytes.fromhex(log_id) + segment.to_bytes(5, "big") + (nonce >> 32).to_bytes(4, "big")
        # 15 bytes are 20 characters exactly, whatever follows them.
        self._text = b"wo1" + binascii.b2a_base64(head[:15], newline=False).translate(_TO_URL)
        self._rest = head[15:]
        self._crc = crc32(head)

    def encode(self, offset: int, seq: int, worker: bytes = NO_WORKER, worker_seq: int = 0) -> bytes:
        """Return the token as 63 ASCII bytes (0.35 µs; 0.5 with a seq of more than four bytes)."""
        try:
            place = _pack_place(offset << 24, seq, worker, worker_seq)
        except StructError:
            place = (offset << 56 | seq).to_bytes(12, "big") + worker + worker_seq.to_bytes(7, "big")
        rest = _pack_end(self._rest, place, crc32(place, self._crc))
        return self._text + binascii.b2a_base64(rest, newline=False).translate(_TO_URL)


def encode_token(cursor: Cursor) -> CursorToken:
    """Return the one token of ``cursor``."""
    encoder = TokenEncoder(cursor.log_id, cursor.segment, cursor.nonce_prefix << 32)
    return CursorToken(encoder.encode(cursor.offset, cursor.seq, cursor.worker, cursor.worker_seq).decode("ascii"))


def decode_token(token: str) -> Cursor:
    """Return what ``token`` names; bounded time whatever the text.

    Raises:
        CursorMalformedError: it is not a token that some log issued.
    """
    if not token:
        raise CursorMalformedError(token, "it is empty")
    if len(token) != TOKEN_LENGTH or not _SHAPE.fullmatch(token):
        raise CursorMalformedError(
            token, f"a token is 'wo1' and 60 of the characters A-Z a-z 0-9 _ -, got {len(token)} characters"
        )
    raw = binascii.a2b_base64(token[3:].encode("ascii").translate(_FROM_URL))
    log_id, segment, nonce_prefix, offset, seq, worker, worker_seq, crc = _PARTS.unpack(raw)
    if crc32(raw[:41]) != crc:
        raise CursorMalformedError(token, "its checksum does not match")
    number = int.from_bytes
    return Cursor(
        log_id.hex(),
        number(segment, "big"),
        nonce_prefix,
        number(offset, "big"),
        number(seq, "big"),
        worker,
        number(worker_seq, "big"),
    )

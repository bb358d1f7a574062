"""The cursor token: one text for one place, and nothing else is a token."""

from __future__ import annotations

import base64
import string
from random import Random
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.errors import CursorMalformedError
from yoi_runtime.segment_log.cursor import (
    NO_WORKER,
    TOKEN_LENGTH,
    Cursor,
    TokenEncoder,
    decode_token,
    encode_token,
    worker_tag,
)

_ALPHABET = string.ascii_letters + string.digits + "-_"

cursors = st.builds(
    Cursor,
    log_id=st.binary(min_size=8, max_size=8).map(bytes.hex),
    segment=st.integers(0, 2**40 - 1),
    nonce_prefix=st.integers(0, 2**32 - 1),
    offset=st.integers(0, 2**40 - 1),
    seq=st.integers(0, 2**56 - 1),
    worker=st.binary(min_size=5, max_size=5),
    worker_seq=st.integers(0, 2**56 - 1),
)
EXAMPLE = Cursor("0123456789abcdef", 3, 0xDEADBEEF, 1234, 56, worker_tag("w1"), 7)


@given(cursors)
def test_a_token_is_63_url_safe_characters_and_names_its_cursor(cursor: Cursor):
    token = encode_token(cursor)
    assert len(token) == TOKEN_LENGTH == 63
    assert token.startswith("wo1")
    assert set(token) <= set(_ALPHABET)
    assert decode_token(token) == cursor


def test_the_token_of_a_known_place_never_changes():
    raw = bytes.fromhex("0123456789abcdef 0000000003 deadbeef 00000004d2 00000000000038")
    raw += worker_tag("w1") + (7).to_bytes(7, "big")
    raw += crc32(raw).to_bytes(4, "big")
    assert encode_token(EXAMPLE) == "wo1" + base64.urlsafe_b64encode(raw).decode()
    assert encode_token(EXAMPLE) == "wo1ASNFZ4mrze8AAAAAA96tvu8AAAAE0gAAAAAAADhIWveE6gAAAAAAAAdGk4zn"


def test_the_encoder_of_a_segment_makes_the_same_token():
    encoder = TokenEncoder(EXAMPLE.log_id, EXAMPLE.segment, EXAMPLE.nonce_prefix << 32 | 0x12345678)
    assert encoder.encode(1234, 56, worker_tag("w1"), 7).decode() == encode_token(EXAMPLE)
    plain = decode_token(encoder.encode(1234, 56).decode())
    assert (plain.worker, plain.worker_seq) == (NO_WORKER, 0)


def test_every_flipped_character_is_noticed():
    token = encode_token(EXAMPLE)
    for at in range(len(token)):
        for other in _ALPHABET:
            if other != token[at]:
                with pytest.raises(CursorMalformedError):
                    decode_token(token[:at] + other + token[at + 1 :])


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "empty"),
        ("wo1", "3 characters"),
        ("wo1" + "A" * 59, "62 characters"),
        ("wo1" + "A" * 61, "64 characters"),
        ("wo1" + "A" * 1_000_000, "characters"),
        ("wo2" + "A" * 60, "a token is 'wo1'"),
        ("wo1" + "A" * 59 + "=", "a token is 'wo1'"),
        ("wo1" + "A" * 59 + "+", "a token is 'wo1'"),
        ("wo1" + "A" * 59 + "\n", "a token is 'wo1'"),
        ("wo1" + "A" * 59 + "é", "a token is 'wo1'"),
        ("wo1" + "A" * 59 + "\0", "a token is 'wo1'"),
        ("wo1" + "٠" * 60, "a token is 'wo1'"),
        (" " + encode_token(EXAMPLE)[1:], "a token is 'wo1'"),
        (encode_token(EXAMPLE).upper(), "a token is 'wo1'"),
        ("wo1" + "A" * 60, "checksum"),
        ("12", "2 characters"),
    ],
)
def test_what_no_log_issued_is_malformed(token: str, reason: str):
    with pytest.raises(CursorMalformedError) as caught:
        decode_token(token)
    assert reason in caught.value.reason
    assert caught.value.token == token[:64]


@given(st.text(max_size=70) | st.text(alphabet=_ALPHABET, min_size=60, max_size=60).map("wo1".__add__))
def test_arbitrary_text_is_malformed_and_never_another_error(text: str):
    with pytest.raises(CursorMalformedError):
        decode_token(text)


@given(cursors)
def test_decoding_and_encoding_is_the_identity_on_tokens(cursor: Cursor):
    token = encode_token(cursor)
    assert encode_token(decode_token(token)) == token


def test_worker_tags_tell_workers_apart_and_are_never_that_of_no_worker():
    rng = Random(1)
    names = {f"worker-{rng.getrandbits(40):x}" for _ in range(5000)}
    tags = {worker_tag(name) for name in names}
    assert len(tags) == len(names)
    assert NO_WORKER not in tags
    assert {len(tag) for tag in tags} == {5}

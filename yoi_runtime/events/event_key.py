"""The key that a writer may give an event, so that it counts once however often it is sent.

    "payload":{"event":"text_done","data":{"text":"hi"},"key":"run7-12"}

It is a member of the payload beside ``event`` and ``data``, which readers pass over. Format: docs/log-format.md,
"Records"; what it is for: docs/ingest.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from yoi_runtime.events.codec import encode_payload
from yoi_runtime.events.envelope import parse_head
from yoi_runtime.events.event import Event

__all__ = ["KeyedRecord", "encode_payloads", "is_event_key", "keyed_records", "with_key"]

# Nothing that JSON would escape.
_KEY = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# The payload's last brace and the envelope's follow: inside of the data a third one would. Texts that a newer writer
# may put beside the key are passed over.
_KEYED_END = re.compile(
    rb'"key":"(?P<key>[A-Za-z0-9._:-]{1,64})"(?:,"[a-z_]+":"(?:[^"\\\n]|\\[^\n])*")*\}\},"crc":"[0-9a-f]{8}"\}$',
    re.MULTILINE,
)


class KeyedRecord(NamedTuple):
    """A Worker's record that bears a key."""

    worker_id: str
    key: str
    cursor: str


def is_event_key(text: str) -> bool:
    """Say whether ``text`` may be a key: 1 to 64 of the characters ``A-Z a-z 0-9 . _ : -``."""
    return _KEY.fullmatch(text) is not None


def with_key(payload: bytes, key: str) -> bytes:
    """Return the payload object ``payload`` with a key as its last member."""
    return b'%s,"key":"%s"}' % (payload[:-1], key.encode())


def encode_payloads(events: Sequence[Event], keys: Sequence[str | None] | None = None) -> list[bytes]:
    """Return the payload objects of some events, each with its key if it has one.

    Raises:
        EventInvalidError: as ``encode_payload``.
    """
    if keys is None:
        return [encode_payload(event) for event in events]
    pairs = zip(map(encode_payload, events), keys, strict=True)
    return [payload if key is None else with_key(payload, key) for payload, key in pairs]


def keyed_records(lines: bytes) -> list[KeyedRecord]:
    """Return the Workers' records with a key among ``lines``, whole records each with its newline, in order."""
    found = []
    for match in _KEYED_END.finditer(lines):
        begin = lines.rfind(b"\n", 0, match.start()) + 1
        head = parse_head(lines[begin : match.start()])
        if head is not None and head.worker_id is not None:
            found.append(KeyedRecord(head.worker_id, match["key"].decode(), head.cursor.decode()))
    return found

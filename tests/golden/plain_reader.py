"""A reader of format version 1 that was written from docs/log-format.md and knows nothing of the engine.

It shows that the text is enough. It asks no questions of speed: it reads whole files.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

__all__ = ["PlainLog", "read_log", "resolve"]

_CRC = len(',"crc":"00000000"}')


@dataclass
class PlainLog:
    """What a reader may see: the lines of all records, in order, and the seqs that cannot be read."""

    log_id: str
    lines: list[bytes] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Return the object in ``line`` if its checksum is right."""
    if line[-_CRC:] != b',"crc":"%08x"}' % crc32(line[:-_CRC]):
        return None
    found: dict[str, Any] = json.loads(line)
    return found


def watermark(log: Path) -> dict[str, Any]:
    data = (log / "COMMITTED").read_bytes()
    slots = [slot for half in (data[:512], data[512:]) if (slot := parse_line(half.rstrip(b" \n")))]
    return max(slots, key=lambda slot: int(slot["generation"]))


def read_log(log: Path) -> PlainLog:
    """Read the log in ``log`` as "Reading" says."""
    mark = watermark(log)
    shown = mark["shown"]
    found = PlainLog(mark["log_id"])
    paths = sorted(path for path in log.iterdir() if re.fullmatch(r"[0-9]{20}\.jsonl", path.name))
    headers = [parse_line(path.read_bytes().split(b"\n")[0]) for path in paths]
    for index, (path, header) in enumerate(zip(paths, headers, strict=True)):
        assert header is not None
        assert (header["format"], header["log_id"], header["segment"]) == (1, mark["log_id"], int(path.stem))
        if header["segment"] > shown["segment"]:
            break
        if header["segment"] == shown["segment"]:
            end, last_seq = shown["offset"], shown["seq"]
        else:
            following = headers[index + 1]
            assert following is not None
            end, last_seq = following["previous"]["valid_length"], following["previous"]["last_seq"]
        name = base64.urlsafe_b64encode(bytes.fromhex(header["nonce"])).decode()[:11]
        seq = header["first_seq"] - 1
        for line in path.read_bytes()[:end].split(b"\n")[1:-1]:
            record = parse_line(line)
            if record is None:
                continue
            envelope = record["envelope"]
            if envelope["event_id"] == f"{name}-{envelope['seq']:x}" and envelope["seq"] > seq:
                found.lost += range(seq + 1, envelope["seq"])
                seq = envelope["seq"]
                found.lines.append(line + b"\n")
        found.lost += range(seq + 1, last_seq + 1)
    return found


def resolve(log: Path, token: str) -> tuple[int, int, int] | None:
    """Return segment, offset and seq of the place that ``token`` names, None if there is no such place."""
    raw = base64.urlsafe_b64decode(token[3:])
    number = int.from_bytes
    if token[:3] != "wo1" or number(raw[41:], "big") != crc32(raw[:41]) or raw[:8].hex() != watermark(log)["log_id"]:
        return None
    segment, offset, seq = number(raw[8:13], "big"), number(raw[17:22], "big"), number(raw[22:29], "big")
    path = log / f"{segment:020}.jsonl"
    if not path.exists():
        return None
    data = path.read_bytes()
    header = parse_line(data.split(b"\n")[0])
    if header is None or bytes.fromhex(header["nonce"])[:4] != raw[13:17] or data[offset - 1 : offset] != b"\n":
        return None
    following = re.match(
        rb'\{"kind":"event","envelope":\{"cursor":"[^"]*","event_id":"[^"]*","seq":([0-9]+),', data[offset:]
    )
    if following is not None and int(following[1]) != seq + 1:
        return None
    return segment, offset, seq

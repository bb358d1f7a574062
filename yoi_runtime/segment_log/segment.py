"""A segment file: its name and its first line, the header. Format: docs/log-format.md, "Segments"."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from yoi_runtime.errors import LogFormatError, LogVersionError
from yoi_runtime.segment_log.json_fields import hex_id, hex_number, parse_object, whole_number
from yoi_runtime.segment_log.record import check_crc, seal_object

__all__ = [
    "FORMAT_VERSION",
    "LONGEST_HEADER_BYTES",
    "MAX_HEADER_BYTES",
    "Previous",
    "SegmentHeader",
    "segment_name",
    "segment_number",
    "segment_numbers",
]

FORMAT_VERSION = 1
LONGEST_HEADER_BYTES = 420
# Room for what a newer writer adds; a file whose first line is longer is not a segment.
MAX_HEADER_BYTES = 1024

# In names joined by what cannot be in one.
_NAMES = re.compile(r"(?<![^/])([0-9]{20})\.jsonl(?![^/])")
# Five bytes of a cursor token say the number of a segment, five an offset.
_NUMBER_BITS = 40


def segment_name(number: int) -> str:
    """Return the file name of segment ``number``: 20 digits, so that names sort as numbers do."""
    return f"{number:020d}.jsonl"


def segment_number(name: str) -> int | None:
    """Return the number in a segment's file name, None for any other name."""
    return next(iter(segment_numbers([name])), None)


def segment_numbers(names: Iterable[str]) -> list[int]:
    """Return the numbers in those of ``names`` that are a segment's, ascending (0.1 µs a name: a log may have thousands)."""
    found = sorted(map(int, _NAMES.findall("/".join(names))))
    return found[: bisect_left(found, 1 << _NUMBER_BITS)]


@dataclass(frozen=True, slots=True)
class Previous:
    """How the segment before ended: ``valid_length`` in bytes, ``last_seq`` of its last record."""

    segment: int
    nonce: int
    valid_length: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The first line of a segment. ``length`` is the line's own length with its newline, in bytes."""

    log_id: str
    segment: int
    nonce: int
    first_seq: int
    time: str
    previous: Previous | None
    length: int = 0

    def encode(self) -> bytes:
        """Return the line, newline last."""
        previous = self.previous
        fields = {
            "kind": "segment",
            "format": FORMAT_VERSION,
            "log_id": self.log_id,
            "segment": self.segment,
            "nonce": f"{self.nonce:016x}",
            "first_seq": self.first_seq,
            "time": self.time,
            "previous": None
            if previous is None
            else {
                "segment": previous.segment,
                "nonce": f"{previous.nonce:016x}",
                "valid_length": previous.valid_length,
                "last_seq": previous.last_seq,
            },
        }
        return seal_object(json.dumps(fields, separators=(",", ":")).encode("ascii")) + b"\n"

    @classmethod
    def decode(cls, data: bytes, file: Path) -> SegmentHeader:
        """Return the header that ``data`` (the first bytes of ``file``) begins with.

        Raises:
            LogVersionError: it is of another version.
            LogFormatError: there is none, it is damaged, or not this file's.
        """
        line, newline, _ = data.partition(b"\n")
        if not newline:
            raise LogFormatError(file, "no segment header: the first line has no end")
        if not check_crc(line):
            raise LogFormatError(file, "the segment header is damaged: its checksum does not match")
        try:
            fields = parse_object(line)
            version = fields["format"]
            if fields["kind"] != "segment" or version != FORMAT_VERSION:
                raise LogVersionError(file, version, FORMAT_VERSION)
            before = fields["previous"]
            if fields["first_seq"] == 0:
                raise ValueError("seqs begin at 1")
            header = cls(
                log_id=hex_id(fields["log_id"]),
                segment=whole_number(fields["segment"], _NUMBER_BITS),
                nonce=hex_number(fields["nonce"]),
                first_seq=whole_number(fields["first_seq"]),
                time=str(fields["time"]),
                previous=None
                if before is None
                else Previous(
                    segment=whole_number(before["segment"], _NUMBER_BITS),
                    nonce=hex_number(before["nonce"]),
                    valid_length=whole_number(before["valid_length"], _NUMBER_BITS),
                    last_seq=whole_number(before["last_seq"]),
                ),
                length=len(line) + 1,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise LogFormatError(file, f"the segment header lacks a field or has it wrong: {error!r}") from error
        if header.segment != segment_number(file.name):
            raise LogFormatError(
                file, f"the header is that of segment {header.segment}: the file was renamed or copied"
            )
        return header

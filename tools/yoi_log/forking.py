"""A copy of a log that is another log: ``yoi-log fork``, as data.

Every header, token and checksum says the new log id; all else stays byte for byte, so that each record keeps its place,
its seq, its worker_seq and its event id: it is the same event, and who has it, knows it again. Cursors of the original
are foreign here, ``last_event_id`` goes on. Decision: docs/decisions/0022-fork-keeps-events.md.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from yoi_log.log_place import LogPlace
from yoi_log.new_directory import new_directory
from yoi_log.transcript_copy import copy_transcripts, keep_sound_transcripts
from yoi_log.walk import Damage, Gone, walk
from yoi_runtime.catalog.catalog import CATALOG, read_snapshot
from yoi_runtime.catalog.segment_index import index_path
from yoi_runtime.errors import LogFormatError, SegmentGoneError
from yoi_runtime.events.envelope import HEAD_PATTERN
from yoi_runtime.segment_log.cursor import NO_WORKER, TokenEncoder, worker_tag
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import Chunk, LogReader
from yoi_runtime.segment_log.record import seal_object
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.watermark import WatermarkFile, read_watermark

__all__ = ["Fork", "fork_log"]

_TOKEN_START = len(b'{"kind":"event","envelope":{"cursor":"')
_CRC_TAIL = len(b',"crc":"00000000"}')


@dataclass(frozen=True, slots=True)
class Fork:
    """What was copied. Positions are ``{segment, offset, seq}``; ``transcripts`` is None where none are kept."""

    original_log_id: str
    log_id: str
    source: str
    copy: str
    events: int
    segments: int
    end: dict[str, int]
    transcripts: str | None


def fork_log(place: LogPlace, target: Path, progress: Callable[[int], None] = lambda _: None) -> Fork:
    """Make the directory ``target`` with the log of ``place`` under a new log id, up to its watermark.

    Raises:
        RecordCorruptError, LogFormatError: the log is damaged; nothing was made.
        SegmentGoneError: a Runtime rotated a segment out meanwhile; nothing was made.
        OSError: ``target`` exists, or the disk refused; nothing was made.
    """
    original, log_id = read_watermark(place.log_directory, REAL_PLATFORM).log_id, REAL_PLATFORM.random_bytes(8).hex()
    with new_directory(target) as aside:
        # Before the reader: what the snapshot and the transcripts know must all be there.
        catalog = _catalog_line(place)
        transcripts = copy_transcripts(place, aside, original, log_id)
        reader = LogReader(place.log_directory)
        try:
            log = aside / "log"
            log.mkdir(mode=0o750)
            end, events = _copy_segments(reader, log, log_id, progress)
            slots = WatermarkFile(log, REAL_PLATFORM, log_id, reader.watermark.generation)
            slots.write(end, end, clean=True)
            slots.close()
            _copy_books(place, aside, reader, log_id, catalog)
            segments = sum(number <= end.segment for number in reader.segment_numbers())
        finally:
            reader.close()
        transcripts = transcripts or keep_sound_transcripts(aside)
    place_of_end = {"segment": end.segment, "offset": end.offset, "seq": end.seq}
    return Fork(original, log_id, str(place.log_directory), str(target), events, segments, place_of_end, transcripts)


def _copy_segments(reader: LogReader, log: Path, log_id: str, progress: Callable[[int], None]) -> tuple[Position, int]:
    end, events = reader.end, 0
    numbers = [number for number in reader.segment_numbers() if number <= end.segment]
    missing = [number for number in range(min(numbers, default=0), end.segment) if number not in numbers]
    if missing:
        raise LogFormatError(reader.directory / segment_name(missing[0]), "the segment file is missing")
    for number in numbers:
        start = reader.start_of(number)
        with (log / segment_name(number)).open("wb") as file:
            file.write(_with_log_id(_header_of(reader, number, start.offset), log_id))
            for step in walk(reader, start, _end_of(reader, number, end)):
                if isinstance(step, Damage):
                    raise step.error
                if isinstance(step, Gone):
                    raise SegmentGoneError(reader.directory, number)
                _copy_chunk(step, file, log_id)
                progress(len(step.data))
                events += step.records
            if number == end.segment and file.tell() != end.offset:
                raise LogFormatError(
                    reader.directory / segment_name(number), "bytes are missing at its end", end.offset
                )
    return end, events


def _header_of(reader: LogReader, number: int, length: int) -> bytes:
    with (reader.directory / segment_name(number)).open("rb") as file:
        return file.read(length)


def _end_of(reader: LogReader, number: int, end: Position) -> Position:
    """Return the place where the next segment begins, or the end of the log."""
    return end if number == end.segment else reader.start_of(number + 1)


def _copy_chunk(chunk: Chunk, file: BinaryIO, log_id: str) -> None:
    """Write the records of ``chunk`` with tokens of the new log (3 µs a record)."""
    encode = TokenEncoder(log_id, chunk.start.segment, chunk.start.nonce).encode
    offset, at, records = chunk.start.offset, 0, list[bytes]()
    for found in HEAD_PATTERN.finditer(chunk.data):
        _, _, seq, raw_id, worker_seq, _, _ = found.groups()
        tag = worker_tag(raw_id.decode("ascii")) if raw_id is not None else NO_WORKER
        token = encode(offset + found.end() + 1, int(seq), tag, int(worker_seq or 0))
        line = found[0]
        covered = b"%s%s%s" % (line[:_TOKEN_START], token, line[_TOKEN_START + len(token) : -_CRC_TAIL])
        records.append(b'%s,"crc":"%08x"}\n' % (covered, crc32(covered)))
        at = found.end() + 1
    data = b"".join(records)
    if at != len(chunk.data) or len(data) != at:
        raise LogFormatError(
            Path(file.name), f"a record behind seq {chunk.start.seq} is not written as records are", at
        )
    file.write(data)


def _with_log_id(line: bytes, log_id: str) -> bytes:
    """Return one of the engine's own lines with another log id and a checksum that fits."""
    body = re.sub(rb'"log_id":"[0-9a-f]{16}"', b'"log_id":"%s"' % log_id.encode("ascii"), line, count=1)
    return seal_object(body[: body.rindex(b',"crc":"')] + b"}") + b"\n"


def _catalog_line(place: LogPlace) -> bytes | None:
    if place.data_directory is None or read_snapshot(place.data_directory, REAL_PLATFORM) is None:
        return None
    return (place.data_directory / CATALOG).read_bytes()


def _copy_books(place: LogPlace, aside: Path, reader: LogReader, log_id: str, catalog: bytes | None) -> None:
    """Copy indexes, which name no log, and the catalog; one that is not sound or not this log's is made again later."""
    for number in reader.segment_numbers():
        path = index_path(place.log_directory, number)
        if number < reader.end.segment and path.exists():
            shutil.copyfile(path, index_path(aside / "log", number))
    if catalog is not None and json.loads(catalog)["log_id"] == reader.log_id:
        (aside / CATALOG).write_bytes(_with_log_id(catalog, log_id))

"""The place file beside a sealed segment: where each Worker's records stand, and checksums of whole blocks.

It saves reading; it is never the truth. A missing, damaged or foreign one is passed by, and made again by
the writing process (``place_indexer``). Format: docs/log-format.md, "Place files".
"""

from __future__ import annotations

import json
import sys
from array import array
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from yoi_runtime.catalog.durable_file import replace_file
from yoi_runtime.catalog.places import Places
from yoi_runtime.checksum import crc32
from yoi_runtime.segment_log.json_fields import hex_number, parse_object, whole_number
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.record import check_crc, seal_object
from yoi_runtime.segment_log.segment import segment_name

__all__ = ["BLOCK_BYTES", "PLACES_ENDING", "Block", "PlaceFile", "bytes_to_grid", "place_path", "write_places"]

PLACES_ENDING = ".places"
BLOCK_BYTES = 128 << 10
# One read gets the header and, of a segment of 16 MiB, all blocks.
_HEAD_BYTES = 4096
_BLOCK = Struct(">QQI")
_OFFSET = Struct(">I")
_WORKERS_PER_BUCKET = 4
_MAX_FILE_BYTES = 1 << 30


def bytes_to_grid(offset: int) -> int:
    """Return how much to read from ``offset`` on: to a multiple of ``BLOCK_BYTES`` that is not too near.

    The last whole record before that line ends the block. Readers that began at unrelated places are at the same ones
    after their first block.
    """
    left = -offset % BLOCK_BYTES
    return left if left >= BLOCK_BYTES // 2 else left + BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records of a segment from the block before (or the header) up to ``end``; ``crc`` is of all their bytes."""

    end: Position
    crc: int


def place_path(log_directory: Path, segment: int) -> Path:
    """Return the path of the place file of ``segment``."""
    return log_directory / segment_name(segment).replace(".jsonl", PLACES_ENDING)


def write_places(log_directory: Path, places: Places, blocks: list[Block], platform: Platform) -> None:
    """Write the place file of a whole sealed segment, all of whose records were checked.

    Raises:
        OSError: there is none, or the one before.
    """
    by_worker = places.workers()
    count = max(1, len(by_worker) // _WORKERS_PER_BUCKET)
    buckets = [bytearray() for _ in range(count)]
    for worker_id, numbers in by_worker.items():
        name = worker_id.encode("ascii")
        bucket = buckets[crc32(name) % count]
        bucket += bytes((len(name),)) + name + _OFFSET.pack(len(numbers)) + _big_endian(numbers).tobytes()
    ends, data = [0], bytearray()
    for number, bucket in enumerate(buckets):
        data += bucket + _OFFSET.pack(crc32(bucket, number))
        ends.append(len(data))
    block_data = b"".join(_BLOCK.pack(block.end.offset, block.end.seq, block.crc) for block in blocks)
    header = {
        "kind": "segment_places",
        "format": 1,
        "segment": places.start.segment,
        "nonce": f"{places.start.nonce:016x}",
        "start_offset": places.start.offset,
        "start_seq": places.start.seq,
        "blocks": len(blocks),
        "blocks_crc": crc32(block_data),
        "buckets": count,
    }
    line = seal_object(json.dumps(header, separators=(",", ":")).encode()) + b"\n"
    directory = b"".join(map(_OFFSET.pack, ends))
    replace_file(place_path(log_directory, places.start.segment), line + block_data + directory + bytes(data), platform)


def _big_endian(numbers: array[int]) -> array[int]:
    copied = array("Q", numbers)
    if sys.byteorder == "little":
        copied.byteswap()
    return copied


class PlaceFile:
    """An opened place file: its blocks in memory, its places read as they are asked for."""

    def __init__(self, path: Path, start: Position, blocks: dict[int, Block], directory: int, buckets: int) -> None:
        self._path = path
        self.start = start
        # By the offset at which each begins.
        self.blocks = blocks
        self.end = next(reversed(blocks.values())).end
        self._directory = directory
        self._buckets = buckets

    @classmethod
    def open(cls, log_directory: Path, segment: int, platform: Platform) -> PlaceFile | None:
        """Return the sound place file of ``segment``, None when there is none. Raises ``OSError``."""
        path = place_path(log_directory, segment)
        files = platform.files
        try:
            fd = files.open_read(path)
        except FileNotFoundError:
            return None
        try:
            data = files.pread(fd, _HEAD_BYTES, 0)
            line, newline, rest = data.partition(b"\n")
            if not newline or not check_crc(line):
                return None
            fields = parse_object(line)
            if (fields["kind"], fields["format"], fields["segment"]) != ("segment_places", 1, segment):
                return None
            count, buckets = whole_number(fields["blocks"], 40), whole_number(fields["buckets"], 32)
            size = count * _BLOCK.size
            if size > _MAX_FILE_BYTES:
                return None
            block_data = rest[:size] if len(rest) >= size else files.pread(fd, size, len(line) + 1)
            if not count or not buckets or crc32(block_data) != fields["blocks_crc"]:
                return None
            start = Position(
                segment,
                hex_number(fields["nonce"]),
                whole_number(fields["start_offset"], 40),
                whole_number(fields["start_seq"]),
            )
        except (ValueError, KeyError, TypeError):
            return None
        finally:
            files.close(fd)
        blocks, begin = {}, start.offset
        for offset, seq, crc in _BLOCK.iter_unpack(block_data):
            blocks[begin] = Block(start._replace(offset=offset, seq=seq), crc)
            begin = offset
        return cls(path, start, blocks, len(line) + 1 + size, buckets)

    def places_of(self, worker_id: str, platform: Platform) -> array[int] | None:
        """Return the places of a Worker in this segment, as ``Places`` keeps them; None when the file is damaged.

        Two reads, whatever the number of Workers. Raises ``OSError``.
        """
        name = worker_id.encode("ascii")
        number = crc32(name) % self._buckets
        files = platform.files
        fd = files.open_read(self._path)
        try:
            ends = files.pread(fd, 2 * _OFFSET.size, self._directory + number * _OFFSET.size)
            if len(ends) < 2 * _OFFSET.size:
                return None
            (begin,), (end,) = _OFFSET.iter_unpack(ends)
            if not 4 <= end - begin <= _MAX_FILE_BYTES:
                return None
            bucket = files.pread(fd, end - begin, self._directory + (self._buckets + 1) * _OFFSET.size + begin)
        finally:
            files.close(fd)
        if len(bucket) != end - begin or _OFFSET.pack(crc32(bucket[:-4], number)) != bucket[-4:]:
            return None
        at = 0
        while at < len(bucket) - 4:
            name_end = at + 1 + bucket[at]
            owner = bucket[at + 1 : name_end]
            (count,) = _OFFSET.unpack_from(bucket, name_end)
            first = name_end + _OFFSET.size
            at = first + 8 * count
            if owner == name:
                found = array("Q")
                found.frombytes(bucket[first:at])
                return _big_endian(found)
        return array("Q")

    def is_sound(self, platform: Platform) -> bool:
        """Read the whole file and return whether all of it is as it was written. Raises ``OSError``."""
        files = platform.files
        fd = files.open_read(self._path)
        try:
            data = files.pread(fd, files.stat(fd).size, 0)
        finally:
            files.close(fd)
        base = self._directory + (self._buckets + 1) * _OFFSET.size
        if len(data) < base:
            return False
        ends = [end for (end,) in _OFFSET.iter_unpack(data[self._directory : base])]
        for number in range(self._buckets):
            bucket = data[base + ends[number] : base + ends[number + 1]]
            if len(bucket) < 4 or _OFFSET.pack(crc32(bucket[:-4], number)) != bucket[-4:]:
                return False
        return bool(base + ends[-1] == len(data))

"""The index file beside a sealed segment: what of whom is in it. Format: docs/log-format.md, "Index files".

An index saves reading the segment; it is never the truth. A missing, damaged or foreign one is
made again from the segment.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from yoi_runtime.catalog.durable_file import replace_file
from yoi_runtime.catalog.place_file import PLACES_ENDING
from yoi_runtime.catalog.worker_state import Tally
from yoi_runtime.segment_log.json_fields import parse_object
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.record import check_crc, seal_object
from yoi_runtime.segment_log.segment import segment_name, segment_number

__all__ = ["index_path", "read_index", "remove_orphans", "write_index"]

_MAX_INDEX_BYTES = 256 << 20
_ENDING = ".index.json"


def index_path(log_directory: Path, segment: int) -> Path:
    """Return the path of the index of ``segment``."""
    return log_directory / segment_name(segment).replace(".jsonl", _ENDING)


def write_index(log_directory: Path, segment: int, nonce: int, tallies: dict[str, Tally], platform: Platform) -> None:
    """Write the index of a sealed segment.

    Raises:
        OSError: there is no index, or the one before.
    """
    fields = {
        "kind": "segment_index",
        "format": 1,
        "segment": segment,
        "nonce": f"{nonce:016x}",
        "tallies": {worker_id: tally.to_json() for worker_id, tally in tallies.items()},
    }
    line = seal_object(json.dumps(fields, separators=(",", ":")).encode()) + b"\n"
    replace_file(index_path(log_directory, segment), line, platform)


def read_index(log_directory: Path, segment: int, nonce: int, platform: Platform) -> dict[str, Tally] | None:
    """Return the tallies in the index of ``segment``, None when there is no sound index of this very segment."""
    files = platform.files
    try:
        fd = files.open_read(index_path(log_directory, segment))
    except FileNotFoundError:
        return None
    try:
        data = files.pread(fd, min(files.stat(fd).size, _MAX_INDEX_BYTES), 0)
    finally:
        files.close(fd)
    line = data.rstrip(b"\n")
    if not check_crc(line):
        return None
    try:
        fields = parse_object(line)
        if (fields["kind"], fields["format"], fields["segment"], fields["nonce"]) != (
            "segment_index",
            1,
            segment,
            f"{nonce:016x}",
        ):
            return None
        return {str(worker_id): Tally.from_json(tally) for worker_id, tally in fields["tallies"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def remove_orphans(log_directory: Path, segments: Collection[int], platform: Platform) -> None:
    """Delete the indexes and place files of segments that are not among ``segments``; what cannot be deleted stays."""
    for name in platform.files.list_directory(log_directory):
        ending = next((ending for ending in (_ENDING, PLACES_ENDING) if name.endswith(ending)), None)
        number = segment_number(name.removesuffix(ending) + ".jsonl") if ending is not None else None
        if number is not None and number not in segments:
            try:
                platform.files.unlink(log_directory / name)
            except OSError:
                continue

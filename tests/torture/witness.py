"""What stands in the files, by a second pair of eyes: no code of the engine is asked.

A ``Witness`` is told to look whenever the engine rests, remembers every record that ever was, and knows
what the log must still hold: by seq, the record that bears it in the log's present life.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from zlib import crc32

from tests.faults.memory_files import MemoryFiles

if TYPE_CHECKING:
    from _typeshed import SupportsLenAndGetItem

__all__ = ["Mark", "Record", "Witness", "copy_of", "live_mark", "names_in", "parse_record", "segment_files"]

_T = TypeVar("_T")
_SEGMENT = re.compile(r"[0-9]{20}\.jsonl")
_RECORD = re.compile(
    rb'\{"kind":"event","envelope":\{"cursor":"(wo1[A-Za-z0-9_-]{60})","event_id":"([A-Za-z0-9_-]{11}-[0-9a-f]+)",'
    rb'"seq":([0-9]+),"worker_id":(?:null|"([A-Za-z0-9_-]+)"),"worker_seq":(?:null|([0-9]+)),.*\},"crc":"([0-9a-f]{8})"\}\n',
    re.DOTALL,
)
_CRC_TAIL = len(b',"crc":"00000000"}\n')


class Record(NamedTuple):
    """A record as it stands in a file; ``line`` with its newline, ``offset`` just after it."""

    line: bytes
    segment: int
    offset: int
    seq: int
    event_id: str
    token: str
    worker_id: str | None
    worker_seq: int


def parse_record(line: bytes, segment: int = 0, offset: int = 0) -> Record | None:
    """Return the record that ``line`` (with its newline) is, None when it is not a whole one."""
    found = _RECORD.fullmatch(line)
    if found is None or crc32(line[:-_CRC_TAIL]) != int(found[6], 16):
        return None
    token, event_id, seq, worker_id, worker_seq, _ = found.groups()
    return Record(
        line,
        segment,
        offset,
        int(seq),
        event_id.decode(),
        token.decode(),
        None if worker_id is None else worker_id.decode(),
        int(worker_seq or 0),
    )


def segment_files(names: Iterable[str]) -> list[str]:
    """Return the names of segments among ``names``, oldest first."""
    return sorted(name for name in names if _SEGMENT.fullmatch(name))


def _first_seq(segment: bytes) -> int | None:
    """Return the first seq that a segment's header states, None when the header is damaged."""
    try:
        return int(json.loads(segment.partition(b"\n")[0])["first_seq"])
    except (ValueError, KeyError):
        return None


def names_in(files: MemoryFiles, directory: Path) -> list[str]:
    """Return the names in ``directory``; not counted as a call."""
    return list(files._directory(directory).live)


class _LastOfEach(Random):
    def choice(self, seq: SupportsLenAndGetItem[_T]) -> _T:
        return seq[len(seq) - 1]


def copy_of(files: MemoryFiles) -> MemoryFiles:
    """Return files as programs see these now, all of it durable, nothing open."""
    return files.cut_power(_LastOfEach(0))


class Mark(NamedTuple):
    """What the watermark says at this moment to any reader: the seqs up to which records are shown, and synced."""

    shown: int = 0
    synced: int = 0
    generation: int = 0


def live_mark(files: MemoryFiles, log_directory: Path) -> Mark:
    """Return what a reader in another process would find in COMMITTED now; zeros when there is nothing."""
    mark = Mark()
    try:
        data = files.read_bytes(log_directory / "COMMITTED")
    except OSError:
        return mark
    for slot in (data[:512], data[512:]):
        line = slot.rstrip(b" \n\0")
        if line[-18:] == b',"crc":"%08x"}' % crc32(line[:-18]):
            fields = json.loads(line)
            if fields["generation"] > mark.generation:
                mark = Mark(fields["shown"]["seq"], fields["synced"]["seq"], fields["generation"])
    return mark


class Witness:
    """Remembers the records of one log directory in ``files``, through every crash.

    ``ever`` holds each record that was whole in a file at some time, by event id. ``present`` is the log as it is
    now: each seq and the record that bears it, None where it is known to be lost (``holes`` says which event that was);
    ``floor_seq`` and below went with rotated-out segments and are kept here all the same.
    """

    def __init__(self, log_directory: Path) -> None:
        self.log_directory = log_directory
        self.ever: dict[str, Record] = {}
        self.present: dict[int, Record | None] = {}
        self.holes: dict[int, str] = {}
        # The event that came before each event when that was appended: the history it belongs to.
        self.before: dict[str, str | None] = {}
        self.floor_seq = 0
        self._seen: dict[str, int] = {}

    @property
    def last_seq(self) -> int:
        return max(self.present, default=0)

    def look(self, files: MemoryFiles) -> list[Record]:
        """Take in the records that came since the last look; call while the engine rests. Returns them."""
        new: list[Record] = []
        names = segment_files(names_in(files, self.log_directory))
        for name in names:
            data = files.read_bytes(self.log_directory / name)
            start = self._seen.get(name, 0)
            while (end := data.find(b"\n", start) + 1) > 0:
                record = parse_record(data[start:end], int(name[:20]), end)
                if record is not None:
                    new.append(record)
                start = end
            self._seen[name] = start
        for record in new:
            self.note(record)
        for name in [name for name in self._seen if name not in names]:
            del self._seen[name]
        if names and (first_seq := _first_seq(files.read_bytes(self.log_directory / names[0]))) is not None:
            self.floor_seq = max(self.floor_seq, first_seq - 1)
        return new

    def note(self, record: Record) -> None:
        """Take in one record as the newest of the log."""
        before = self.ever.setdefault(record.event_id, record)
        assert before.line == record.line, f"event id {record.event_id} was given to two records"
        earlier = (self.present.get(seq) for seq in range(record.seq - 1, 0, -1))
        last = next((other for other in earlier if other is not None), None)
        self.before.setdefault(record.event_id, last.event_id if last is not None else None)
        self.present[record.seq] = record

    def heard_by(self, record: Record) -> set[str]:
        """Return the events that somebody has got who followed the log of those days up to ``record``."""
        heard: set[str] = set()
        event_id: str | None = record.event_id
        while event_id is not None:
            heard.add(event_id)
            event_id = self.before[event_id]
        return heard

    def skip(self, files: MemoryFiles) -> None:
        """Take what stands in the files now for known: ``present`` was made from it in another way."""
        self._seen = {
            name: files.read_bytes(self.log_directory / name).rfind(b"\n") + 1
            for name in segment_files(names_in(files, self.log_directory))
        }

    def fork(self) -> Witness:
        """Return a witness for another future of the same log; what ever was, both remember together."""
        other = Witness(self.log_directory)
        other.ever, other.present, other.floor_seq = self.ever, dict(self.present), self.floor_seq
        other.holes, other.before = dict(self.holes), self.before
        other._seen = dict(self._seen)
        return other

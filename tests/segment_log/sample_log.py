"""Logs to test with: bodies, platforms without chance in them, and a reader that goes on after damage."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.faults.clocks import ManualClock
from yoi_runtime.errors import RecordCorruptError
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.platform import Clock, FileOps, Platform, RealFileOps
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.writer import Appended, LogOptions, LogWriter

__all__ = [
    "SMALL",
    "Read",
    "all_seqs",
    "append_many",
    "body",
    "damage",
    "open_log",
    "platform_of",
    "read_all",
    "resolve",
    "seqs_of",
]

# The smallest segments there are: a roll every ten records or so.
SMALL = LogOptions(segment_bytes=4096)


def body(text: str | int = "", size: int = 0) -> bytes:
    """Return a record's body of at least ``size`` bytes that says ``text``."""
    filler = "x" * size
    data = {"worker_id": "w", "worker_seq": 1, "time": "2026-11-22T17:37:23.123456Z", "text": str(text), "fill": filler}
    return json.dumps(data, separators=(",", ":"))[1:-1].encode()


def platform_of(
    files: FileOps | None = None, *, seed: int = 1, clock: Clock | None = None, boot: str = "boot-1", pid: int = 4242
) -> Platform:
    """Return a platform whose clock stands still and whose random numbers come from ``seed``."""
    return Platform(
        files=files if files is not None else RealFileOps(),
        clock=clock if clock is not None else ManualClock(),
        random_bytes=Random(seed).randbytes,
        boot_id=lambda: boot,
        pid=lambda: pid,
    )


def open_log(directory: Path, platform: Platform | None = None, options: LogOptions = SMALL) -> LogWriter:
    """Open a log for writing that commits only when it is told to."""
    return LogWriter(directory, options, platform or platform_of(), background=False)


def append_many(log: LogWriter, count: int, size: int = 100, *, commit: bool = True) -> list[Appended]:
    """Append ``count`` records that say their own seq."""
    appended = [log.append(body(log.end.seq + 1, size)) for _ in range(count)]
    if commit:
        log.commit_once()
    return appended


@dataclass
class Read:
    """What a reader got, in order: whole lines, and the damage it was told of."""

    lines: list[bytes] = field(default_factory=list)
    gaps: list[RecordCorruptError] = field(default_factory=list)
    end: Position = field(default_factory=lambda: Position(0, 0, 0, 0))

    def go_around(self, error: RecordCorruptError, position: Position, reader: LogReader) -> Position:
        """Take note of damage met at ``position``; return the place behind it."""
        assert error.seq == position.seq + 1, "damage is announced where it begins"
        self.gaps.append(error)
        assert len(self.gaps) < 1000, f"no way around {error}"
        after = reader.after_damage(error)
        assert after != position, f"no progress at {error}"
        return after

    @property
    def lost(self) -> list[int]:
        """Return the seqs that were announced as unreadable."""
        return [seq for gap in self.gaps for seq in range(gap.seq, gap.resume_seq + 1)]

    @property
    def seqs(self) -> list[int]:
        return seqs_of(b"".join(self.lines))


def seqs_of(data: bytes) -> list[int]:
    """Return the seqs of the records in ``data``, as they stand there."""
    return [int(seq) for seq in re.findall(rb'^{"kind":"event","envelope":{[^{]*?"seq":([0-9]+),', data, re.MULTILINE)]


def read_all(
    reader: LogReader,
    start: Position | None = None,
    max_bytes: int = 4096,
    *,
    look: Callable[[], object] = lambda: None,
) -> Read:
    """Read from ``start`` (else the floor) to the end, going on after damage; ``look`` is called between reads."""
    position = reader.floor() if start is None else start
    found = Read()
    while True:
        look()
        try:
            chunk = reader.read(position, max_bytes)
        except RecordCorruptError as error:
            position = found.go_around(error, position, reader)
            continue
        if chunk is None:
            found.end = position
            return found
        assert chunk.start.seq == position.seq, "what is read follows what was read"
        assert chunk.records == chunk.end.seq - chunk.start.seq == chunk.data.count(b"\n") > 0
        assert len(chunk.data) == chunk.end.offset - chunk.start.offset
        found.lines += chunk.data.splitlines(keepends=True)
        position = chunk.end


def damage(path: Path, change: Callable[[bytearray], object]) -> None:
    """Let ``change`` work on the bytes of the file at ``path``."""
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def all_seqs(directory: Path) -> list[int]:
    """Return the seqs of the whole log, in which nothing may be damaged."""
    reader = LogReader(directory, platform_of())
    found = read_all(reader)
    reader.close()
    assert found.gaps == []
    return found.seqs


def resolve(reader: LogReader, token: bytes | str) -> Position:
    """Return the place that a token names."""
    return reader.resolve(decode_token(token if isinstance(token, str) else token.decode()))

"""What stands in a log: every event read back from the files, and the numbering checked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from yoi_runtime.errors import RecordCorruptError
from yoi_runtime.events import Envelope, Event, decode_record
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform
from yoi_runtime.segment_log.reader import LogReader

__all__ = ["by_worker", "check_numbers", "envelopes_in", "events_of", "lines_in"]


def lines_in(log_directory: Path, platform: Platform = REAL_PLATFORM, *, damaged: bool = False) -> list[bytes]:
    """Return every record that readers see, oldest first; past damage only where a test expects some."""
    reader = LogReader(log_directory, platform)
    lines: list[bytes] = []
    try:
        position = reader.floor()
        while True:
            try:
                chunk = reader.read(position, 1 << 20)
            except RecordCorruptError as error:
                if not damaged:
                    raise
                position = reader.after_damage(error)
                continue
            if chunk is None:
                return lines
            lines += chunk.data.split(b"\n")[:-1]
            position = chunk.end
    finally:
        reader.close()


def envelopes_in(log_directory: Path, platform: Platform = REAL_PLATFORM, *, damaged: bool = False) -> list[Envelope]:
    """Return every event that readers see, oldest first, decoded and checked."""
    return [decode_record(line) for line in lines_in(log_directory, platform, damaged=damaged)]


def events_of(envelopes: Iterable[Envelope], worker_id: str | None) -> list[Event]:
    """Return the events of a Worker, or (None) the Runtime's own."""
    return [envelope.payload for envelope in envelopes if envelope.worker_id == worker_id]


def by_worker(envelopes: Iterable[Envelope]) -> dict[str, list[Envelope]]:
    """Return the events of each Worker, the Runtime's left out."""
    found: dict[str, list[Envelope]] = defaultdict(list)
    for envelope in envelopes:
        if envelope.worker_id is not None:
            found[envelope.worker_id].append(envelope)
    return dict(found)


def check_numbers(envelopes: Sequence[Envelope], *, first_seq: int | None = 1) -> None:
    """Check that seq has no gap, that no Worker's worker_seq has one, and that no event id comes twice.

    ``first_seq`` None: older ones were rotated out, then a Worker's numbers may begin anywhere.
    """
    seqs = [envelope.seq for envelope in envelopes]
    start = seqs[0] if first_seq is None else first_seq
    assert seqs == list(range(start, start + len(seqs)))
    assert len({envelope.event_id for envelope in envelopes}) == len(envelopes)
    for worker_id, found in by_worker(envelopes).items():
        numbers = [envelope.worker_seq or 0 for envelope in found]
        begin = numbers[0] if first_seq is None else 1
        assert numbers == list(range(begin, begin + len(numbers))), worker_id
    for envelope in envelopes:
        assert (envelope.worker_id is None) == (envelope.worker_seq is None)

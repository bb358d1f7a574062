"""An event log with its catalog, and beside it a plain list of what was written: the two must agree."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.event_log.quick_files import QuickFiles
from tests.event_log.sample_event_log import KEEP_ALL, SMALL
from tests.faults.clocks import ManualClock
from yoi_runtime.catalog.catalog import Catalog
from yoi_runtime.catalog.ledger import Ledger
from yoi_runtime.catalog.worker_state import Tally, WorkerState
from yoi_runtime.event_log.event_log import EventLog
from yoi_runtime.events import Event, TextDelta
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.platform import FileOps, Platform
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.timestamp import TimestampFormat
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

__all__ = ["Said", "Story", "check_accounts", "expected_tallies", "states_of"]


class Said(NamedTuple):
    """One event as the one who appended it knows it."""

    seq: int
    worker_id: str | None
    worker_seq: int
    time: str
    event: Event


@dataclass
class Story:
    """Opens a log in ``data_dir``, again and again; ``said`` is everything that was ever appended."""

    data_dir: Path
    retention: RetentionPolicy = KEEP_ALL
    options: LogOptions = SMALL
    files: FileOps = field(default_factory=QuickFiles)
    clock: ManualClock = field(default_factory=ManualClock)
    background: bool = True
    said: list[Said] = field(default_factory=list)

    @property
    def platform(self) -> Platform:
        return Platform(files=self.files, clock=self.clock, random_bytes=os.urandom)

    @property
    def log_directory(self) -> Path:
        return self.data_dir / "log"

    @property
    def ledger(self) -> Ledger:
        return self.catalog.ledger

    def open(self) -> Story:
        self.files.make_directory(self.data_dir)
        self.writer = LogWriter(self.log_directory, self.options, self.platform, background=self.background)
        try:
            clock = self.writer.steady_clock
            self.catalog = Catalog(self.data_dir, self.log_directory, self.platform, clock.now_us)
            self.log = EventLog(self.writer, self.catalog, self.retention, self.platform)
        except BaseException:
            self.writer.close()
            raise
        return self

    def close(self) -> None:
        self.log.close()

    def reopen(self) -> Story:
        self.close()
        return self.open()

    def say(self, worker_id: str | None, event: Event | None = None, *, size: int = 100) -> None:
        """Append an event (a ``text_delta`` of about ``size`` bytes) a second after the one before."""
        self.clock.pass_seconds(1)
        event = event if event is not None else TextDelta(text="x" * size)
        cursor = decode_token(self.log.append(event, worker_id))
        time = TimestampFormat()(self.clock.now_us())
        self.said.append(Said(cursor.seq, worker_id, cursor.worker_seq, time, event))

    def tell(self, segments: int, workers: str = "abc", *, events: int = 4) -> None:
        """Fill ``segments`` segments with ``events`` events each, of Workers in turn."""
        for _ in range(segments):
            for _ in range(events):
                self.say(workers[len(self.said) % len(workers)])
            self.log.roll()

    def at(self, data_dir: Path) -> Story:
        """Return the same story in another directory, say a copy; it is opened apart."""
        return Story(data_dir, self.retention, self.options, clock=self.clock, said=list(self.said))


def expected_tallies(said: list[Said], last_seq: int) -> dict[str | None, Tally]:
    """Return what each Worker, and (None) the Runtime, said up to ``last_seq``."""
    tallies: dict[str | None, Tally] = {}
    for one in said:
        if one.seq <= last_seq:
            tallies.setdefault(one.worker_id, Tally()).add(one.seq, one.worker_seq, one.time)
    return tallies


def check_accounts(story: Story, *, first_seq: int = 1) -> None:
    """Check that the ledger knows exactly what of each Worker is gone, and how far each has come.

    ``first_seq``: of the first event whose loss can be known, when a catalog was lost.
    """
    ledger = story.ledger
    gone = ledger.rotated_out.last_seq
    oldest = min(int(path.stem) for path in story.log_directory.glob("*.jsonl"))
    floor = story.log_directory / f"{oldest:020d}.jsonl"
    assert f'"first_seq":{gone + 1},'.encode() in floor.read_bytes()[:400], "what is counted as gone is what is gone"
    known = [one for one in story.said if one.seq >= first_seq]
    expected = expected_tallies(known, gone)
    assert ledger.rotated_out.events == sum(tally.events for tally in expected.values())
    for worker_id in {one.worker_id for one in known if one.worker_id is not None}:
        state = ledger.workers[worker_id]
        assert state.rotated_out == expected.get(worker_id), worker_id
        newest = [one for one in known if one.worker_id == worker_id][-1]
        assert (state.worker_seq, state.seq) == (newest.worker_seq, newest.seq)


def states_of(ledger: Ledger) -> dict[str, WorkerState]:
    """Return the states of all Workers, for comparison, without when they were found ended."""
    states = {}
    for worker_id, state in ledger.workers.items():
        copy = WorkerState.from_json(state.to_json())
        copy.found_ended_us = None
        states[worker_id] = copy
    return states

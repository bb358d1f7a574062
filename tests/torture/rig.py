"""The whole storage engine over any files, committing only when told to, and scripts of work for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from tests.faults.clocks import ManualClock
from yoi_runtime.catalog.catalog import Catalog
from yoi_runtime.event_log.event_log import EventLog
from yoi_runtime.events import RuntimeStarted, Status, TextDelta
from yoi_runtime.segment_log.cursor import CursorToken
from yoi_runtime.segment_log.platform import Clock, FileOps, Platform
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

__all__ = ["DATA", "KEEP_ALL", "LOG", "SMALL", "WORKERS", "Rig", "Step", "make_script", "platform_with"]

DATA = Path("/data")
LOG = DATA / "log"
WORKERS = ("a", "b", "quiet")
# The smallest segments there are: a roll every eight records or so.
SMALL = LogOptions(segment_bytes=4096)
KEEP_ALL = RetentionPolicy(retain_bytes=None, retain_age_seconds=None, retain_segments=None)


def platform_with(files: FileOps, seed: object, clock: Clock | None = None) -> Platform:
    """Return a platform whose random numbers come from ``seed``: a new seed for each life of a process."""
    return Platform(
        files=files,
        clock=clock if clock is not None else ManualClock(),
        random_bytes=Random(str(seed)).randbytes,
        boot_id=lambda: "boot-1",
        pid=lambda: 4242,
    )


@dataclass(frozen=True)
class Step:
    """One thing to do: ``do`` it, for a Worker and with a size where it is an append."""

    do: Literal["append", "commit", "roll", "maintain"]
    worker_id: str | None = None
    size: int = 0


class Rig:
    """Writer, catalog and event log of one data directory, put together as ``Runtime`` does it."""

    def __init__(
        self,
        platform: Platform,
        options: LogOptions = SMALL,
        retention: RetentionPolicy = KEEP_ALL,
        data_dir: Path = DATA,
        writer: LogWriter | None = None,
    ) -> None:
        """Open everything; ``writer`` is taken over if the log in ``data_dir`` is open already."""
        platform.files.make_directory(data_dir)
        self.platform = platform
        self.writer = writer or LogWriter(data_dir / "log", options, platform, background=False)
        try:
            steady_now_us = self.writer.steady_clock.now_us
            self.catalog = Catalog(data_dir, self.writer.directory, platform, steady_now_us, retention)
            self.log = EventLog(self.writer, self.catalog, retention, platform)
        except BaseException:
            self.writer.close()
            raise

    def append(self, text: str, worker_id: str | None, size: int = 0) -> CursorToken:
        """Append an event that says ``text``, padded to ``size`` characters."""
        if worker_id is None:
            return self.log.append(RuntimeStarted(version=text.ljust(size, "."), pid=1))
        if size == 1:
            return self.log.append(Status(status="running"), worker_id)
        return self.log.append(TextDelta(text=text.ljust(size, ".")), worker_id)

    def do(self, step: Step, clock: ManualClock) -> CursorToken | None:
        """Do one step of a script, and return the cursor if it is an append; ``clock`` is the platform's.

        A pass of retention comes after a minute of rest.
        """
        match step.do:
            case "append":
                return self.append("x", step.worker_id, step.size)
            case "commit":
                self.writer.commit_once()
            case "roll":
                self.log.roll()
            case "maintain":
                clock.pass_seconds(60)
                self.log.maintain()
        return None

    def close(self) -> None:
        self.log.close()


def make_script(rng: Random, *, appends: int, rolls: int, passes: int, largest: int = 300) -> list[Step]:
    """Return work in a random order: appends of several Workers, commits, explicit rolls, passes of retention."""
    steps = [
        Step("append", rng.choice((*WORKERS[:2], *WORKERS[:2], None, WORKERS[2])), _size(rng, largest))
        for _ in range(appends)
    ]
    for index in sorted(rng.sample(range(appends), appends // 3), reverse=True):
        steps.insert(index, Step("commit"))
    for do, count in (("roll", rolls), ("maintain", passes)):
        for number in range(count):
            # Spread out, so that there is something to seal and to rotate out each time.
            at = (number + 1) * len(steps) // (count + 1)
            steps.insert(at, Step("roll" if do == "roll" else "maintain"))
    return steps


def _size(rng: Random, largest: int) -> int:
    return rng.choice((1, rng.randrange(2, 40), rng.randrange(2, largest), largest))

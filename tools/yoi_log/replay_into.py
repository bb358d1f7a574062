"""A log played into another: the same Workers do the same in the same order, in a Runtime of today.

What stays: Worker ids, the order of all events, every payload, how Workers ended. What differs: log id, cursors, event
ids, seq, times; ``worker_seq`` and run numbers, where the recording does not hold a Worker's first event; and the
Runtime's own events (its starts and stops, recoveries), which are those of the new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from yoi_log.log_place import LogPlace
from yoi_log.measures import NameCounts
from yoi_log.new_directory import DirectoryExistsError
from yoi_log.pace import Pace
from yoi_log.recorded_events import Missing, RecordedEvent, opened, recorded_events
from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events import decode_extended
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.runtime.worker import Outcome, Worker

__all__ = ["ReplayedLog", "play_into"]


@dataclass(slots=True)
class ReplayedLog:
    """What came of it. ``left_out``: events of the recording that were not repeated, by name."""

    directory: str
    log_id: str
    from_log_id: str
    events: int = 0
    workers: int = 0
    missing: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


def play_into(
    place: LogPlace,
    target: Path,
    pace: Pace,
    *,
    wait: Callable[[float], object],
    progress: Callable[[int], None],
) -> ReplayedLog:
    """Repeat the log at ``place`` in a new Runtime in ``target``, and close it.

    A Worker that still ran at the recording's end is ended ``cancelled``, as at the close of any Runtime.

    Raises:
        DirectoryExistsError: ``target`` is there already; it was not touched.
        LogError, OSError: what was repeated so far stays in ``target``.
    """
    if target.exists():
        raise DirectoryExistsError(target)
    with opened(place) as reader:
        # Raises before anything is made, where nothing can be read.
        start = reader.floor()
        with Runtime.open(target, RuntimeOptions(retain_bytes=None, retain_age_seconds=None)) as runtime:
            repeated = _Repeated(runtime, ReplayedLog(str(target), runtime.log_id, reader.log_id))
            for step in recorded_events(reader, progress, start):
                if isinstance(step, Missing):
                    repeated.result.missing += step.events
                    continue
                seconds = pace.wait_seconds(step.time_us)
                if seconds > 0:
                    wait(seconds)
                repeated.take(step)
            return repeated.finish()


class _Repeated:
    def __init__(self, runtime: Runtime, result: ReplayedLog) -> None:
        self.result = result
        self._runtime = runtime
        self._running: dict[str, Worker] = {}
        self._seen: set[str] = set()
        self._left_out = NameCounts()

    def take(self, event: RecordedEvent) -> None:
        if event.worker_id:
            self._emit(event)
        elif event.name == "worker_started":
            data = event.data()
            self._start(str(data["worker_id"]), data.get("command"))
        elif event.name == "worker_ended":
            data = event.data()
            worker = self._running.pop(str(data["worker_id"]), None)
            if worker is not None:
                worker.end(cast("Outcome", data["outcome"]), data.get("exit_code"))
        elif event.name != "worker_created":
            self._left_out.add(event.name)

    def _emit(self, event: RecordedEvent) -> None:
        # Its start may have been rotated out.
        worker = self._running.get(event.worker_id) or self._start(event.worker_id)
        try:
            worker.emit(decode_extended(event.payload))
        except EventInvalidError:
            # Of a newer vocabulary than this one.
            self._left_out.add(event.name)
            return
        self.result.events += 1

    def _start(self, worker_id: str, command: list[str] | None = None) -> Worker:
        known = self._running.pop(worker_id, None)
        if known is not None:
            # The recording lost its end.
            known.end("lost")
        worker = self._running[worker_id] = self._runtime.create_worker(worker_id, command=command)
        self._seen.add(worker_id)
        return worker

    def finish(self) -> ReplayedLog:
        self.result.workers = len(self._seen)
        self.result.left_out = self._left_out.by_count()
        return self.result

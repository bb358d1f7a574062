"""A log played again as lines: every record as it stands in the log, when it is due. ``yoi-log replay`` to stdout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from yoi_log.log_place import LogPlace
from yoi_log.pace import Pace
from yoi_log.recorded_events import Missing, opened, recorded_events

__all__ = ["LineOutput", "play_lines"]


class LineOutput(Protocol):
    """Where the lines go."""

    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


def play_lines(
    place: LogPlace,
    pace: Pace,
    output: LineOutput,
    *,
    wait: Callable[[float], object],
    on_missing: Callable[[Missing], None],
    progress: Callable[[int], None],
) -> int:
    """Write the records of the log at ``place`` to ``output``; return how many events could not be read.

    ``wait`` takes the seconds until the next one; ``on_missing`` is told at the place where events are missing.

    Raises:
        LogError: there is no log, or its watermark cannot be read.
        OSError: the disk refused, or whoever reads went away.
    """
    missing = 0
    with opened(place) as reader:
        for step in recorded_events(reader, progress):
            if isinstance(step, Missing):
                missing += step.events
                on_missing(step)
                continue
            seconds = pace.wait_seconds(step.time_us)
            if seconds > 0:
                output.flush()
                wait(seconds)
            output.write(step.line + b"\n")
    output.flush()
    return missing

"""How far the subscriber that is furthest behind is behind: in events, in bytes of the log, in seconds. Reads nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.loop_watch import LoopWatch
from yoi_runtime.server.subscriber import Standing

__all__ = ["Lag", "worst_lag"]


@dataclass(frozen=True, slots=True)
class Lag:
    """The largest of each; not necessarily of the same subscriber."""

    events: int = 0
    bytes: int = 0
    seconds: float = 0.0


def worst_lag(standings: Iterable[Standing], view: LogView, watch: LoopWatch, now: float) -> Lag:
    """Return what the most lagging of these subscribers lacks of what ``view`` shows.

    A Worker's subscriber lacks only that Worker's events. Its bytes are those of the log in between, others' included.
    """
    events, seconds, hindmost = 0, 0.0, view.end
    for standing in standings:
        lacking = _lacking(standing, view)
        if not lacking:
            continue
        events = max(events, lacking)
        hindmost = min(hindmost, standing.position)
        behind = now - standing.behind_since
        remembered = watch.seconds_since_end_was(standing.position.seq)
        seconds = max(seconds, behind if remembered is None else min(behind, remembered))
    return Lag(events, view.bytes_after(hindmost), seconds)


def _lacking(standing: Standing, view: LogView) -> int:
    between = max(0, view.end.seq - standing.position.seq)
    if standing.worker_id is None or not between:
        return between
    state = view.worker(standing.worker_id)
    if state is None or state.seq <= standing.position.seq:
        return 0
    return between if standing.worker_seq is None else min(between, max(0, state.worker_seq - standing.worker_seq))

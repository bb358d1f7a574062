"""What a picture of a log is drawn from: its events as points, what lasts as bars, what is missing as gaps.

``timeline_page`` makes a page of it and ``timeline_svg`` a figure. The newest events are kept, up to a number, and of
each payload only its beginning: memory and page are bounded, and both say what they leave out.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from yoi_log.filler import LOST
from yoi_log.log_place import LogPlace
from yoi_log.recorded_events import Missing, RecordedEvent, opened, recorded_events
from yoi_runtime.catalog.catalog import read_snapshot
from yoi_runtime.segment_log.platform import REAL_PLATFORM

__all__ = ["MOST_EVENTS", "Bar", "Gap", "Lane", "Point", "Timeline", "read_timeline"]

MOST_EVENTS = 200_000
# Of a payload; a page of 100,000 events then has about 20 MB at most, and most have a tenth.
_MOST_CHARACTERS = 2000
_MOST_DELTA_CHARACTERS = 200
# Of all payloads together; when there is more, little is kept of each.
_PLENTY_CHARACTERS = 24_000_000
_LEAST_CHARACTERS = 120
_MOST_SILENCES = 10
# Tool calls side by side that get a row of their own.
_MOST_ROWS = 4

BarKind = Literal["run", "turn", "model", "tool"]
GapKind = Literal["silence", "damage", "rotated_out", "down"]


class Point(NamedTuple):
    """An event at its time; ``text`` is its payload, or the beginning of it if ``cut``."""

    time_us: int
    lane: int
    seq: int
    worker_seq: int
    name: str
    text: str
    cut: bool
    tokens: int


@dataclass(slots=True)
class Bar:
    """Something that lasted; ``to_us`` None: its end is not in the log. ``row`` tells apart what ran side by side."""

    lane: int
    kind: BarKind
    from_us: int
    to_us: int | None
    label: str
    state: str
    seq: int
    row: int = 0


class Gap(NamedTuple):
    """A time from which nothing is there, and why; ``lane`` -1 is all of them."""

    lane: int
    kind: GapKind
    from_us: int
    to_us: int
    label: str


@dataclass(slots=True)
class Lane:
    """A Worker, in the order of their first events; "" is the Runtime."""

    worker_id: str
    events: int = 0
    outcome: str | None = None
    runs: int = 0
    rows: int = 0


@dataclass(slots=True)
class Timeline:
    """The picture's facts. Times are microseconds since 1970."""

    log_id: str
    from_us: int = 0
    to_us: int = 0
    events: int = 0
    left_out: int = 0
    missing: int = 0
    lanes: list[Lane] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


def read_timeline(place: LogPlace, *, most_events: int = MOST_EVENTS, progress: Callable[[int], None]) -> Timeline:
    """Read the log at ``place``; ``progress`` is told how many more bytes were read.

    Raises:
        LogError: there is no log, or its watermark cannot be read.
        OSError: the disk refused.
    """
    with opened(place) as reader:
        drawing = _Drawing(reader.log_id, most_events)
        for step in recorded_events(reader, progress):
            if isinstance(step, Missing):
                drawing.miss(step)
            else:
                drawing.take(step)
        snapshot = read_snapshot(place.data_directory, REAL_PLATFORM) if place.data_directory is not None else None
        gone = snapshot.ledger.rotated_out.events if snapshot is not None and snapshot.log_id == reader.log_id else 0
        return drawing.finish(max(gone, reader.floor().seq))


class _Drawing:
    def __init__(self, log_id: str, most_events: int) -> None:
        self.timeline = Timeline(log_id)
        self._points: deque[Point] = deque(maxlen=most_events)
        self._bars: deque[Bar] = deque(maxlen=most_events)
        self._characters = 0
        self._lanes: dict[str, int] = {}
        # What has begun and not ended: by lane, kind and id.
        self._open: dict[int, dict[tuple[str, str], Bar]] = {}
        self._heard_us: dict[int, int] = {}
        self._silences: dict[int, list[tuple[int, int]]] = {}
        self._missing_from: Missing | None = None
        # By lane: since when events are lost that nothing has followed yet, and how many.
        self._lost_since: dict[int, tuple[int, int]] = {}
        self._stopped_us: int | None = None
        self._last_us: int | None = None

    def miss(self, missing: Missing) -> None:
        self.timeline.missing += missing.events
        self._missing_from = missing

    def take(self, event: RecordedEvent) -> None:
        timeline = self.timeline
        timeline.events += 1
        lane = self._lane(event.worker_id)
        timeline.lanes[lane].events += 1
        if self._missing_from is not None:
            missing, self._missing_from = self._missing_from, None
            self._gap("damage", self._last_us or event.time_us, event.time_us, _missing_text(missing))
        self._last_us = event.time_us
        if event.name != LOST:
            self._show_lost(lane, event.time_us)
        tokens = 0
        if event.worker_id:
            self._listen(lane, event.time_us)
            if ("run", "") not in self._open.get(lane, ()):
                # Its start was rotated out, or cannot be read.
                self._begin(lane, "run", "", event, "run")
        take = _TAKERS.get(event.name)
        if take is not None:
            data = event.data()
            tokens = _whole(data.get("output_tokens")) if event.name == "usage" else 0
            take(self, lane, event, data)
        self._add_point(lane, event, tokens)

    def _add_point(self, lane: int, event: RecordedEvent, tokens: int) -> None:
        most = _MOST_DELTA_CHARACTERS if event.name.endswith("_delta") else _MOST_CHARACTERS
        if self._characters > _PLENTY_CHARACTERS:
            most = _LEAST_CHARACTERS
        text = event.payload[: 4 * most].decode("utf-8", "ignore")[:most]
        cut = len(text.encode()) < len(event.payload)
        if len(self._points) == self._points.maxlen and self._points:
            self._characters -= len(self._points[0].text)
        self._characters += len(text)
        self._points.append(Point(event.time_us, lane, event.seq, event.worker_seq, event.name, text, cut, tokens))

    def _lane(self, worker_id: str) -> int:
        lane = self._lanes.get(worker_id)
        if lane is None:
            lane = self._lanes[worker_id] = len(self._lanes)
            self.timeline.lanes.append(Lane(worker_id))
        return lane

    def _gap(self, kind: GapKind, from_us: int, to_us: int, label: str, lane: int = -1) -> None:
        self.timeline.gaps.append(Gap(lane, kind, from_us, to_us, label))

    def _listen(self, lane: int, now_us: int) -> None:
        before = self._heard_us.get(lane)
        self._heard_us[lane] = now_us
        if before is not None and now_us > before:
            silences = self._silences.setdefault(lane, [])
            if len(silences) < _MOST_SILENCES:
                heapq.heappush(silences, (now_us - before, before))
            else:
                heapq.heappushpop(silences, (now_us - before, before))

    # What lasts.

    def _begin(self, lane: int, kind: BarKind, key: str, event: RecordedEvent, label: str) -> None:
        bar = Bar(lane, kind, event.time_us, None, label, "open", event.seq)
        self._open.setdefault(lane, {})[kind, key] = bar
        self._bars.append(bar)

    def _end(self, lane: int, kind: BarKind, key: str, event: RecordedEvent, state: str) -> None:
        bar = self._open.get(lane, {}).pop((kind, key), None)
        if bar is not None:
            bar.to_us, bar.state = event.time_us, state

    def _turn_start(self, lane: int, event: RecordedEvent, data: dict[str, Any]) -> None:
        self._begin(lane, "turn", str(data.get("turn")), event, f"turn {data.get('turn')}")

    def _turn_end(self, lane: int, event: RecordedEvent, data: dict[str, Any]) -> None:
        self._end(lane, "turn", str(data.get("turn")), event, str(data.get("result")))

    def _model_start(self, lane: int, event: RecordedEvent, data: dict[str, Any]) -> None:
        self._begin(lane, "model", str(data.get("llm_call")), event, f"model call {data.get('llm_call')}")

    def _model_end(self, lane: int, event: RecordedEvent, data: dict[str, Any]) -> None:
        self._end(lane, "model", str(data.get("llm_call")), event, "finished")

    def _tool_start(self, lane: int, event: RecordedEvent, data: dict[str, Any]) -> None:
        if ("tool", str(data.get("id"))) not in self._open.get(lane, {}):
            self._begin(lane, "tool", str(data.get("id")), event, str(data.get("name"))[:80])

    def _tool_result(self, lane: int, event: RecordedEvent, data: dict[str, Any]) -> None:
        self._end(lane, "tool", str(data.get("id")), event, "failed" if data.get("is_error") else "finished")

    def _started(self, _runtime: int, event: RecordedEvent, data: dict[str, Any]) -> None:
        lane = self._lane(str(data.get("worker_id")))
        self.timeline.lanes[lane].runs += 1
        self.timeline.lanes[lane].outcome = None
        self._heard_us[lane] = event.time_us
        self._begin(lane, "run", "", event, f"run {data.get('run')}")

    def _ended(self, _runtime: int, event: RecordedEvent, data: dict[str, Any]) -> None:
        lane = self._lane(str(data.get("worker_id")))
        outcome = str(data.get("outcome"))
        self.timeline.lanes[lane].outcome = outcome
        self._show_lost(lane, event.time_us)
        heard_us = self._heard_us.pop(lane, None)
        if outcome == "lost":
            # Said at the next start: nobody knows until when it ran, so it ends where it was heard last.
            event = event._replace(time_us=heard_us or event.time_us)
        elif heard_us is not None:
            self._heard_us[lane] = heard_us
            self._listen(lane, event.time_us)
            del self._heard_us[lane]
        self._end(lane, "run", "", event, outcome)
        for bar in self._open.pop(lane, {}).values():
            bar.to_us, bar.state = event.time_us, "unfinished"

    def _runtime_started(self, _lane: int, event: RecordedEvent, _data: dict[str, Any]) -> None:
        stopped_us = self._stopped_us
        if stopped_us is None and self._points:
            # It did not say that it stops: the last that was heard of it is its end.
            stopped_us = self._points[-1].time_us
        if stopped_us is not None:
            self._gap("down", stopped_us, event.time_us, "no Runtime")
        self._stopped_us = None

    def _runtime_stopping(self, _lane: int, event: RecordedEvent, _data: dict[str, Any]) -> None:
        self._stopped_us = event.time_us

    def _refused(self, lane: int, event: RecordedEvent, data: dict[str, Any]) -> None:
        self._gap("damage", event.time_us, event.time_us, f"{data.get('count')} events were refused: no room", lane)

    def _lost(self, lane: int, event: RecordedEvent, _data: dict[str, Any]) -> None:
        # It has the time of the record before it: the lost one came between that and what follows.
        since_us, events = self._lost_since.get(lane, (event.time_us, 0))
        self._lost_since[lane] = since_us, events + 1

    def _show_lost(self, lane: int, until_us: int) -> None:
        since_us, events = self._lost_since.pop(lane, (0, 0))
        if events:
            what = "an event was" if events == 1 else f"{events:,} events were"
            self._gap("damage", since_us, until_us, f"{what} damaged and could not be saved", lane)

    def finish(self, rotated_out: int) -> Timeline:
        timeline = self.timeline
        timeline.points = list(self._points)
        timeline.left_out = timeline.events - len(timeline.points)
        if not timeline.points:
            return timeline
        # A clock that was set back makes no picture that runs backwards.
        timeline.from_us = min(point.time_us for point in timeline.points)
        timeline.to_us = max(point.time_us for point in timeline.points)
        if self._missing_from is not None:
            self._gap("damage", timeline.to_us, timeline.to_us, _missing_text(self._missing_from))
        for lane in list(self._lost_since):
            self._show_lost(lane, timeline.to_us)
        if rotated_out:
            self._gap(
                "rotated_out", timeline.from_us, timeline.from_us, f"{rotated_out:,} events before were rotated out"
            )
        timeline.bars = [bar for bar in self._bars if bar.to_us is None or bar.to_us >= timeline.from_us]
        for bar in timeline.bars:
            bar.from_us = max(bar.from_us, timeline.from_us)
        for lane, silences in self._silences.items():
            self._add_silences(lane, silences)
        timeline.gaps = [gap for gap in timeline.gaps if gap.to_us >= timeline.from_us]
        for number, lane_facts in enumerate(timeline.lanes):
            lane_facts.rows = _assign_rows(bar for bar in timeline.bars if bar.kind == "tool" and bar.lane == number)
        return timeline

    def _add_silences(self, lane: int, silences: Sequence[tuple[int, int]]) -> None:
        """Keep those that stand out: a twentieth of the picture, longer than usual; no tool at work, no lost events."""
        least_us = (self.timeline.to_us - self.timeline.from_us) / 20
        usual_us = sum(length for length, _ in silences) / len(silences)
        tools = [bar for bar in self.timeline.bars if bar.kind == "tool" and bar.lane == lane]
        damages = [gap for gap in self.timeline.gaps if gap.kind == "damage" and gap.lane in (-1, lane)]
        for length_us, from_us in silences:
            to_us = from_us + length_us
            at_work = any(bar.from_us <= from_us and (bar.to_us or from_us) >= to_us for bar in tools)
            damaged = any(gap.from_us < to_us and gap.to_us > from_us for gap in damages)
            if length_us >= max(least_us, 1.5 * usual_us) and not at_work and not damaged:
                self._gap("silence", from_us, to_us, "silent", lane)


def _assign_rows(bars: Iterable[Bar]) -> int:
    """Give bars that overlap rows of their own, as far as there are rows; returns how many are used."""
    free_at: list[float] = []
    for bar in bars:
        end = float("inf") if bar.to_us is None else bar.to_us
        row = next((number for number, free in enumerate(free_at) if free <= bar.from_us), len(free_at))
        bar.row = min(row, _MOST_ROWS - 1)
        if bar.row == len(free_at):
            free_at.append(end)
        else:
            free_at[bar.row] = max(free_at[bar.row], end) if row >= _MOST_ROWS else end
    return len(free_at)


def _missing_text(missing: Missing) -> str:
    which = f"seq {missing.first_seq}" + (f" to {missing.last_seq}" if missing.events > 1 else "")
    return f"{which} cannot be read: {missing.reason}"


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


_TAKERS: dict[str, Callable[[_Drawing, int, RecordedEvent, dict[str, Any]], None]] = {
    "turn_start": _Drawing._turn_start,
    "turn_end": _Drawing._turn_end,
    "llm_call_start": _Drawing._model_start,
    "llm_call_end": _Drawing._model_end,
    "tool_call_start": _Drawing._tool_start,
    "tool_call_done": _Drawing._tool_start,
    "tool_result": _Drawing._tool_result,
    "worker_started": _Drawing._started,
    "worker_ended": _Drawing._ended,
    "runtime_started": _Drawing._runtime_started,
    "runtime_stopping": _Drawing._runtime_stopping,
    "events_lost": _Drawing._refused,
    LOST: _Drawing._lost,
    "usage": lambda *_: None,
}

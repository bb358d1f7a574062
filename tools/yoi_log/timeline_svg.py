"""A timeline as a figure for a report: SVG without a program, in light colours, as wide as a page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from yoi_log.timeline import Bar, Gap, Lane, Point, Timeline
from yoi_log.wording import count, span, time_text
from yoi_runtime.segment_log.timestamp import TimestampFormat

__all__ = ["render_svg"]

_WIDTH = 1200
_LEFT = 184
_RIGHT = 24
_TOP = 92
_PLOT = _WIDTH - _LEFT - _RIGHT
_COLUMN = 3
_TURN, _ACTIVITY, _TOOL, _PAD = 18, 28, 18, 11
_FONT = "system-ui,-apple-system,'Segoe UI','Liberation Sans',sans-serif"
_COLORS = {
    "text": "#4a7fd6",
    "thinking": "#9a7bd0",
    "tool": "#2f9e8a",
    "failed": "#d64545",
    "retry": "#dd9420",
    "other": "#b3b8c2",
    "turn": "#dbe4f3",
    "run": "#eef1f6",
    "ink": "#22262e",
    "soft": "#6a717d",
    "line": "#e6e3dc",
    "gap": "#b8b2a5",
}
_GOOD = {"completed": _COLORS["tool"], "cancelled": _COLORS["gap"]}
_STEPS = [m * 10**e for e in range(6) for m in (1, 2, 5)] + [
    s * 1_000_000
    for s in (
        1,
        2,
        5,
        10,
        15,
        30,
        60,
        120,
        300,
        600,
        900,
        1800,
        3600,
        7200,
        10800,
        21600,
        43200,
        86400,
        172800,
        604800,
        2592000,
    )
]


class _Place(NamedTuple):
    lane: Lane
    number: int
    top: float
    turn: float | None
    activity: float
    tool: float | None
    height: float


def render_svg(timeline: Timeline) -> str:
    """Return the figure."""
    places = _places(timeline)
    height = (places[-1].top + places[-1].height if places else _TOP) + 34
    drawing = _Figure(timeline, places, height)
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" width="{_WIDTH}" '
                f'height="{height:g}" font-family="{escape(_FONT)}" font-size="12" role="img">'
            ),
            *drawing.elements(),
            "</svg>\n",
        ]
    )


def _places(timeline: Timeline) -> list[_Place]:
    with_turns = {bar.lane for bar in timeline.bars if bar.kind == "turn"}
    marked = {point.lane for point in timeline.points if point.name in _MARKS}
    # The Runtime first, then the Workers as they came.
    order = sorted(range(len(timeline.lanes)), key=lambda number: (timeline.lanes[number].worker_id != "", number))
    top, found = float(_TOP), []
    for number in order:
        lane = timeline.lanes[number]
        y = top + _PAD + (8 if number in marked else 0)
        turn = y if number in with_turns else None
        y += _TURN + 4 if turn is not None else 0
        activity, y = y, y + _ACTIVITY + 4
        tool = y if lane.rows else None
        y += lane.rows * _TOOL + 2 if lane.rows else 0
        height = max(54.0, y - top + _PAD - 4)
        found.append(_Place(lane, number, top, turn, activity, tool, height))
        top += height
    return found


class _Figure:
    def __init__(self, timeline: Timeline, places: list[_Place], height: float) -> None:
        self._timeline = timeline
        self._places = places
        self._height = height
        self._length_us = max(1000, timeline.to_us - timeline.from_us)

    def elements(self) -> Iterator[str]:
        timeline = self._timeline
        yield f"<title>Log {timeline.log_id}</title>"
        yield (
            '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            f'<path d="M0 0V7" stroke="{_COLORS["gap"]}" stroke-width="1.6"/></pattern>'
            '<pattern id="hurt" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            f'<path d="M0 0V7" stroke="{_COLORS["failed"]}" stroke-width="1.8"/></pattern></defs>'
        )
        yield f'<rect width="{_WIDTH}" height="{self._height:g}" fill="#ffffff"/>'
        yield _text(24, 34, f"Log {timeline.log_id}", size=17, weight=650, color="ink")
        yield _text(24, 54, self._facts())
        yield from self._legend()
        yield from self._axis()
        for place in self._places:
            yield from self._lane(place)
        for gap in timeline.gaps:
            if gap.lane < 0:
                yield from self._gap_everywhere(gap)

    def _facts(self) -> str:
        timeline = self._timeline
        if not timeline.points:
            return "no events"
        facts = [
            count(len(timeline.points), "event"),
            f"{span(self._length_us / 1e6)} from {time_text(TimestampFormat()(timeline.from_us))}",
        ]
        if timeline.left_out:
            facts.append(f"{timeline.left_out:,} older ones not drawn")
        if timeline.missing:
            facts.append(f"{timeline.missing:,} cannot be read")
        return " · ".join(facts)

    def _legend(self) -> Iterator[str]:
        x = float(_WIDTH - _RIGHT)
        for name, words in reversed(
            (
                ("text", "text"),
                ("thinking", "thinking"),
                ("tool", "tools"),
                ("failed", "errors"),
                ("retry", "retries"),
                ("other", "other"),
            )
        ):
            x -= 7 * len(words) + 26
            yield f'<rect x="{x:g}" y="25" width="10" height="10" rx="3" fill="{_COLORS[name]}"/>'
            yield _text(x + 15, 34, words)

    def _axis(self) -> Iterator[str]:
        step = next((one for one in _STEPS if one / self._length_us * _PLOT >= 88), _STEPS[-1])
        start = self._timeline.from_us
        at = -(-start // step) * step
        form = TimestampFormat()
        yield f'<path d="M0 {_TOP}H{_WIDTH}" stroke="{_COLORS["line"]}"/>'
        while at <= start + self._length_us:
            x = self._x(at)
            yield f'<path d="M{x:.1f} {_TOP - 6}V{self._height - 22:g}" stroke="{_COLORS["line"]}"/>'
            if x < _WIDTH - 60:
                yield _text(x + 4, _TOP - 8, _clock(form(at), step), size=11)
            at += step

    def _x(self, time_us: float) -> float:
        return _LEFT + (time_us - self._timeline.from_us) / self._length_us * _PLOT

    def _bars(self, place: _Place, kind: str) -> Iterator[tuple[Bar, float, float]]:
        """Yield bars with left edge and width; of those closer than half a pixel, one of each look."""
        drawn: set[tuple[int, str, int]] = set()
        for bar in self._timeline.bars:
            if bar.lane != place.number or bar.kind != kind:
                continue
            x = self._x(bar.from_us)
            width = self._x(self._timeline.to_us if bar.to_us is None else bar.to_us) - x
            look = (round(x * 2), bar.state, bar.row)
            if width < 1 and look in drawn:
                continue
            drawn.add(look)
            yield bar, x, max(width, 2.0)

    def _lane(self, place: _Place) -> Iterator[str]:
        lane, top, bottom = place.lane, place.top, place.top + place.height
        yield f'<path d="M0 {bottom:g}H{_WIDTH}" stroke="{_COLORS["line"]}"/>'
        yield _text(24, top + 26, _cut(lane.worker_id or "Runtime", 17), size=13, weight=600, color="ink")
        state = f" · {lane.outcome}" if lane.outcome else ""
        yield _text(24, top + 43, f"{count(lane.events, 'event')}{state}", size=11)
        for bar, x, width in self._bars(place, "run"):
            yield _rect(x, top + 5, width, place.height - 10, _COLORS["run"], radius=6)
            if bar.to_us is not None:
                yield _rect(
                    x + width - 3, top + 5, 3, place.height - 10, _GOOD.get(bar.state, _COLORS["failed"]), radius=1.5
                )
        for gap in self._timeline.gaps:
            if gap.lane == place.number and gap.kind == "silence" and self._x(gap.to_us) - self._x(gap.from_us) > 24:
                yield from self._silence(gap, place)
        if place.turn is not None:
            for bar, x, width in self._bars(place, "turn"):
                yield _rect(x, place.turn, width, _TURN, _COLORS["turn"], radius=5)
                if width > 50:
                    yield _text(x + 8, place.turn + 13, _cut(bar.label, int(width / 7)), size=11, color="#3d5680")
        yield from self._activity(place)
        if place.tool is not None:
            yield from self._tools(place, place.tool)
        yield from self._marks(place)

    def _silence(self, gap: Gap, place: _Place) -> Iterator[str]:
        x, end = self._x(gap.from_us), self._x(gap.to_us)
        yield _rect(x + 2, place.activity, end - x - 4, _ACTIVITY, "url(#hatch)", radius=4, opacity=0.6)
        if end - x > 90:
            words = f"silent {span((gap.to_us - gap.from_us) / 1e6)}"
            middle = (x + end) / 2
            yield _rect(middle - 44, place.activity + 5, 88, 18, _COLORS["run"], radius=9)
            yield _text(middle, place.activity + 18, words, size=11, anchor="middle")

    def _activity(self, place: _Place) -> Iterator[str]:
        columns: dict[int, dict[str, int]] = {}
        for point in self._timeline.points:
            if point.lane == place.number:
                column = columns.setdefault(int((self._x(point.time_us) - _LEFT) / _COLUMN), {})
                group = _group(point)
                column[group] = column.get(group, 0) + 1
        most = max((sum(column.values()) for column in columns.values()), default=1)
        for number, column in sorted(columns.items()):
            total = sum(column.values())
            full = max(5.0, _ACTIVITY * math.sqrt(total / max(most, 4)))
            bottom = place.activity + _ACTIVITY
            for group in ("text", "thinking", "tool", "other", "retry", "failed"):
                if group in column:
                    part = full * column[group] / total
                    bottom -= part
                    yield _rect(_LEFT + number * _COLUMN, bottom, _COLUMN - 1, part, _COLORS[group])

    def _tools(self, place: _Place, top: float) -> Iterator[str]:
        free_at: dict[int, float] = {}
        bars = list(self._bars(place, "tool"))
        for index, (bar, x, width) in enumerate(bars):
            failed = bar.state == "failed"
            y = top + bar.row * _TOOL
            opacity = 1.0 if bar.state in ("finished", "failed") else 0.5
            yield _rect(
                x, y, max(width, 3), _TOOL - 3, _COLORS["failed" if failed else "tool"], radius=4, opacity=opacity
            )
            words = f"{bar.label} failed" if failed else bar.label
            room = 7 * len(words) + 8
            following = next((other for one, other, _ in bars[index + 1 :] if one.row == bar.row), float(_WIDTH))
            if width > room:
                yield _text(x + 6, y + 11.5, words, size=11, color="#ffffff", weight=550)
            elif x + width + room < following and x + width >= free_at.get(bar.row, 0):
                yield _text(x + width + 4, y + 11.5, words, size=11, color="failed" if failed else "soft")
                free_at[bar.row] = x + width + room

    def _marks(self, place: _Place) -> Iterator[str]:
        last = {"failed": -9.0, "retry": -9.0}
        for point in self._timeline.points:
            kind = _MARKS.get(point.name)
            if point.lane != place.number or kind is None:
                continue
            x, y = self._x(point.time_us), place.top + 11
            if x - last[kind] < 5:
                continue
            last[kind] = x
            path = f"M{x:.1f} {y - 6}l6 6l-6 6l-6 -6z" if kind == "failed" else f"M{x:.1f} {y - 5}l6 10h-12z"
            yield f'<path d="{path}" fill="{_COLORS[kind]}"><title>{escape(point.text[:200])}</title></path>'

    def _gap_everywhere(self, gap: Gap) -> Iterator[str]:
        x, end = self._x(gap.from_us), self._x(gap.to_us)
        hurt = gap.kind == "damage"
        if gap.kind == "rotated_out":
            end = x + 9
        end = max(end, x + 3)
        yield (
            f'<rect x="{x:.1f}" y="{_TOP}" width="{end - x:.1f}" height="{self._height - _TOP - 34:g}" '
            f'fill="url(#{"hurt" if hurt else "hatch"})" opacity="0.7"><title>{escape(gap.label)}</title></rect>'
        )
        if gap.kind == "down":
            if end - x > 7 * len(gap.label):
                yield _text((x + end) / 2, _TOP + 15, gap.label, size=11, anchor="middle")
        elif _WIDTH - x > 7 * len(gap.label):
            yield _text(x, self._height - 18, gap.label, size=11, color="failed" if hurt else "soft")


_MARKS = {
    "error": "failed",
    "events_lost": "failed",
    "lost": "failed",
    "compact_failed": "failed",
    "llm_retry": "retry",
    "alert": "retry",
}


def _group(point: Point) -> str:
    if point.name in _MARKS:
        return _MARKS[point.name]
    for group in ("text", "thinking", "tool"):
        if point.name.startswith(f"{group}_"):
            return group
    return "other"


def _clock(time: str, step_us: int) -> str:
    if step_us >= 86_400_000_000:
        return time[:10]
    if step_us >= 60_000_000:
        return time[11:16]
    digits = (
        0
        if step_us >= 1_000_000
        else 1
        if step_us >= 100_000
        else 2
        if step_us >= 10_000
        else 3
        if step_us >= 1000
        else 6
    )
    return time[11:19] if digits == 0 else time[11 : 20 + digits]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(1, most - 1)]}…"


def _rect(x: float, y: float, width: float, height: float, fill: str, *, radius: float = 0, opacity: float = 1) -> str:
    more = (f' rx="{radius:g}"' if radius else "") + (f' opacity="{opacity:g}"' if opacity < 1 else "")
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" fill="{fill}"{more}/>'
    )


def _text(
    x: float, y: float, words: str, *, size: float = 12, weight: int = 400, color: str = "soft", anchor: str = "start"
) -> str:
    more = (f' font-weight="{weight}"' if weight != 400 else "") + (
        f' text-anchor="{anchor}"' if anchor != "start" else ""
    )
    fill = _COLORS.get(color, color)
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}"{more}>{escape(words)}</text>'

"""A timeline as one HTML page: markup, style, program and data in one file, which loads nothing from anywhere.

The program is ours (``page_parts/page.js``): it draws on a canvas, and of what lies closer than a pixel only the
count. The data are JSON in a script element, in columns, with every ``<`` escaped: no text of an event ends the element.
"""

from __future__ import annotations

import html
import json
from importlib.resources import files
from typing import Any

from yoi_log.timeline import Timeline
from yoi_log.wording import count, span, time_text
from yoi_runtime.segment_log.timestamp import TimestampFormat

__all__ = ["page_data", "render_page", "script_json"]


def render_page(timeline: Timeline) -> str:
    """Return the page."""
    parts = files("yoi_log") / "page_parts"
    # Not by format(): style and program are full of braces. The data come last: they may hold anything.
    page = (parts / "page.html").read_text("utf-8").replace("@@TITLE@@", html.escape(f"Log {timeline.log_id}"))
    for name, text in (
        ("FACTS", html.escape(_facts(timeline))),
        ("STYLE", (parts / "page.css").read_text("utf-8")),
        ("PROGRAM", (parts / "page.js").read_text("utf-8")),
        ("DATA", script_json(page_data(timeline))),
    ):
        before, mark, after = page.partition(f"@@{name}@@")
        assert mark, name
        page = before + text + after
    return page


def script_json(value: object) -> str:
    """Return JSON that may stand in a script element: it holds no ``<``, U+2028 or U+2029."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def page_data(timeline: Timeline) -> dict[str, Any]:
    """Return what the page's program reads: times in microseconds after ``from_us``, events in columns."""
    names = sorted({point.name for point in timeline.points})
    number = {name: index for index, name in enumerate(names)}
    start = timeline.from_us
    return {
        "log_id": timeline.log_id,
        "from_us": start,
        "length_us": timeline.to_us - start,
        "events": timeline.events,
        "left_out": timeline.left_out,
        "lanes": [[lane.worker_id, lane.events, lane.outcome, lane.runs, lane.rows] for lane in timeline.lanes],
        "names": names,
        "time": [point.time_us - start for point in timeline.points],
        "lane": [point.lane for point in timeline.points],
        "name": [number[point.name] for point in timeline.points],
        "seq": [point.seq for point in timeline.points],
        "worker_seq": [point.worker_seq for point in timeline.points],
        "text": [point.text for point in timeline.points],
        "cut": [index for index, point in enumerate(timeline.points) if point.cut],
        "tokens": [[index, point.tokens] for index, point in enumerate(timeline.points) if point.tokens],
        "bars": [
            [
                bar.lane,
                bar.kind,
                bar.from_us - start,
                None if bar.to_us is None else bar.to_us - start,
                bar.label,
                bar.state,
                bar.seq,
                bar.row,
            ]
            for bar in timeline.bars
        ],
        "gaps": [[gap.lane, gap.kind, gap.from_us - start, gap.to_us - start, gap.label] for gap in timeline.gaps],
    }


def _facts(timeline: Timeline) -> str:
    if not timeline.points:
        return "no events"
    workers = sum(1 for lane in timeline.lanes if lane.worker_id)
    time = TimestampFormat()(timeline.from_us)
    facts = [
        count(len(timeline.points), "event"),
        count(workers, "Worker"),
        f"{span((timeline.to_us - timeline.from_us) / 1e6)} from {time_text(time)}",
    ]
    if timeline.left_out:
        facts.append(f"{timeline.left_out:,} older ones not drawn")
    if timeline.missing:
        facts.append(f"{timeline.missing:,} cannot be read")
    return " · ".join(facts)

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from yoi_log.log_place import find_log
from yoi_log.timeline import read_timeline
from yoi_log.timeline_svg import render_svg

from tests.yoi_log.sample import GOLDEN, RECORDINGS
from tests.yoi_log.story import Story, busy_log
from yoi_runtime.events import Alert, ToolCallStart
from yoi_runtime.runtime.runtime import Runtime

SVG = "{http://www.w3.org/2000/svg}"


def figure(data: Path) -> tuple[str, list[str]]:
    text = render_svg(read_timeline(find_log(data), progress=lambda _: None))
    return text, [element.text or "" for element in ET.fromstring(text).iter(f"{SVG}text")]


@pytest.mark.parametrize("data", [*sorted(RECORDINGS.iterdir()), GOLDEN / "corrupt_middle"], ids=lambda path: path.name)
def test_every_lane_has_its_name_and_everything_lies_within(data: Path):
    text, words = figure(data)
    root = ET.fromstring(text)
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    timeline = read_timeline(find_log(data), progress=lambda _: None)
    assert {lane.worker_id or "Runtime" for lane in timeline.lanes} <= set(words)
    for element in root.iter(f"{SVG}rect"):
        assert -1 <= float(element.get("x", "0")) <= width
        assert float(element.get("y", "0")) + float(element.get("height", "0")) <= height + 1


def test_failures_silences_and_gaps_are_named():
    _, words = figure(RECORDINGS / "agents")
    assert "run failed" in words
    assert any(word.startswith("silent ") for word in words)
    _, words = figure(RECORDINGS / "restarts")
    assert any("rotated out" in word for word in words)
    text, _ = figure(GOLDEN / "corrupt_middle")
    assert "cannot be read" in text


def test_no_text_of_a_worker_is_markup(tmp_path: Path):
    evil = "<script>&\"'"
    story = Story(tmp_path).say(ToolCallStart(id="x", name=evil), 5.0)
    story.say(Alert(level="warn", source="worker", message=evil, timestamp_ms=0))
    text, words = figure(story.close())
    assert evil in words
    assert "<script>" not in text


def test_a_busy_log_makes_a_figure_of_bounded_size(tmp_path: Path):
    text, _ = figure(busy_log(tmp_path, 20_000, workers=3))
    assert len(text) < 600_000


def test_an_empty_picture_is_a_picture(tmp_path: Path):
    Runtime.open(tmp_path).close()
    assert "Runtime" in figure(tmp_path)[1]

from __future__ import annotations

from pathlib import Path

import pytest
from yoi_log.log_place import find_log
from yoi_log.timeline import Timeline, read_timeline

from tests.yoi_log.sample import GOLDEN, RECORDINGS, make_log, yoi_log
from tests.yoi_log.story import Story
from yoi_runtime.events import Lost, TextDelta, TextDone, ToolCallStart, ToolResult, TurnEnd, TurnStart, Usage


def timeline_of(data: Path, most_events: int = 1000) -> Timeline:
    return read_timeline(find_log(data), most_events=most_events, progress=lambda _: None)


def seconds(timeline: Timeline, us: int | None) -> float | None:
    return None if us is None else (us - timeline.from_us) / 1e6


def test_bars_begin_and_end_with_their_events(tmp_path: Path):
    story = Story(tmp_path).say(1.0, TurnStart(turn=1), 1.0, ToolCallStart(id="x", name="ls"), 2.0)
    story.say(ToolResult(id="x", summary="", is_error=True), 0.5, TurnEnd(turn=1, result="finished"), 1.0)
    timeline = timeline_of(story.close())
    bars = {
        bar.kind: (seconds(timeline, bar.from_us), seconds(timeline, bar.to_us), bar.state) for bar in timeline.bars
    }
    assert bars == {"run": (0, 5.5, "cancelled"), "turn": (1, 4.5, "finished"), "tool": (2, 4, "failed")}


def test_what_ran_when_the_log_ended_or_its_worker_did_is_not_called_finished(tmp_path: Path):
    story = Story(tmp_path).say(ToolCallStart(id="x", name="ls"), 1.0)
    story.worker.end("failed")
    story.worker = story.runtime.create_worker("a")
    story.say(1.0, ToolCallStart(id="x", name="ls"), 1.0, TextDelta(text="x"))
    story.runtime.wait_durable(story.worker.emit(TextDelta(text="y")))
    timeline = timeline_of(tmp_path)
    tools = [(bar.state, seconds(timeline, bar.to_us)) for bar in timeline.bars if bar.kind == "tool"]
    assert tools == [("unfinished", 1.0), ("open", None)]
    story.close()


def test_calls_side_by_side_have_rows_of_their_own(tmp_path: Path):
    story = Story(tmp_path)
    for number in range(6):
        story.say(ToolCallStart(id=str(number), name="ls"), 1.0)
    for number in range(6):
        story.say(ToolResult(id=str(number), summary=""), 1.0)
    story.say(ToolCallStart(id="later", name="ls"), 1.0, ToolResult(id="later", summary=""))
    timeline = timeline_of(story.close())
    assert [bar.row for bar in timeline.bars if bar.kind == "tool"] == [0, 1, 2, 3, 3, 3, 0]
    assert next(lane.rows for lane in timeline.lanes if lane.worker_id == "a") == 4


def test_of_too_many_events_the_newest_are_kept_and_the_rest_is_told(tmp_path: Path):
    timeline = timeline_of(make_log(tmp_path / "data"), most_events=10)
    assert (len(timeline.points), timeline.left_out) == (10, timeline.events - 10)
    assert [point.seq for point in timeline.points] == list(range(timeline.events - 9, timeline.events + 1))
    assert all(bar.from_us >= timeline.from_us for bar in timeline.bars)


def test_long_payloads_are_cut_on_a_character_and_say_so(tmp_path: Path):
    story = Story(tmp_path).say(TextDone(text="é" * 5000), TextDelta(text="short"))
    points = {point.name: point for point in timeline_of(story.close()).points}
    assert points["text_done"].cut
    assert points["text_done"].text.startswith('{"event":"text_done","data":{"text":"éé')
    assert len(points["text_done"].text) == 2000
    assert (points["text_delta"].cut, points["text_delta"].text) == (
        False,
        '{"event":"text_delta","data":{"text":"short"}}',
    )


def test_gaps_say_what_is_missing_and_why(tmp_path: Path):
    assert [(gap.kind, gap.lane) for gap in timeline_of(GOLDEN / "corrupt_middle").gaps if gap.kind == "damage"] == [
        ("damage", -1)
    ]
    restarts = timeline_of(RECORDINGS / "restarts")
    kinds = {gap.kind: gap.label for gap in restarts.gaps}
    assert kinds["rotated_out"] == f"{restarts.points[0].seq - 1} events before were rotated out"
    assert kinds["down"] == "no Runtime"
    # Of the first run only the end is left: it is drawn from where it is heard first to where it is heard last.
    runs = [(bar.state, bar.from_us, bar.to_us) for bar in restarts.bars if bar.kind == "run"]
    down = next(gap for gap in restarts.gaps if gap.kind == "down")
    assert runs[0] == ("lost", restarts.from_us, down.from_us)
    assert runs[1][0] == "completed"


@pytest.mark.parametrize("at_work", [False, True])
def test_a_silence_stands_out_unless_a_tool_was_at_work(tmp_path: Path, at_work: bool):
    story = Story(tmp_path)
    for _ in range(20):
        story.say(TextDelta(text="x"), 0.1)
    story.say(
        ToolCallStart(id="x", name="ls") if at_work else TextDelta(text="x"), 30.0, ToolResult(id="x", summary="")
    )
    timeline = timeline_of(story.close())
    silences = [(gap.to_us - gap.from_us) / 1e6 for gap in timeline.gaps if gap.kind == "silence"]
    assert silences == ([] if at_work else [30.0])


def test_lost_events_are_one_gap_up_to_what_follows_and_no_silence(tmp_path: Path):
    story = Story(tmp_path)
    for _ in range(20):
        story.say(TextDelta(text="x"), 0.1)
    story.say(Lost(), Lost(), 30.0, TextDelta(text="x"), 1.0, Lost(), 2.0)
    story.worker.end("completed")
    timeline = timeline_of(story.close())
    gaps = [(gap.kind, gap.lane, (gap.to_us - gap.from_us) / 1e6, gap.label) for gap in timeline.gaps]
    assert gaps == [
        ("damage", 1, 30.0, "2 events were damaged and could not be saved"),
        ("damage", 1, 2.0, "an event was damaged and could not be saved"),
    ]


def test_time_in_which_events_cannot_be_read_is_no_silence(tmp_path: Path):
    story = Story(tmp_path)
    for _ in range(20):
        story.say(TextDelta(text="x"), 0.1)
    data = story.say(TextDelta(text="gone"), 30.0, TextDelta(text="y")).close()
    (segment,) = (data / "log").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"gone", b"g0ne"))
    assert [gap.kind for gap in timeline_of(data).gaps] == ["damage"]


def test_tokens_stand_at_their_usage(tmp_path: Path):
    story = Story(tmp_path).say(Usage(input_tokens=5, output_tokens=7), Usage(input_tokens=None, output_tokens=None))
    assert [point.tokens for point in timeline_of(story.close()).points if point.name == "usage"] == [7, 0]


def test_the_program_writes_page_or_figure_and_refuses_other_names(tmp_path: Path):
    for name in ("timeline.html", "timeline.svg"):
        result = yoi_log("timeline", RECORDINGS / "agents", "-o", tmp_path / name)
        assert (result.returncode, result.stderr) == (0, "")
        assert str(tmp_path / name) in result.stdout
        assert (tmp_path / name).stat().st_size > 10_000
    result = yoi_log("timeline", RECORDINGS / "agents", "-o", tmp_path / "timeline.png")
    assert result.returncode == 2
    assert "neither in .html nor in .svg" in result.stderr
    assert yoi_log("timeline", GOLDEN / "corrupt_middle", "-o", tmp_path / "x.svg", "--json").returncode == 1

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from yoi_log.log_place import find_log
from yoi_log.stats import Stats, measure_log

from tests.yoi_log.sample import GOLDEN, RECORDINGS, yoi_log
from tests.yoi_log.story import Story
from yoi_runtime.events import (
    LlmCallEnd,
    LlmCallStart,
    Lost,
    TextDelta,
    ToolCallDone,
    ToolCallStart,
    ToolResult,
    UnknownEvent,
    Usage,
)


def measured(data: Path) -> Stats:
    return measure_log(find_log(data), progress=lambda _: None)


@pytest.mark.parametrize("name", ["agents", "build", "restarts"])
def test_the_numbers_are_those_of_a_plain_count(name: str):
    lines = [
        json.loads(line)["envelope"]
        for path in sorted((RECORDINGS / name / "log").glob("*.jsonl"))
        for line in path.read_bytes().split(b"\n")[1:-1]
    ]
    stats = measured(RECORDINGS / name)
    assert stats.events == len(lines)
    assert stats.names == Counter(line["payload"]["event"] for line in lines)
    assert {one.worker_id: one.events for one in stats.workers} == Counter(line["worker_id"] or "" for line in lines)
    seconds = Counter(line["time"][:19] for line in lines)
    assert stats.busiest_second is not None
    assert stats.busiest_second["events"] == max(seconds.values())
    assert sum(stats.outcomes.values()) == stats.names["worker_ended"]


def test_what_the_agents_did_is_seen():
    stats = measured(RECORDINGS / "agents")
    assert stats.retries == 2
    assert stats.retry_wait_seconds == pytest.approx(0.45)
    assert stats.errors == {"tool_error": 1}
    assert {tool.name: (tool.calls, tool.errors, tool.open) for tool in stats.tools} == {
        "run": (5, 3, 0),
        "write_file": (3, 0, 0),
    }
    assert stats.tokens.requests == stats.llm_calls["count"] == 7
    assert stats.tokens.input_tokens > stats.tokens.cache_read_input_tokens > 0


def test_durations_silences_and_rates_are_exact(tmp_path: Path):
    stats = measured(
        Story(tmp_path)
        .say(LlmCallStart(llm_call=1), 2.0, LlmCallEnd(llm_call=1), Usage(input_tokens=10, output_tokens=None))
        .say(ToolCallStart(id="x", name="ls"), 1.0, ToolCallDone(id="x", name="ls", arguments="{}"), 3.0)
        .say(ToolResult(id="x", summary="no", is_error=True), 10.0)
        .close()
    )
    assert stats.llm_calls["longest_seconds"] == 2.0
    (tool,) = stats.tools
    assert (tool.calls, tool.results, tool.errors, tool.durations["longest_seconds"]) == (1, 1, 1, 4.0)
    assert [(one.seconds, one.after_event) for one in stats.silences] == [
        (10.0, "tool_result"),
        (3.0, "tool_call_done"),
        (2.0, "llm_call_start"),
        (1.0, "tool_call_start"),
    ]
    assert (stats.seconds, stats.per_second) == (16.0, stats.events / 16)
    assert (stats.tool_error_share, stats.retries_per_llm_call) == (1.0, 0.0)
    (run,) = stats.runs
    assert (run.seconds, run.outcome) == (16.0, "cancelled")


def test_a_call_of_a_run_that_ended_is_open_and_no_start_of_the_next_one_s(tmp_path: Path):
    story = Story(tmp_path).say(ToolCallStart(id="1", name="ls"))
    story.worker.end("failed")
    story.clock.move(60)
    story.worker = story.runtime.create_worker("a")
    stats = measured(story.say(ToolCallStart(id="1", name="ls"), 1.0, ToolResult(id="1", summary="ok")).close())
    (tool,) = stats.tools
    assert (tool.calls, tool.open, tool.durations["longest_seconds"]) == (2, 1, 1.0)
    assert [one.seconds for one in stats.silences] == [1.0]


def test_the_time_between_a_killed_runtime_and_the_next_is_no_silence():
    stats = measured(RECORDINGS / "restarts")
    lost = next(run for run in stats.runs if run.outcome == "lost")
    assert lost.ended is not None
    assert [one for one in stats.silences if one.from_time < lost.ended <= one.to_time] == []
    assert stats.silences


def test_around_lost_events_nobody_was_silent(tmp_path: Path):
    stats = measured(
        Story(tmp_path)
        .say(TextDelta(text="a"), 2.0, TextDelta(text="b"), *[Lost()] * 50, 30.0, TextDelta(text="c"), 3.0)
        .close()
    )
    assert (stats.lost_events, stats.names["lost"], stats.missing_events) == (50, 50, 0)
    assert [one.seconds for one in stats.silences] == [3.0, 2.0]
    assert stats.busiest_second is not None
    assert stats.busiest_second["events"] < 50


def test_around_events_that_cannot_be_read_nobody_was_silent(tmp_path: Path):
    data = Story(tmp_path).say(TextDelta(text="a"), 30.0, TextDelta(text="gone"), 2.0, TextDelta(text="b")).close()
    (segment,) = (data / "log").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"gone", b"g0ne"))
    stats = measured(data)
    assert (stats.missing_events, stats.silences) == (1, [])


def test_a_start_that_nobody_saw_makes_no_duration(tmp_path: Path):
    stats = measured(Story(tmp_path).say(ToolResult(id="1", summary="ok")).close())
    (tool,) = stats.tools
    assert (tool.name, tool.results, tool.durations["count"]) == ("(unknown)", 1, 0)


def test_whatever_a_worker_writes_is_counted(tmp_path: Path):
    stats = measured(Story(tmp_path).say(UnknownEvent(name="own", data=7), TextDelta(text="\u2028")).close())
    assert (stats.names["own"], stats.names["text_delta"]) == (1, 1)


def test_what_cannot_be_read_is_counted_and_exits_with_1():
    assert measured(GOLDEN / "corrupt_middle").missing_events == 1
    assert yoi_log("stats", GOLDEN / "corrupt_middle").returncode == 1


def test_the_program_prints_the_same_facts_as_one_object():
    result = yoi_log("stats", "--json", RECORDINGS / "agents")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["events"] == measured(RECORDINGS / "agents").events

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from yoi_log.log_place import find_log
from yoi_log.stats import measure_log
from yoi_log.stats_text import show_stats

from tests.yoi_log.sample import GOLDEN, RECORDINGS
from tests.yoi_log.story import Story
from yoi_runtime.events import Lost
from yoi_runtime.runtime.runtime import Runtime


def shown(data: Path) -> str:
    console = Console(file=io.StringIO(), width=250, highlight=False)
    show_stats(measure_log(find_log(data), progress=lambda _: None), console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_agents_are_shown_from_the_log_down_to_the_runs():
    text = shown(RECORDINGS / "agents")
    for words in (
        "60% from the cache",
        "1 tool_error",
        "2, 450 ms of waiting",
        "Tools (38% of results failed)",
        "Longest silences",
        "2 completed, 1 failed",
        "failed, exit code 1",
    ):
        assert words in text
    assert "missing" not in text


def test_what_is_missing_is_said():
    assert "1 event that cannot be read" in shown(GOLDEN / "corrupt_middle")


def test_what_a_repair_has_put_in_is_said(tmp_path: Path):
    assert "2 events for which a repair has put a record" in shown(Story(tmp_path).say(Lost(), Lost()).close())


def test_a_log_without_workers_is_shown_too(tmp_path: Path):
    Runtime.open(tmp_path).close()
    text = shown(tmp_path)
    assert "2 events" in text
    assert "Tools" not in text
    assert "Runs" not in text

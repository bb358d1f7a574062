from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

from yoi_runtime.cli.demo_agent import PROGRAM_FILE, script
from yoi_runtime.events import UnknownEvent
from yoi_runtime.events.codec import decode_payload


def package(directory: Path) -> Path:
    directory /= "pack"
    directory.mkdir()
    (directory / "a.py").write_text("1\n2\n3\n")
    (directory / "b.py").write_text("1\n")
    (directory / "notes.txt").write_text("1\n")
    return directory


def test_every_line_is_an_event_of_the_vocabulary(tmp_path: Path):
    events = [decode_payload(json.dumps(event).encode()) for event, _ in script(package(tmp_path))]
    assert not any(isinstance(event, UnknownEvent) for event in events)
    names = {event.event_name for event in events}
    assert {"user_message", "text_delta", "tool_call_done", "tool_result", "run_end"} <= names


def test_what_the_tools_find_is_true(tmp_path: Path):
    events = [event for event, _ in script(package(tmp_path))]
    results = [event["data"]["summary"] for event in events if event["event"] == "tool_result"]  # type: ignore[index]
    assert results == ["2 files: a.py, b.py", "3 lines", "1 lines"]
    texts = [event["data"]["text"] for event in events if event["event"] == "text_done"]  # type: ignore[index]
    assert texts[-1] == "The package pack has 2 files with 4 lines; the largest is a.py with 3."


def test_the_pieces_make_the_whole(tmp_path: Path):
    pieces = ""
    for event, _ in script(package(tmp_path)):
        data = event["data"]
        assert isinstance(data, dict)
        if event["event"] == "text_delta":
            pieces += data["text"]
        elif event["event"] == "text_done":
            assert pieces == data["text"]
            pieces = ""


def test_a_package_without_sources_is_no_failure(tmp_path: Path):
    events = [event for event, _ in script(tmp_path)]
    assert events[-1] == {"event": "run_end", "data": {"result": "finished"}}


def test_it_takes_about_ten_seconds():
    assert 6 < sum(pause for _, pause in script(Path(json.__file__).parent)) < 13


def test_as_a_program_it_needs_nothing_but_python():
    result = subprocess.run(
        [sys.executable, "-I", "-S", str(PROGRAM_FILE), "0"], capture_output=True, timeout=30, check=True
    )
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()][-1] == "run_end"
    imported = {
        node.module for node in ast.walk(ast.parse(PROGRAM_FILE.read_bytes())) if isinstance(node, ast.ImportFrom)
    }
    assert not any("yoi_runtime" in (name or "") for name in imported)

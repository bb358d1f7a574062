"""The streams in tests/workers/agent_streams, and what a reader of the events learns of the conversation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.codebase.tree import ROOT
from tests.workers.adapters.mapping import Payload, payloads
from yoi_runtime.workers.adapters import Adapter
from yoi_runtime.workers.line_splitter import Line

__all__ = ["ADAPTER_OF", "REPLAY", "STREAMS", "Story", "story_of", "stream_lines", "told_lines"]

DIRECTORY = ROOT / "tests" / "workers" / "agent_streams"
REPLAY = DIRECTORY / "replay.py"
STREAMS = sorted(DIRECTORY.glob("*.stream"))
ADAPTER_OF = {path: path.stem.removesuffix("-partial") for path in STREAMS}


class Story(NamedTuple):
    """What was thought, said, called and answered; ``order`` is the kinds of all of it, in order."""

    texts: list[str]
    thoughts: list[str]
    calls: list[tuple[str, str, str]]
    answers: list[tuple[str, str, bool]]
    order: list[str]


def stream_lines(path: Path) -> list[bytes]:
    """Return the lines of a stream, as the agent prints them."""
    return [row.partition(b"\t")[2] for row in path.read_bytes().split(b"\n")[:-1]]


def told_lines(adapter: Adapter, lines: Iterable[bytes]) -> list[Payload]:
    """Return what an adapter makes of a whole output."""
    told = []
    for number, data in enumerate(lines, 1):
        told += payloads(adapter.stdout_line(Line(data, number)))
    return told + payloads(adapter.stdout_end())


def story_of(told: Iterable[Payload]) -> Story:
    story = Story([], [], [], [], [])
    for payload in told:
        data = payload.get("data", {})
        match payload["event"]:
            case "text_done":
                story.texts.append(data["text"])
            case "thinking_done":
                story.thoughts.append(data["text"])
            case "tool_call_done":
                story.calls.append((data["id"], data["name"], data["arguments"]))
            case "tool_result":
                story.answers.append((data["id"], data["summary"], data["is_error"]))
            case _:
                continue
        story.order.append(payload["event"])
    return story

"""The demo's agent: a script in place of a model, on its own. Its words are fixed, what its tool finds is real.

Run as a program by ``demo.py``; prints one event a line, as ``yoi-runtime serve --adapter jsonl`` reads them.
Imports nothing of yoi_runtime: a Worker can be any program in any language.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

__all__ = ["PROGRAM_FILE", "main", "script"]

PROGRAM_FILE = Path(__file__)

Event: TypeAlias = dict[str, object]

_QUESTION = "How big is the json package of this Python?"
_PLAN = (
    "I am a scripted agent, there is no model behind me. But my tool is real: I will list the package's files and"
    " count their lines."
)
# Between two words and two steps, times the pace given: about how fast a model speaks.
_WORD_SECONDS = 0.07
_STEP_SECONDS = 0.5


def script(package: Path) -> Iterator[tuple[Event, float]]:
    """Yield every event of the agent's work on ``package``, each with the pause after it in seconds."""
    yield _event("user_message", segments=[{"kind": "text", "content": _QUESTION}]), _STEP_SECONDS
    yield _event("turn_start", turn=1), 0
    yield from _say(_PLAN)
    counts: dict[str, int] = {}
    yield from _call_tool("call-1", "list_files", {"directory": package.name})
    files = sorted(path.name for path in package.glob("*.py"))
    yield _event("tool_result", id="call-1", summary=f"{len(files)} files: {', '.join(files)}"), _STEP_SECONDS
    for number, name in enumerate(files, 2):
        yield from _call_tool(f"call-{number}", "count_lines", {"file": name})
        counts[name] = (package / name).read_bytes().count(b"\n")
        yield _event("tool_result", id=f"call-{number}", summary=f"{counts[name]} lines"), _STEP_SECONDS
    yield from _say(_answer(package.name, counts))
    yield _event("turn_end", turn=1, result="finished"), 0
    yield _event("run_end", result="finished"), 0


def _answer(package: str, counts: dict[str, int]) -> str:
    if not counts:
        return f"The package {package} has no source files here."
    largest = max(counts, key=lambda name: counts[name])
    return (
        f"The package {package} has {len(counts)} files with {sum(counts.values())} lines;"
        f" the largest is {largest} with {counts[largest]}."
    )


def _event(name: str, /, **data: object) -> Event:
    return {"event": name, "data": data}


def _say(text: str) -> Iterator[tuple[Event, float]]:
    words = text.split(" ")
    for index, word in enumerate(words):
        piece = word if index == len(words) - 1 else word + " "
        yield _event("text_delta", text=piece), _WORD_SECONDS
    yield _event("text_done", text=text), _STEP_SECONDS


def _call_tool(call: str, name: str, arguments: dict[str, str]) -> Iterator[tuple[Event, float]]:
    text = json.dumps(arguments)
    middle = len(text) // 2
    yield _event("tool_call_start", id=call, name=name), _WORD_SECONDS
    for piece in (text[:middle], text[middle:]):
        yield _event("tool_call_args_delta", id=call, json=piece), _WORD_SECONDS
    yield _event("tool_call_done", id=call, name=name, arguments=text), _WORD_SECONDS


def main(pace: float = 1.0) -> None:
    """Print the script; ``pace`` stretches its pauses."""
    never = threading.Event()
    for event, pause in script(Path(json.__file__).parent):
        print(json.dumps(event), flush=True)
        if pause * pace > 0:
            never.wait(pause * pace)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)

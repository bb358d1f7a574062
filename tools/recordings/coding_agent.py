"""An agent for the recordings: a script in place of a model, with tools that are real. Prints one event a line.

    python3 -m tools.recordings.coding_agent coder|reviewer

Works in a temporary directory. ``coder`` writes a module with a mistake, sees its test fail, and mends it; its model is
overloaded once. ``reviewer`` looks at a module with one tool that fails and gives up with an error.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

__all__ = ["main"]

_WORD_SECONDS = 0.012
_NEVER = threading.Event()

_MODULE = '''"""Numbers in words."""

UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def spell(number):
    return " ".join(UNITS[int(digit)] for digit in str(number)[{first}:])
'''
_TEST = """import unittest
from spelling import spell

class SpellTest(unittest.TestCase):
    def test_digits(self):
        self.assertEqual(spell(42), "four two")
"""


def emit(name: str, /, **data: object) -> None:
    event: dict[str, object] = {"event": name}
    if data:
        event["data"] = data
    print(json.dumps(event), flush=True)


def pause(seconds: float) -> None:
    _NEVER.wait(seconds)


class Agent:
    """Turns, model calls and tool calls of one agent in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._turn = self._llm_call = self._tool_call = 0
        self._context_tokens = 1850

    def begin(self, question: str) -> None:
        emit("status", status="running")
        emit("user_message", segments=[{"kind": "text", "content": question}])
        emit("invoke_start", kind="user_send")

    def turn(self) -> None:
        self._turn += 1
        emit("turn_start", turn=self._turn)

    def end_turn(self, result: str = "finished") -> None:
        emit("turn_end", turn=self._turn, result=result)

    def model(self, thought: str, text: str, *, overloaded: bool = False) -> None:
        """Speak as a model does: a call, perhaps a retry, a thought, words, and the bill."""
        self._llm_call += 1
        emit("llm_call_start", llm_call=self._llm_call)
        pause(0.12)
        if overloaded:
            for attempt in (1, 2):
                wait_ms = 150 * attempt
                emit(
                    "llm_retry",
                    llm_call=self._llm_call,
                    failed_attempt=attempt,
                    max_attempts=5,
                    wait_ms=wait_ms,
                    elapsed_ms=120 + wait_ms,
                    status=529,
                    error="overloaded_error: the model is overloaded",
                )
                pause(wait_ms / 1000)
        if thought:
            emit("thinking_start")
            self._words("thinking_delta", thought)
            emit("thinking_done", text=thought)
        self._words("text_delta", text)
        emit("text_done", text=text)
        output_tokens = (len(thought) + len(text)) // 3
        emit(
            "usage",
            input_tokens=self._context_tokens,
            output_tokens=output_tokens,
            cache_read_input_tokens=self._context_tokens * 3 // 4 if self._llm_call > 1 else 0,
        )
        emit("llm_call_end", llm_call=self._llm_call)
        self._context_tokens += output_tokens + 420

    @staticmethod
    def _words(name: str, text: str) -> None:
        words = text.split(" ")
        for index in range(0, len(words), 3):
            emit(name, text=" ".join(words[index : index + 3]) + " ")
            pause(3 * _WORD_SECONDS)

    def tool(self, name: str, arguments: dict[str, str], work: Callable[[], tuple[str, bool]]) -> None:
        """Call a tool, and have it do its work."""
        self._tool_call += 1
        call, text = f"call-{self._tool_call}", json.dumps(arguments)
        emit("tool_call_start", id=call, name=name)
        emit("tool_call_args_delta", id=call, json=text)
        emit("tool_call_done", id=call, name=name, arguments=text)
        summary, failed = work()
        emit("tool_result", id=call, summary=summary, **({"is_error": True} if failed else {}))

    def write(self, name: str, text: str) -> None:
        def work() -> tuple[str, bool]:
            (self.directory / name).write_text(text, "utf-8")
            return f"wrote {len(text)} characters", False

        self.tool("write_file", {"path": name}, work)

    def run(self, *command: str) -> None:
        def work() -> tuple[str, bool]:
            done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, check=False)
            # Its last line: those before may hold paths of the machine.
            said = (done.stdout + done.stderr).strip().splitlines()
            return f"exit code {done.returncode}: {said[-1] if said else 'nothing said'}", done.returncode != 0

        self.tool("run", {"command": " ".join(command)}, work)

    def end(self, result: str = "finished") -> None:
        emit("run_end", result=result)
        emit("status", status="idle")


def coder(agent: Agent) -> None:
    """Write, see the test fail, mend; the model is overloaded once."""
    test = ("python3", "-m", "unittest", "-q", "test_spelling")
    agent.begin("Write a function that spells the digits of a number, with a test.")
    agent.turn()
    agent.model("A table of ten words and a loop over the digits will do.", "I write the module and its test first.")
    agent.write("spelling.py", _MODULE.format(first=1))
    agent.write("test_spelling.py", _TEST)
    agent.run(*test)
    agent.model(
        "The first digit is missing: the slice begins at 1, it has to begin at 0.",
        "The test fails because the slice leaves the first digit out. I mend it and run the test again.",
        overloaded=True,
    )
    agent.write("spelling.py", _MODULE.format(first=0))
    agent.run(*test)
    agent.model("", "The test passes now. The function spells every digit of the number.")
    agent.end_turn()
    agent.end()
    pause(0.8)
    agent.begin("Does it compile without warnings?")
    agent.turn()
    agent.model("", "I let Python compile it with warnings as errors.")
    agent.run("python3", "-W", "error", "-m", "compileall", "-q", "spelling.py")
    agent.model("", "Yes, without a warning.")
    agent.end_turn()
    agent.end()


def reviewer(agent: Agent) -> None:
    """Look at something that is not there, and give up."""
    agent.begin("Review the change on the branch.")
    agent.turn()
    agent.model("I need the list of changes.", "I look what has changed.")
    agent.run("cat", "CHANGES.md")
    agent.model(
        "There is no list of changes; perhaps the sources say more.", "There is no list. I look for the sources."
    )
    agent.run("ls", "-1", "src")
    emit("error", code="tool_error", message="2 of 2 tool calls failed")
    agent.end_turn("paused")
    agent.end("paused")


def main(part: str) -> int:
    """Play a part; the exit code is the Worker's."""
    with tempfile.TemporaryDirectory(prefix="yoi-recording-") as directory:
        {"coder": coder, "reviewer": reviewer}[part](Agent(Path(directory)))
    return 0 if part == "coder" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

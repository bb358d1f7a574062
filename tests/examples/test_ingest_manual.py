"""The examples of docs/ingest.md, as they stand there, against a Runtime that runs ``serve``; one is killed under the first.

Where a tool is missing its example is skipped, and says so.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.real_program import DEADLINE_SECONDS, Program, environment, eventually, server_url, start_program
from tests.codebase.tree import ROOT
from tests.event_log.written_events import check_numbers, envelopes_in
from tests.runtime.ingest.peer import peer_of, texts_written, wait_for_texts
from tests.runtime.ingest.test_connection import ends_in, listening, texts_of

MANUAL = (ROOT / "docs" / "ingest.md").read_text("utf-8").partition("## Examples\n")[2]

pytestmark = pytest.mark.timeout(300)


def example(language: str, part: str = "") -> str:
    """Return the one example in a language that holds ``part``."""
    found = [
        code for code in re.findall(rf"^```{language}\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL) if part in code
    ]
    assert len(found) == 1
    return str(found[0])


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not on PATH")
    return path


def serve(directory: Path, data: Path, stack: ExitStack) -> Program:
    program = stack.enter_context(start_program(directory, "serve", "--data-dir", str(data), "--bind", ":0"))
    server_url(data, program)
    return program


def test_python_delivers_each_line_once_though_the_runtime_is_killed(tmp_path: Path):
    data, count = tmp_path / "data", 30_000
    (tmp_path / "client.py").write_text(example("python"))
    (tmp_path / "input").write_text("".join(f"line {number}\n" for number in range(count)))
    with ExitStack() as stack:
        program = serve(tmp_path, data, stack)
        command = [sys.executable, "-I", "-S", str(tmp_path / "client.py"), str(data), "coder"]
        with (tmp_path / "input").open() as file:
            client = stack.enter_context(subprocess.Popen(command, stdin=file, stderr=subprocess.PIPE))
        stack.callback(client.kill)
        for _ in range(2):
            wait_for_texts(data, texts_written(data) + 1_000)
            program.signal(signal.SIGKILL)
            program.wait()
            program = serve(tmp_path, data, stack)
        assert client.wait(DEADLINE_SECONDS) == 0
        assert client.stderr is not None
        assert client.stderr.read() == b""
        assert program.stop() == 128 + signal.SIGTERM
    check_numbers(envelopes_in(data / "log"))
    assert texts_of(data) == [f"line {number}" for number in range(count)]
    assert ends_in(data)[-1] == ("completed", None)


@pytest.mark.parametrize("name", ["nc", "socat"])
def test_shell(tmp_path: Path, name: str):
    tool(name)
    if (
        name == "nc"
        and "OpenBSD" not in subprocess.run(["nc", "-h"], capture_output=True, text=True, check=False).stderr
    ):
        pytest.skip("this nc is not that of OpenBSD")
    data = tmp_path / "data"
    with ExitStack() as stack:
        serve(tmp_path, data, stack)
        command = ["sh", "-c", example("sh", f"| {name} "), "sh", str(data), "coder"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
        assert (result.returncode, result.stderr) == (0, "")
        kinds = [json.loads(line)["kind"] for line in result.stdout.splitlines()]
        assert kinds == ["hello", "ack", "ack", "ended"]
        eventually(lambda: texts_of(data) == ["backup began", "backup done"])
        eventually(lambda: ends_in(data) == [("completed", None)])


def test_node(tmp_path: Path):
    node = tool("node")
    data = tmp_path / "data"
    (tmp_path / "client.mjs").write_text(example("js"))
    with ExitStack() as stack:
        serve(tmp_path, data, stack)
        for _ in range(2):
            result = subprocess.run(
                [node, str(tmp_path / "client.mjs"), str(data), "coder"],
                capture_output=True,
                text=True,
                env=environment(),
                timeout=DEADLINE_SECONDS,
                check=False,
            )
            assert (result.returncode, result.stderr) == (0, "")
            assert "kind: 'ended'" in result.stdout
        assert "repeated: true" in result.stdout
        eventually(lambda: ends_in(data) == [("completed", None)] * 2)
        assert texts_of(data) == ["hello from Node"]


def test_what_the_manual_shows_is_what_is_answered(tmp_path: Path):
    """The conversation in "Lines", played to a real Runtime, but for what is that one's own."""
    text = (ROOT / "docs" / "ingest.md").read_text("utf-8")
    asked, shown = re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[:2]
    with listening(tmp_path), peer_of(tmp_path) as peer:
        answers = peer.ask(*map(json.loads, asked.splitlines()))
    own = {"log_id", "cursor"}
    assert [{k: v for k, v in answer.items() if k not in own} for answer in answers] == [
        {k: v for k, v in json.loads(line).items() if k not in own} for line in shown.splitlines()
    ]

"""The core works where pydantic is all there is: without Tornado, Typer and Rich.

In a fresh interpreter in which they cannot be imported, not in one where nobody happened to.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GUARD = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tornado", "typer", "rich"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Absent())
"""

EMIT = """
from yoi_runtime import Runtime
from yoi_runtime.events import TextDelta

runtime = Runtime.open(sys.argv[1])
worker = runtime.create_worker("a")
worker.emit(TextDelta(text="hi"))
runtime.close()
"""

READ_BACK = """
import json
from pathlib import Path

lines = [line for file in sorted(Path(sys.argv[1]).rglob("*.jsonl")) for line in file.read_bytes().split(b"\\n") if line]
envelopes = [record["envelope"] for record in map(json.loads, lines) if record["kind"] == "event"]
mine = [envelope["payload"] for envelope in envelopes if envelope["worker_id"] == "a"]
assert {"event": "text_delta", "data": {"text": "hi"}} in mine, mine
assert not {"tornado", "typer", "rich"} & sys.modules.keys()
print("read back")
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments], capture_output=True, text=True, check=False
    )


def test_the_core_emits_and_reads_back_without_tornado(tmp_path: Path):
    result = run(GUARD + EMIT + READ_BACK, str(tmp_path / "data"))
    assert (result.returncode, result.stdout, result.stderr) == (0, "read back\n", "")


@pytest.mark.parametrize("name", ["tornado", "tornado.web", "typer", "rich.table"])
def test_the_guard_makes_a_library_unimportable(name: str):
    result = run(f"{GUARD}\nimport {name}")
    assert result.returncode == 1
    assert "ModuleNotFoundError: No module named" in result.stderr

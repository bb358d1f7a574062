"""docs/architecture.md draws the house that stands: the rooms of the import contract, the threads and tasks of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.codebase.tree import PACKAGE, ROOT, modules, pyproject

TEXT = (ROOT / "docs" / "architecture.md").read_text("utf-8")
ROOMS = TEXT.partition("## The rooms\n")[2].partition("\n## ")[0]
THREADS = TEXT.partition("## Threads and tasks\n")[2].partition("\n## ")[0]


def drawn(text: str) -> list[set[str]]:
    """Return what stands side by side in each row of a drawing of boxes, from the top."""
    return [set(re.findall(r"[a-z_]+", line)) for line in re.findall(r"^ {4}\|(.*)\|$", text, re.MULTILINE)]


def layers() -> list[set[str]]:
    """Return the layers of the import contract, from the top."""
    (contract,) = [one for one in pyproject()["tool"]["importlinter"]["contracts"] if one["id"] == "layers"]
    return [set(layer.split(" | ")) for layer in contract["layers"]]


def named(path: Path, call: str) -> set[str]:
    """Return the constant ``name=`` of every call of a function in a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == call:
            found |= {
                keyword.value.value
                for keyword in node.keywords
                if keyword.arg == "name"
                and isinstance(keyword.value, ast.Constant)
                and isinstance(keyword.value.value, str)
            }
    return found


def rows(kind: str) -> set[str]:
    """Return the names in the table whose second column begins with ``one thread`` or ``one task``."""
    return set(re.findall(rf"^\| `([^`]+)` \| one {kind}\b", THREADS, re.MULTILINE))


def test_the_rooms_are_drawn_as_the_contract_has_them():
    assert drawn(ROOMS) == layers()


def test_every_room_is_explained():
    rooms = set(re.findall(r"^\| `(\w+)` \|", ROOMS, re.MULTILINE))
    assert rooms == set().union(*layers()) - {"__main__", "version"}


def test_every_thread_of_the_package_is_in_the_table_and_no_other():
    started = set().union(*(named(path, "Thread") for path in modules()))
    assert len(started) >= 5
    assert rows("thread") == started


def test_every_task_of_a_server_is_in_the_table_and_no_other():
    started = set().union(*(named(path, "create_task") for path in modules(PACKAGE / "server")))
    assert len(started) >= 4
    assert rows("task") == started


def test_every_file_of_a_data_directory_is_drawn():
    drawing = TEXT.partition("## The data's way\n")[2].partition("\n## ")[0]
    line = next(line for line in drawing.splitlines() if "DATA_DIR" in line)
    for name in ("log/*.jsonl", "COMMITTED", "*.index.json", "*.places", "catalog.json", "transcript/"):
        assert name in line, name

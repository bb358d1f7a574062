"""The storage engine reaches files, clock and randomness through ``segment_log/platform.py`` alone.

That is how its tests make the k-th call fail, cut the power or move the clock: one direct call
elsewhere and those tests prove nothing about it. Read from the syntax tree, so it also holds for
lines that no test runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.codebase.tree import PACKAGE, modules

ENGINE = ("segment_log", "event_log", "catalog")
SEAM = Path("segment_log/platform.py")

# (file below yoi_runtime, what it does) and why it may.
PERMITTED: dict[tuple[str, str], str] = {
    ("segment_log/doorbell.py", ".resolve()"): "one bell a directory, whatever the path to it: no byte is read",
}

# Modules that are clock, randomness or file system, and what of them is neither.
CLOSED_MODULES: dict[str, frozenset[str]] = {
    "builtins": frozenset(),
    "fcntl": frozenset(),
    "glob": frozenset(),
    "importlib": frozenset(),
    "io": frozenset({"BytesIO", "StringIO"}),
    "mmap": frozenset(),
    "os": frozenset({"PathLike", "fsdecode", "fsencode", "fspath"}),
    "posix": frozenset(),
    "random": frozenset(),
    "secrets": frozenset(),
    "shutil": frozenset(),
    "socket": frozenset(),
    "subprocess": frozenset(),
    "tempfile": frozenset(),
    "time": frozenset(),
    "uuid": frozenset({"UUID"}),
}
CLOSED_BUILTINS = frozenset({"__import__", "eval", "exec", "input", "open"})
CLOCKS = frozenset(
    {
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
    }
)
# Methods of Path that touch the disk, under names that nothing else here bears.
PATH_METHODS = frozenset(
    {
        "absolute",
        "chmod",
        "cwd",
        "exists",
        "expanduser",
        "glob",
        "hardlink_to",
        "home",
        "is_dir",
        "is_file",
        "is_mount",
        "is_symlink",
        "iterdir",
        "lchmod",
        "lstat",
        "mkdir",
        "read_bytes",
        "read_text",
        "readlink",
        "rglob",
        "rmdir",
        "samefile",
        "symlink_to",
        "touch",
        "write_bytes",
        "write_text",
    }
)
# Methods of Path that FileOps has too: through the seam when the receiver is one of its names.
SHARED_METHODS = frozenset({"rename", "stat", "unlink"})
SEAM_NAMES = frozenset({"files", "_files"})


class _Finder(ast.NodeVisitor):
    """Collects (line, what) of everything that reaches past the seam."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []
        self._imported: dict[str, str] = {}  # local name -> full name

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            self._imported[alias.asname or top] = alias.name if alias.asname else top
            if alias.name in CLOSED_MODULES and not CLOSED_MODULES[alias.name]:
                self._report(node, f"import {alias.name}")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        top, _, rest = (node.module or "").partition(".")
        for alias in node.names:
            self._imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            if top in CLOSED_MODULES and (rest or alias.name not in CLOSED_MODULES[top]):
                self._report(node, f"from {node.module} import {alias.name}")

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in CLOSED_BUILTINS and isinstance(node.ctx, ast.Load):
            self._report(node, f"{node.id}()")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        full = self._full_name(node)
        module, _, name = full.partition(".")
        if (module in CLOSED_MODULES and name.partition(".")[0] not in CLOSED_MODULES[module]) or full in CLOCKS:
            self._report(node, full)
        elif node.attr in PATH_METHODS or (node.attr in SHARED_METHODS and _last_name(node.value) not in SEAM_NAMES):
            self._report(node, f".{node.attr}()")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute):
            name, positional = node.func.attr, len(node.args)
            # str.replace takes two arguments, dataclasses.replace and datetime.replace keywords: one alone is a path.
            if name == "replace" and positional == 1 and not node.keywords:
                self._report(node, ".replace()")
            # Resolving a cursor takes the cursor; a path resolves itself.
            elif name == "resolve" and positional == 0:
                self._report(node, ".resolve()")
            # LogWriter.open(…) makes an object; path.open(…) and Path.open(…) open a file.
            elif name == "open" and not _is_class(_last_name(node.func.value)):
                self._report(node, ".open()")
        self.generic_visit(node)

    def _full_name(self, node: ast.expr) -> str:
        """Return the dotted name that ``node`` stands for by the imports of the file, "" when it is none."""
        if isinstance(node, ast.Name):
            return self._imported.get(node.id, "")
        if isinstance(node, ast.Attribute):
            base = self._full_name(node.value)
            return f"{base}.{node.attr}" if base else ""
        return ""

    def _report(self, node: ast.AST, what: str) -> None:
        self.found.append((getattr(node, "lineno", 0), what))


def _last_name(node: ast.expr) -> str:
    """Return ``files`` for ``files``, ``self.files`` and ``a.b.files``; ``Path`` for ``Path(…)``; else ""."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=func):
            return _last_name(func)
        case _:
            return ""


def _is_class(name: str) -> bool:
    return name == "cls" or (name.lstrip("_")[:1].isupper() and name not in ("Path", "PosixPath"))


def past_the_seam(source: str | bytes) -> list[tuple[int, str]]:
    finder = _Finder()
    finder.visit(ast.parse(source))
    return finder.found


def _engine_modules() -> Iterator[Path]:
    for name in ENGINE:
        yield from (path for path in modules(PACKAGE / name) if path.relative_to(PACKAGE) != SEAM)


def test_the_engine_reaches_the_machine_through_the_seam_alone():
    found = []
    for path in _engine_modules():
        name = path.relative_to(PACKAGE).as_posix()
        found += [
            f"{name}:{line}: {what}" for line, what in past_the_seam(path.read_bytes()) if (name, what) not in PERMITTED
        ]
    assert not found, "\n".join(found)


def test_the_test_looks_at_every_room_of_the_engine():
    rooms = {path.relative_to(PACKAGE).parts[0] for path in _engine_modules()}
    assert rooms == set(ENGINE)
    assert (PACKAGE / SEAM).exists()


def test_every_permission_is_still_used():
    used = {
        (path.relative_to(PACKAGE).as_posix(), what)
        for path in _engine_modules()
        for _, what in past_the_seam(path.read_bytes())
    }
    assert set(PERMITTED) <= used


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("open('x')", "open()"),
        ("opener = open", "open()"),
        ("with open('x') as f: pass", "open()"),
        ("__import__('os')", "__import__()"),
        ("import time", "import time"),
        ("import time as t\nt.monotonic()", "import time"),
        ("from time import monotonic", "from time import monotonic"),
        ("import random", "import random"),
        ("import secrets", "import secrets"),
        ("from os import urandom", "from os import urandom"),
        ("from os.path import exists", "from os.path import exists"),
        ("from os import *", "from os import *"),
        ("def f():\n    import fcntl", "import fcntl"),
        ("import os\nos.open('x', 0)", "os.open"),
        ("import os as system\nsystem.getpid()", "os.getpid"),
        ("import os\nos.path.exists('x')", "os.path"),
        ("import os.path\nos.path.exists('x')", "os.path"),
        ("import io\nio.open('x')", "io.open"),
        ("from uuid import uuid4", "from uuid import uuid4"),
        ("import datetime\ndatetime.datetime.now(datetime.UTC)", "datetime.datetime.now"),
        ("from datetime import datetime\ndatetime.now(UTC)", "datetime.datetime.now"),
        ("from datetime import datetime as dt\nclock = dt.now", "datetime.datetime.now"),
        ("path.read_bytes()", ".read_bytes()"),
        ("(directory / 'x').write_text('y')", ".write_text()"),
        ("self.path.exists()", ".exists()"),
        ("read = path.read_text", ".read_text()"),
        ("path.unlink()", ".unlink()"),
        ("path.stat().st_size", ".stat()"),
        ("path.rename(target)", ".rename()"),
        ("path.replace(target)", ".replace()"),
        ("path.resolve()", ".resolve()"),
        ("path.open('rb')", ".open()"),
        ("self._path.open()", ".open()"),
        ("(directory / 'x').open()", ".open()"),
        ("Path('x').open()", ".open()"),
        ("Path.open(path)", ".open()"),
    ],
)
def test_a_way_past_the_seam_is_found(source: str, what: str):
    assert what in [found for _, found in past_the_seam(source)]


@pytest.mark.parametrize(
    "source",
    [
        "platform.files.unlink(path)",
        "self._files.stat(fd).size",
        "files.rename(aside, path)",
        "self._platform.clock.now_us()",
        "platform.clock.monotonic()",
        "platform.random_bytes(8)",
        "text.replace('+', '-')",
        "data.replace(b'\\n', b',\\n')",
        "replace(position, offset=0)",
        "moment.replace(tzinfo=UTC)",
        "reader.resolve(cursor)",
        "LogWriter.open(directory)",
        "cls.open(directory)",
        "import os\ndef f(path: os.PathLike[str]): ...",
        "import io\nbuffer = io.BytesIO()",
        "from datetime import UTC, datetime\ndatetime.strptime(text, '%Y')",
        "from pathlib import Path\nPath('a') / 'b'",
    ],
)
def test_what_touches_nothing_is_let_through(source: str):
    assert past_the_seam(source) == []

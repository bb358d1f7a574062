"""Imports go down the layers, and each outside library is known in its own rooms only.

The contracts are import-linter's, in pyproject.toml; here they are run, and broken on purpose in a
copy of the package to see that they hold. What import-linter cannot say is read from the syntax tree.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.codebase.tree import PACKAGE, ROOT, modules

# What each room may import beside the standard library and yoi_runtime itself.
OUTSIDE = {
    "checksum.py": {"zlib_ng"},
    "server": {"inotify_simple", "prometheus_client", "pydantic", "pydantic_core", "tornado"},
    "client": {"pydantic", "pydantic_core", "tornado"},
    "cli": {"pydantic", "pydantic_core", "typer", "rich"},
}
CORE_OUTSIDE = {"pydantic", "pydantic_core"}


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts on the package in ``directory``, which import-linter puts first on the path."""
    pytest.importorskip("importlinter", reason="a lint tool: tools/requirements.lock has it, a packager may not")
    program = "import sys, importlinter.cli as cli; sys.exit(cli.lint_imports(no_cache=True, no_logo=True))"
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a directory with the package and its contracts, to break."""
    shutil.copytree(PACKAGE, tmp_path / "yoi_runtime", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_are_kept():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("where", "line", "contract"),
    [
        ("errors", "import yoi_runtime.events", "Imports go down only"),
        ("runtime", "import yoi_runtime.server", "Imports go down only"),
        ("events", "import yoi_runtime", "Imports go down only"),  # the whole package: it brings in the Runtime
        ("workers", "import yoi_runtime.event_log", "Imports go down only"),
        ("segment_log", "import yoi_runtime.events", "Imports go down only"),
        ("client", "import yoi_runtime.segment_log", "A cursor is opaque to the client"),
        ("events", "def f():\n    import tornado.web", "Tornado is known to server and client alone"),
        ("cli", "import tornado.ioloop", "The command line knows server and client, not Tornado"),
        ("server", "import typer", "Typer and Rich are known to the command line alone"),
        ("runtime", "import rich.table", "Typer and Rich are known to the command line alone"),
    ],
)
def test_a_broken_contract_is_found(copy: Path, where: str, line: str, contract: str):
    target = copy / "yoi_runtime" / (f"{where}.py" if where == "errors" else f"{where}/planted.py")
    with target.open("a", encoding="utf-8") as file:
        file.write(f"\n\n{line}\n")
    result = lint_imports(copy)
    broken = [row for row in result.stdout.splitlines() if row.rstrip().endswith("BROKEN")]
    assert result.returncode == 1, result.stdout + result.stderr
    assert any(row.startswith(contract) for row in broken), result.stdout


def test_a_package_outside_of_the_layers_is_found(copy: Path):
    (copy / "yoi_runtime" / "utils.py").touch()
    result = lint_imports(copy)
    assert result.returncode == 1
    assert "yoi_runtime.utils" in result.stdout + result.stderr


def imported(source: str | bytes) -> set[str]:
    """Return the full names a module imports, anywhere in it; a relative import begins with a dot."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def test_nothing_is_imported_that_the_room_has_not_declared():
    found = []
    for path in modules():
        room = path.relative_to(PACKAGE).parts[0]
        allowed = OUTSIDE.get(room, CORE_OUTSIDE) | sys.stdlib_module_names | {"yoi_runtime"}
        names = imported(path.read_bytes())
        found += [f"{path.relative_to(PACKAGE)}: {name}" for name in names if name.partition(".")[0] not in allowed]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("room", ["server", "client"])
def test_a_room_with_tornado_can_be_imported_without_it(room: str):
    assert imported((PACKAGE / room / "__init__.py").read_bytes()) <= {"__future__"}


def test_an_import_is_found_wherever_it_stands():
    source = "import a.b\nfrom c import d\ndef f():\n    from . import g\n    if f: import h as i"
    assert imported(source) == {"a.b", "c", ".", "h"}

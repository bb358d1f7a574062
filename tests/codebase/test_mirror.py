"""``yoi_runtime/x/y.py`` has ``tests/x/test_y.py`` with a test in it, so a reader knows where to look.

``tools/yoi_log/y.py`` has ``tests/yoi_log/test_y.py``.
"""

from __future__ import annotations

import ast
from pathlib import Path

from tests.codebase.tree import LOG_TOOLS, PACKAGE, ROOT, modules

# File name, or path below yoi_runtime, and why no test file bears its name.
EXCEPTIONS = {
    "__init__.py": "names what a package offers; that it can be imported, every test of the package shows",
    "__main__.py": "hands over to the command line, which tests/cli runs as a program",
    **dict.fromkeys(
        (f"errors/{name}" for name in sorted(path.name for path in (PACKAGE / "errors").glob("*_errors.py"))),
        "the tree is tested as a whole, in tests/test_errors.py",
    ),
    "errors/root.py": "the same",
}


def missing(package: Path, tests: Path) -> list[str]:
    """Return what each module without tests lacks."""
    lacks = []
    for module in modules(package):
        path = module.relative_to(package)
        if module.name in EXCEPTIONS or path.as_posix() in EXCEPTIONS:
            continue
        test = tests / path.parent / f"test_{path.stem.lstrip('_')}.py"
        if not test.exists():
            lacks.append(f"{path}: no {test.relative_to(tests)}")
        elif not _holds_a_test(test):
            lacks.append(f"{path}: no test in {test.relative_to(tests)}")
    return lacks


def _holds_a_test(path: Path) -> bool:
    nodes = ast.walk(ast.parse(path.read_bytes()))
    return any(isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name.startswith("test_") for n in nodes)


def test_every_module_has_its_tests():
    lacks = missing(PACKAGE, ROOT / "tests") + missing(LOG_TOOLS, ROOT / "tests" / "yoi_log")
    assert not lacks, "\n".join(lacks)


def test_every_exception_still_stands_for_a_file():
    paths = [path.relative_to(PACKAGE) for path in modules()]
    assert set(EXCEPTIONS) <= {path.name for path in paths} | {path.as_posix() for path in paths}


def test_a_missing_and_an_empty_test_file_are_found(tmp_path: Path):
    for name in ("src/a/x.py", "src/a/_y.py", "src/a/z.py", "src/a/__init__.py", "tests/a/test_z.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "tests/a/test_y.py").write_text("async def test_it(): ...\n")
    assert missing(tmp_path / "src", tmp_path / "tests") == [
        "a/x.py: no a/test_x.py",
        "a/z.py: no test in a/test_z.py",
    ]

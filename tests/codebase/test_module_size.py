"""A module is one idea: one over 500 lines has become two, and is split."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.codebase.tree import PACKAGE, ROOT, modules

MAX_LINES = 500


def too_long(directory: Path) -> list[str]:
    sizes = {path: len(path.read_bytes().splitlines()) for path in modules(directory)}
    return [f"{path.relative_to(directory)}: {size} lines" for path, size in sizes.items() if size > MAX_LINES]


@pytest.mark.parametrize("directory", [PACKAGE, ROOT / "tools"], ids=lambda path: path.name)
def test_no_module_is_over_the_limit(directory: Path):
    assert list(modules(directory)), "no module found: the test looks in the wrong place"
    found = too_long(directory)
    assert not found, "\n".join(found)


def test_a_module_over_the_limit_is_found(tmp_path: Path):
    (tmp_path / "long.py").write_text("\n" * (MAX_LINES + 1))
    (tmp_path / "fits.py").write_text("\n" * MAX_LINES)
    assert too_long(tmp_path) == ["long.py: 501 lines"]

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from yoi_runtime.cli.invocation import program


def installed(directory: Path) -> Path:
    """Return a program ``yoi-runtime`` in ``directory``."""
    directory.mkdir()
    path = directory / "yoi-runtime"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_module_is_shown_with_its_python():
    assert program("/somewhere/yoi_runtime/__main__.py") == f"{sys.executable} -m yoi_runtime"


def test_a_program_on_the_path_is_shown_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = installed(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert program(str(path)) == "yoi-runtime"


def test_a_program_elsewhere_is_shown_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, other = installed(tmp_path / "venv"), installed(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(other.parent))
    assert program(str(path)) == str(path)
    monkeypatch.setenv("PATH", "")
    assert program(str(path)) == str(path)


def test_under_another_name_it_is_shown_by_its_own():
    assert program("/usr/bin/pytest") == "yoi-runtime"

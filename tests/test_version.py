"""yoi_runtime.version: what the installed distribution says of itself."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from types import ModuleType

import pytest

import yoi_runtime
from tests.codebase.tree import PACKAGE, pyproject
from yoi_runtime.version import VERSION


def load_anew() -> ModuleType:
    """Return the module as it would be if it were imported now."""
    spec = importlib.util.spec_from_file_location("version_loaded_anew", PACKAGE / "version.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_that_of_the_installed_distribution(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def version(name: str) -> str:
        asked.append(name)
        return "1.2.3"

    monkeypatch.setattr(metadata, "version", version)
    assert load_anew().VERSION == "1.2.3"
    assert asked == [pyproject()["project"]["name"]]


def test_a_tree_that_was_never_installed_says_that_nobody_knows(monkeypatch: pytest.MonkeyPatch):
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    assert load_anew().VERSION == "0+unknown"


def test_it_is_the_packages_version():
    assert yoi_runtime.__version__ == VERSION
    assert VERSION[0].isdigit()

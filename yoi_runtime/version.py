"""The version of this distribution, from its metadata: pyproject.toml is the one place where it stands."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["VERSION"]

try:
    VERSION = version("yoi-runtime")
except PackageNotFoundError:  # a source tree that was never installed
    VERSION = "0+unknown"

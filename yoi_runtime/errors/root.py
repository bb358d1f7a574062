"""The root of all errors, and the one that belongs to no room. The whole tree is drawn in ``yoi_runtime.errors``."""

from __future__ import annotations

__all__ = [
    "MissingExtraError",
    "YoiError",
]


class YoiError(Exception):
    """Base of everything raised on purpose."""


class MissingExtraError(YoiError):
    """An optional dependency is not installed; says which extra brings it."""

    def __init__(self, extra: str, purpose: str) -> None:
        self.extra = extra
        self.purpose = purpose
        super().__init__(f"{purpose} needs the extra '{extra}': pip install 'yoi-runtime[{extra}]'")

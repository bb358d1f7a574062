"""The grammar of a Worker id: 1 to 64 of the ASCII characters ``A-Z a-z 0-9 _ -``, which no URL has to escape."""

from __future__ import annotations

import re
from typing import Final

from yoi_runtime.errors import WorkerIdInvalidError

__all__ = ["WORKER_ID_PATTERN", "check_worker_id", "is_worker_id"]

WORKER_ID_PATTERN: Final = "[A-Za-z0-9_-]{1,64}"
"""To be matched in full: ``$`` would let a trailing newline pass."""

_WORKER_ID: Final = re.compile(WORKER_ID_PATTERN)


def is_worker_id(text: str) -> bool:
    """Return whether ``text`` is a Worker id."""
    return _WORKER_ID.fullmatch(text) is not None


def check_worker_id(text: str) -> str:
    """Return ``text`` when it is a Worker id.

    Raises:
        WorkerIdInvalidError: it is not.
    """
    if not is_worker_id(text):
        raise WorkerIdInvalidError(text)
    return text

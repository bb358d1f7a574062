"""The grammar of a Worker id: 1 to 64 of the ASCII characters ``A-Z a-z 0-9 _ -``."""

from __future__ import annotations

import re

from yoi_runtime.errors import WorkerIdInvalidError

__all__ = ["check_worker_id"]

_WORKER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_worker_id(text: str) -> str:
    """Return ``text`` when it is a Worker id.

    Raises:
        WorkerIdInvalidError: it is not.
    """
    # fullmatch: "$" would let a trailing newline pass.
    if _WORKER_ID.fullmatch(text) is None:
        raise WorkerIdInvalidError(text)
    return text

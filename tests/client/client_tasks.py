"""Which tasks of the client run on the present event loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import tornado

import yoi_runtime

__all__ = ["client_tasks"]

_PLACES = tuple(str(Path(str(package.__file__)).parent) for package in (tornado, yoi_runtime))


def client_tasks() -> set[str]:
    """Return the names of the coroutines of yoi_runtime and of Tornado that run as tasks, but for the test's own."""
    found = set()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        code = getattr(task.get_coro(), "cr_code", None)
        if code is not None and code.co_filename.startswith(_PLACES):
            found.add(code.co_qualname)
    return found

"""yoi_runtime: a Runtime for LLM-agent Workers whose events nobody loses without being told.

    from yoi_runtime import Runtime
    from yoi_runtime.events import TextDone

    with Runtime.open("data") as runtime, runtime.create_worker("coder") as worker:
        cursor = worker.emit(TextDone(text="hello"))
        runtime.wait_durable(cursor)

The names below are loaded when first used: a Backend that imports only the client loads no storage engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yoi_runtime.runtime.options import RuntimeOptions
    from yoi_runtime.runtime.runtime import Runtime
    from yoi_runtime.runtime.worker import Worker
    from yoi_runtime.version import VERSION as __version__

__all__ = ["Runtime", "RuntimeOptions", "Worker", "__version__"]

_HOMES = {
    "Runtime": ("yoi_runtime.runtime.runtime", "Runtime"),
    "RuntimeOptions": ("yoi_runtime.runtime.options", "RuntimeOptions"),
    "Worker": ("yoi_runtime.runtime.worker", "Worker"),
    "__version__": ("yoi_runtime.version", "VERSION"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)

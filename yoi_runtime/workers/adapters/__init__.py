"""Adapters: the lines of a program's output into events, one adapter per kind of program.

    Line -> Adapter -> events

``line_adapters.py`` knows text and our own JSON lines; a module per agent knows what that agent prints
(mapping tables: docs/adapters.md); ``auto_adapter.py`` finds out which it is; ``registry.py`` has the names.
Pure: no adapter does I/O or raises, whatever the line.
"""

from __future__ import annotations

from yoi_runtime.workers.adapters.adapter import Adapter, NowMs, StreamName, quote, wall_clock_ms, worker_alert
from yoi_runtime.workers.adapters.agent_adapter import AgentAdapter
from yoi_runtime.workers.adapters.auto_adapter import AutoAdapter
from yoi_runtime.workers.adapters.line_adapters import JsonlAdapter, LinesAdapter
from yoi_runtime.workers.adapters.registry import ADAPTER_NAMES, AdapterName, make_adapter

__all__ = [
    "ADAPTER_NAMES",
    "Adapter",
    "AdapterName",
    "AgentAdapter",
    "AutoAdapter",
    "JsonlAdapter",
    "LinesAdapter",
    "NowMs",
    "StreamName",
    "make_adapter",
    "quote",
    "wall_clock_ms",
    "worker_alert",
]

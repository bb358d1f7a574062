"""What a Runtime counts of its Workers since its start: how often they run again, and what programs of the machine bring.

Plain numbers, each changed by one thread; who reads them meanwhile may see one too few. Names are of closed sets: no
Worker is one. Metrics read them as they are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["IngestCounts", "WorkerCounts"]


@dataclass(slots=True)
class IngestCounts:
    """Of the local socket. ``waiting``: connections of now that wait for the log, for room in it or for an answer of it.

    ``accepted`` and ``repeated`` are events, which were new, or there by their key. ``refused``: lines and connections,
    by the code that they were answered with.
    """

    connections: int = 0
    waiting: int = 0
    accepted: int = 0
    repeated: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class WorkerCounts:
    """``restarts``: commands that were started again. ``given_up``: those that ended too often, and stay ended."""

    restarts: int = 0
    given_up: int = 0
    ingest: IngestCounts = field(default_factory=IngestCounts)

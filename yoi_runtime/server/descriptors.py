"""How many connections fit under the process's limit of open files: decided at the start, so that they never run out.

A server that accepts until nothing is left starves the log that it serves: the writer cannot open its next segment.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from yoi_runtime.errors import DescriptorLimitError
from yoi_runtime.notices import Notice, named
from yoi_runtime.server.limits import USUAL_SUBSCRIBERS, Limits

__all__ = ["ConnectionRoom", "connection_room", "open_descriptors", "wanted_descriptors"]

_log = logging.getLogger("yoi_runtime.server")

# With less than this there is no serving: some requests, some subscribers.
_LEAST_CONNECTIONS = 8
# So few may come as a surprise.
_FEW_SUBSCRIBERS = 500
_DESCRIPTOR_DIRECTORY = Path("/dev/fd")


class ConnectionRoom(NamedTuple):
    """How many connections there may be at once, and the limits that fit into it; ``subscribers`` is a number then."""

    connections: int
    limits: Limits


def open_descriptors() -> int:
    """Return how many files and sockets this process has open."""
    return sum(1 for _ in _DESCRIPTOR_DIRECTORY.iterdir()) - 1  # the listing itself is one


def wanted_descriptors(limits: Limits, in_use: int) -> int:
    """Return how many descriptors the limits may come to use."""
    subscribers = limits.subscribers if limits.subscribers is not None else USUAL_SUBSCRIBERS
    return in_use + limits.reserve_descriptors + subscribers + 2 * limits.unfinished


def connection_room(limits: Limits, allowed: int, in_use: int) -> ConnectionRoom:
    """Fit the limits under ``allowed`` descriptors, ``in_use`` of which are open.

    A number of subscribers that somebody asked for is kept or refused, the usual one is lowered.

    Raises:
        DescriptorLimitError: it does not fit.
    """
    wanted = limits.subscribers
    reserve, free = limits.reserve_descriptors, allowed - in_use
    if wanted is None and free - reserve < _LEAST_CONNECTIONS:
        # So small a limit is meant: share what there is.
        reserve = min(reserve, free // 2)
    room = free - reserve
    if room < _LEAST_CONNECTIONS:
        raise DescriptorLimitError(allowed, in_use + reserve + _LEAST_CONNECTIONS)
    unfinished = min(limits.unfinished, max(2, room // 4))
    # Twice: as many again may be asking something else, or be told that there is no place.
    most = room - 2 * unfinished
    if wanted is not None and wanted > most:
        raise DescriptorLimitError(allowed, wanted_descriptors(limits, in_use))
    subscribers = wanted if wanted is not None else min(USUAL_SUBSCRIBERS, most)
    if wanted is None and subscribers < USUAL_SUBSCRIBERS:
        level = logging.WARNING if subscribers < _FEW_SUBSCRIBERS else logging.INFO
        text = "only %d files and sockets may be open: at most %d subscribers, %d descriptors are kept for the log"
        fields = named(Notice.DESCRIPTORS_SCARCE, allowed=allowed, subscribers=subscribers, reserve=reserve)
        _log.log(level, text, allowed, subscribers, reserve, extra=fields)
    return ConnectionRoom(room, replace(limits, subscribers=subscribers, unfinished=unfinished))

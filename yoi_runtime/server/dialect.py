"""What a subscriber says in a version of the protocol. Pure: bytes in, messages out; no waiting, no sockets.

``Subscriber`` decides where to read and when to send; a dialect decides what the peer is told about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from yoi_runtime.events.envelope import HEAD_PATTERN
from yoi_runtime.protocol.versions import ProtocolVersion
from yoi_runtime.segment_log.position import Position
from yoi_runtime.server.chunk_cache import SharedChunk
from yoi_runtime.server.starting_place import Place

__all__ = ["Dialect", "Progress", "Selection", "lines_for", "own_lines"]


@dataclass(slots=True)
class Progress:
    """How far a subscriber has come.

    ``worker_seq``: the newest of its scope at ``position``, None when unknown. ``events``: sent since the stream
    began. ``passed_over``: records read since the last message. ``told_at``: when that was sent, in loop time.
    ``behind_since``: when something last came while it was at the end of the log, or when it began.
    """

    position: Position
    worker_seq: int | None
    told_at: float
    behind_since: float = 0.0
    events: int = 0
    passed_over: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a chunk is for this peer: WebSocket frames, the number of events in them, the newest worker_seq.

    Peers at the same place get the same ``frames``, not a copy.
    """

    frames: bytes
    events: int
    worker_seq: int | None


class Dialect(Protocol):
    """One per subscriber."""

    version: ProtocolVersion
    goes_on_after_damage: bool
    heartbeat_seconds: float | None

    def opening(self, place: Place, oldest: Place) -> list[bytes]:
        """Return the first messages of a stream that starts at ``place``, of a log that starts at ``oldest``."""
        ...

    def select(self, chunk: SharedChunk, worker_seq: int | None) -> Selection:
        """Return what of ``chunk`` is sent."""
        ...

    def aside(self, progress: Progress, now: float) -> list[bytes]:
        """Return what is to be said besides events, after a chunk or when nothing comes."""
        ...

    def at_end(self, progress: Progress) -> tuple[list[bytes], bool]:
        """Return what is to be said at the end of the log, and whether that ends the stream."""
        ...

    def ends(self) -> bool:
        """Say whether ``at_end`` may end the stream, so that it has to be asked."""
        ...

    def farewell(self, progress: Progress) -> list[bytes]:
        """Return the last messages before the server goes away."""
        ...

    def wrote(self, sent_bytes: int, seconds: float) -> None:
        """Take note of how long the peer took for a write."""
        ...


def lines_for(chunk: SharedChunk, worker: bytes, worker_seq: int | None) -> tuple[list[bytes], int | None]:
    """Return a Worker's records in ``chunk``, and its newest worker_seq after them."""
    if chunk.own_seq is not None:
        return chunk.data[:-1].split(b"\n"), chunk.own_seq
    lines = []
    for line, number in own_lines(chunk.data, worker, None):
        lines.append(line)
        worker_seq = number
    return lines, worker_seq


def own_lines(data: bytes, worker: bytes | None, names: frozenset[bytes] | None) -> Iterator[tuple[bytes, int | None]]:
    """Yield (record, worker_seq) of a Worker (None: of everybody) with one of these event names (None: any)."""
    for found in HEAD_PATTERN.finditer(data):
        if worker is not None and found["worker_id"] != worker:
            continue
        number = found["worker_seq"]
        if names is None or found["event_name"] in names:
            yield found[0], None if number is None else int(number)

"""What the event log asks of whoever keeps the books on Workers (the catalog; joined in ``runtime``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from yoi_runtime.events import Event
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.writer import SealedSegment

__all__ = ["Bookkeeper"]


class Bookkeeper(Protocol):
    """All calls come under the event log's lock, in the log's order."""

    def last_worker_seq(self, worker_id: str) -> int:
        """Return the newest worker_seq of a Worker, 0 when it has none."""
        ...

    def appended(self, seq: int, worker_id: str | None, worker_seq: int, time: str, event: Event) -> None:
        """Take in a record that was just appended."""
        ...

    def appended_run(self, seq: int, worker_id: str, worker_seq: int, time: str, events: Sequence[Event]) -> None:
        """Take in records of one Worker that were just appended in one write; the first has these numbers."""
        ...

    def sealed(self, segment: SealedSegment, next_start: Position) -> None:
        """Take note that a segment was sealed; raises ``OSError`` when that cannot be made durable now."""
        ...

    def counted_seq(self) -> int:
        """Return up to which seq segments were counted as gone, whether they are deleted or not."""
        ...

    def catch_up(self) -> None:
        """Read from the log what was appended and not told; raises ``LogError`` or ``OSError``."""
        ...

    def rotating_out(self, segments: Sequence[SealedSegment]) -> None:
        """Make durable that these segments are gone; raising ``OSError`` or ``LogError`` keeps them."""
        ...

    def rotated_out(self, segments: Sequence[SealedSegment]) -> None:
        """Clean up after deleted segments; never raises."""
        ...

    def save(self, end: Position | None = None) -> None:
        """Make everything durable; ``end`` at a clean close. Raises ``OSError``."""
        ...

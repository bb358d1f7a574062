"""A ``Bookkeeper`` in memory, for tests of the event log alone: counts, and fails when told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from yoi_runtime.events import Event
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.writer import SealedSegment

__all__ = ["MemoryBooks"]


@dataclass
class MemoryBooks:
    """``calls`` holds each call in order, with the numbers it brought; ``before`` may raise."""

    before: Callable[[str], None] = lambda call: None
    worker_seqs: dict[str, int] = field(default_factory=dict)
    calls: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    counted: int = 0

    def _note(self, call: str, *numbers: int) -> None:
        self.before(call)
        self.calls.append((call, numbers))

    def of(self, call: str) -> list[tuple[int, ...]]:
        """Return the numbers of every call of that name."""
        return [numbers for name, numbers in self.calls if name == call]

    def last_worker_seq(self, worker_id: str) -> int:
        return self.worker_seqs.get(worker_id, 0)

    def appended(self, seq: int, worker_id: str | None, worker_seq: int, time: str, event: Event) -> None:
        self._note("appended", seq, worker_seq)
        if worker_id is not None:
            self.worker_seqs[worker_id] = worker_seq

    def appended_run(self, seq: int, worker_id: str, worker_seq: int, time: str, events: Sequence[Event]) -> None:
        for number, event in enumerate(events):
            self.appended(seq + number, worker_id, worker_seq + number, time, event)

    def sealed(self, segment: SealedSegment, next_start: Position) -> None:
        self._note("sealed", segment.number, segment.first_seq, segment.last_seq, next_start.segment)

    def counted_seq(self) -> int:
        return self.counted

    def catch_up(self) -> None:
        self._note("catch_up")

    def rotating_out(self, segments: Sequence[SealedSegment]) -> None:
        self._note("rotating_out", *(segment.number for segment in segments))
        self.counted = max(self.counted, segments[-1].last_seq)

    def rotated_out(self, segments: Sequence[SealedSegment]) -> None:
        self._note("rotated_out", *(segment.number for segment in segments))

    def save(self, end: Position | None = None) -> None:
        self._note("save", 0 if end is None else end.seq)

"""Whether the worker_seqs of each Worker follow each other, from run to run and over what is lost."""

from __future__ import annotations

from collections.abc import Iterator

from yoi_log.defect import Defect
from yoi_log.segment_check import Lost, SegmentCheck

__all__ = ["WorkerNumbers"]


class WorkerNumbers:
    """Follows a log segment by segment."""

    def __init__(self, before: dict[str, int] | None) -> None:
        """``before``: the last worker_seq of each Worker before the log's oldest record; None where nobody knows."""
        self._before = before
        # Worker -> (seq, worker_seq) of its newest record.
        self._newest: dict[str, tuple[int, int]] = {}
        self._lost: list[Lost] = []

    def follow(self, check: SegmentCheck) -> Iterator[Defect]:
        """Yield what does not follow in the next segment."""
        self._lost += check.lost
        for run in check.runs:
            for worker_id, part in run.workers.items():
                if not worker_id:
                    continue
                newest = self._newest.get(worker_id)
                seq, last = newest if newest is not None else (0, self._expected_before(worker_id))
                self._newest[worker_id] = (part.last_seq, part.last_worker_seq)
                if last is None or part.first_worker_seq == last + 1:
                    continue
                missing = part.first_worker_seq - last - 1
                if 0 < missing <= sum(lost.events for lost in self._lost if seq < lost.first_seq < part.last_seq):
                    continue
                reason = f"worker_seq {part.first_worker_seq} stands where {last + 1} should be"
                yield Defect(
                    "worker_seq_broken",
                    check.scan.path.name,
                    run.file_offset,
                    run.first_seq,
                    run.last_seq,
                    reason,
                    worker_id,
                )

    def _expected_before(self, worker_id: str) -> int | None:
        return self._before.get(worker_id, 0) if self._before is not None else None

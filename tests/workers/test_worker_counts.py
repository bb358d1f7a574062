from __future__ import annotations

from yoi_runtime.workers.worker_counts import IngestCounts, WorkerCounts


def test_two_runtimes_in_a_process_count_apart():
    one, other = WorkerCounts(), WorkerCounts()
    one.restarts += 1
    one.ingest.accepted += 1
    one.ingest.refused["line_invalid"] += 1
    assert other == WorkerCounts(restarts=0, given_up=0, ingest=IngestCounts())
    assert one != other

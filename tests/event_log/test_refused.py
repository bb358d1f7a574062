"""What was refused is counted per Worker until it was told."""

from __future__ import annotations

from yoi_runtime.event_log.refused import RefusedEvents
from yoi_runtime.events import EventsLost

TIMES = [f"2026-11-22T17:37:23.00000{digit}Z" for digit in range(10)]


def test_losses_are_counted_per_worker_from_the_first_to_the_last():
    refused = RefusedEvents()
    assert refused.losses() == []
    refused.note("a", TIMES[1])
    refused.note("b", TIMES[2], 5)
    refused.note("a", TIMES[3], 2)
    refused.note(None, TIMES[4], 9)
    assert refused.losses() == [
        ("a", EventsLost(count=3, from_time=TIMES[1], to_time=TIMES[3])),
        ("b", EventsLost(count=5, from_time=TIMES[2], to_time=TIMES[2])),
    ]
    del refused.by_worker["a"]
    assert [worker_id for worker_id, _ in refused.losses()] == ["b"]
    refused.note("a", TIMES[5])
    assert refused.losses()[-1] == ("a", EventsLost(count=1, from_time=TIMES[5], to_time=TIMES[5]))

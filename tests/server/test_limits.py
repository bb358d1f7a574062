from __future__ import annotations

import pytest

from yoi_runtime.server.limits import LimitCounters, Limits, RefusedBecause, SubscriberPlaces


def places(**limits: int) -> tuple[SubscriberPlaces, LimitCounters]:
    counters = LimitCounters()
    return SubscriberPlaces(Limits(**limits), counters), counters


def test_without_limits_there_is_always_a_place():
    some, counters = places()
    for _ in range(1000):
        assert some.full("t", "a") is None
        some.take("t", "a")
    assert counters.active == 1000


@pytest.mark.parametrize(
    "limit, reason, others",
    [
        ("subscribers", RefusedBecause.SUBSCRIBERS, []),
        ("subscribers_per_token", RefusedBecause.SUBSCRIBERS_PER_TOKEN, [("u", "a"), (None, "a")]),
        ("subscribers_per_worker", RefusedBecause.SUBSCRIBERS_PER_WORKER, [("t", "b"), ("t", None)]),
    ],
)
def test_a_limit_holds_for_whom_it_is_and_a_place_that_is_left_is_free(
    limit: str, reason: RefusedBecause, others: list[tuple[str | None, str | None]]
):
    some, counters = places(**{limit: 2})
    for _ in range(2):
        assert some.full("t", "a") is None
        some.take("t", "a")
    assert some.full("t", "a") is reason
    assert [other for other in others if some.full(*other) is not None] == []
    some.leave("t", "a")
    assert some.full("t", "a") is None
    some.leave("t", "a")
    assert counters.active == 0
    # Nothing is kept of those who have left: ids are as many as anybody likes.
    assert (some._by_token, some._by_worker) == ({}, {})


@pytest.mark.parametrize(
    "limits",
    [
        {"subscribers": 0},
        {"subscribers_per_token": 0},
        {"subscribers_per_worker": -1},
        {"unfinished": 0},
        {"header_bytes": 100},
        {"header_seconds": 0},
        {"pings_per_second": 0},
        {"inbound_bytes_per_second": 10},
        {"reserve_descriptors": -1},
    ],
)
def test_what_would_serve_nobody_is_refused(limits: dict[str, int]):
    with pytest.raises(ValueError, match=next(iter(limits))):
        Limits(**limits)

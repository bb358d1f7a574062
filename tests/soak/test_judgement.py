from __future__ import annotations

from dataclasses import replace

import pytest

from tools.soak.judgement import FULL, SMALL, Sample, Seen, drift_per_ten_minutes, judge

PLAN = replace(FULL, idle=100, active=5, stalled=5, churn=10.0, seconds=900.0, warm_up_seconds=100.0)


def sample(at: float, **changed: object) -> Sample:
    well = Sample(
        at,
        resident_bytes=100 << 20,
        descriptors=150,
        tasks=230,
        subscribers=110,
        rotated_out=int(at),
        connects=int(at * 10),
        delivered=int(at * 1000),
        lag_seconds=20.0,
        cut_off=int(at / 50),
    )
    return replace(well, **changed)  # type: ignore[arg-type]


def seen(**changed: object) -> Seen:
    plan = PLAN
    before = sample(0.0, subscribers=0, tasks=15, descriptors=50)
    well = Seen(
        before,
        [sample(float(at)) for at in range(0, int(plan.seconds), 10)],
        before,
        churned=int(plan.churn * plan.seconds),
        cut_off=100,
        pings=5000,
        stop_seconds=3.0,
        exit_code=143,
        notices={"subscriber_too_slow": 3},
    )
    return replace(well, **changed)  # type: ignore[arg-type]


def test_a_server_on_which_nothing_grows_is_well():
    assert judge(PLAN, seen()) == []


def test_memory_that_grows_is_a_complaint_and_noise_is_none():
    growing = [replace(one, resident_bytes=(100 << 20) + int(one.at * 4000)) for one in seen().samples]
    assert drift_per_ten_minutes(growing) == pytest.approx(4000 * 600 / (102 << 20), rel=0.05)
    assert any("resident memory grows" in one for one in judge(PLAN, seen(samples=growing)))
    noisy = [replace(one, resident_bytes=(100 << 20) + int(one.at * 7919) % (3 << 20)) for one in seen().samples]
    assert judge(PLAN, seen(samples=noisy)) == []


def test_what_grows_in_the_warm_up_is_none():
    warming = [replace(one, resident_bytes=int((min(one.at, 90) + 10) * 1_000_000)) for one in seen().samples]
    assert judge(PLAN, seen(samples=warming)) == []


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"after": sample(1.0, subscribers=0, tasks=17, descriptors=50)}, "2 tasks are left over"),
        ({"after": sample(1.0, subscribers=3, tasks=15, descriptors=50)}, "3 subscribers are left over"),
        ({"after": sample(1.0, subscribers=0, tasks=15, descriptors=200)}, "descriptors went from"),
        ({"after": None}, "nobody looked"),
        ({"stop_seconds": 11.0}, "to stop"),
        ({"exit_code": -9}, "it ended with -9"),
        ({"notices": {"subscriber_failed": 1}}, "subscriber_failed"),
        ({"churned": 100}, "connections of the churn"),
        ({"cut_off": 0}, "stalled subscribers cut off"),
        ({"pings": 0}, "pings answered"),
        ({"samples": [sample(float(at), rotated_out=5) for at in range(0, 900, 10)]}, "rotations"),
        ({"samples": [sample(float(at), subscribers=20) for at in range(0, 900, 10)]}, "subscribers at once"),
        ({"samples": [sample(float(at), subscribers=5000) for at in range(0, 900, 10)]}, "more subscribers than"),
        ({"samples": [sample(float(at), lag_seconds=0.0) for at in range(0, 900, 10)]}, "sees no lag"),
        ({"samples": [sample(float(at), delivered=7) for at in range(0, 900, 10)]}, "stand still"),
        ({"samples": [sample(float(at), descriptors=120 + int(at)) for at in range(0, 900, 10)]}, "beside subscribers"),
        ({"samples": [sample(float(at)) for at in range(0, 120, 10)]}, "nothing can be said"),
    ],
)
def test_what_is_wrong_is_told(changed: dict[str, object], complaint: str):
    assert any(complaint in one for one in judge(PLAN, seen(**changed))), judge(PLAN, seen(**changed))


def test_the_sizes_are_those_that_are_promised():
    assert (FULL.idle, FULL.active, FULL.stalled, FULL.churn, FULL.most_drift) == (5_000, 50, 50, 100.0, 0.01)
    assert SMALL.seconds == 60

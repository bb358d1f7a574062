"""What a soak has seen, and whether that is well. Pure: samples in, complaints out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Plan", "Sample", "Seen", "drift_per_ten_minutes", "judge"]

TEN_MINUTES = 600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a soak is. Rates are per second; ``warm_up_seconds`` are not judged."""

    idle: int
    active: int
    stalled: int
    churn: float
    seconds: float
    warm_up_seconds: float
    # Of resident memory, between the beginning of the judged time and its end.
    most_drift: float
    # A short run cannot tell a leak from what an allocator does in its first minute.
    drift_of_ten_minutes: bool
    # How much of what is planned must have happened; less on a machine that is busy with other things.
    least_share: float


FULL = Plan(5_000, 50, 50, 100.0, 1_500.0, 180.0, 0.01, True, 0.8)
SMALL = Plan(300, 10, 10, 20.0, 60.0, 20.0, 0.10, False, 0.3)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the server. ``at``: seconds since the load was complete."""

    at: float
    resident_bytes: int
    descriptors: int
    tasks: int
    subscribers: int
    rotated_out: int
    connects: int
    delivered: int
    lag_seconds: float
    # Subscribers that were too slow, since the start.
    cut_off: int


@dataclass(slots=True)
class Seen:
    """All of it. ``before`` the first peer came, ``after`` the last one went."""

    before: Sample
    samples: list[Sample] = field(default_factory=list)
    after: Sample | None = None
    churned: int = 0
    cut_off: int = 0
    pings: int = 0
    refused: int = 0
    missed_looks: int = 0
    stop_seconds: float = 0.0
    exit_code: int = 0
    notices: dict[str, int] = field(default_factory=dict)


def drift_per_ten_minutes(samples: Sequence[Sample]) -> float:
    """Return by which share of itself resident memory grows in ten minutes: the median of all slopes (Theil, Sen)."""
    slopes = [
        (later.resident_bytes - earlier.resident_bytes) / (later.at - earlier.at)
        for index, earlier in enumerate(samples)
        for later in samples[index + 1 :]
        if later.at > earlier.at
    ]
    if not slopes:
        return 0.0
    return statistics.median(slopes) * TEN_MINUTES / statistics.median(one.resident_bytes for one in samples)


def judge(plan: Plan, seen: Seen) -> list[str]:
    """Return what is wrong, the best answer being nothing."""
    judged = [sample for sample in seen.samples if sample.at >= plan.warm_up_seconds]
    if len(judged) < 6:
        return [f"only {len(judged)} samples after the warm-up: nothing can be said"]
    return [*_growth(plan, judged), *_leftovers(seen), *_too_little(plan, seen, judged), *_implausible(plan, judged)]


def _growth(plan: Plan, judged: Sequence[Sample]) -> list[str]:
    third = max(2, len(judged) // 3)
    first, last = (statistics.median(one.resident_bytes for one in part) for part in (judged[:third], judged[-third:]))
    drift = drift_per_ten_minutes(judged) if plan.drift_of_ten_minutes else last / first - 1
    found = (
        [f"resident memory grows by {drift:.2%}, at most {plan.most_drift:.2%} is well"]
        if drift > plan.most_drift
        else []
    )
    # Descriptors that are no subscriber's: files, listening sockets, connections on their way in or out.
    spare = [sample.descriptors - sample.subscribers for sample in judged]
    early, late = statistics.median(spare[:third]), statistics.median(spare[-third:])
    if late > early + max(10.0, plan.churn / 2):
        found.append(f"descriptors beside subscribers went from {early:.0f} to {late:.0f}")
    return found


def _leftovers(seen: Seen) -> list[str]:
    if seen.after is None:
        return ["nobody looked after the last peer had gone"]
    found = []
    if seen.after.tasks > seen.before.tasks:
        found.append(f"{seen.after.tasks - seen.before.tasks} tasks are left over")
    if seen.after.subscribers:
        found.append(f"{seen.after.subscribers} subscribers are left over")
    # Segments come and go, and the reader holds some of them open.
    if seen.after.descriptors > seen.before.descriptors + 40:
        found.append(f"descriptors went from {seen.before.descriptors} to {seen.after.descriptors}")
    if seen.missed_looks > len(seen.samples) / 10:
        found.append(f"{seen.missed_looks} looks at /metrics were not answered within 30 s")
    if seen.stop_seconds > 10:
        found.append(f"it took {seen.stop_seconds:.1f} s to stop")
    if seen.exit_code != 143:
        found.append(f"it ended with {seen.exit_code} after SIGTERM")
    bad = {name: count for name, count in seen.notices.items() if name not in _EXPECTED}
    return [*found, f"its log has {bad}"] if bad else found


# What a server under this load is expected to say.
_EXPECTED = frozenset(
    {"subscriber_too_slow", "suppressed", "loop_blocked", "stopping", "stopped", "serving", "worker_ended"}
)


def _too_little(plan: Plan, seen: Seen, judged: Sequence[Sample]) -> list[str]:
    seconds = seen.samples[-1].at - seen.samples[0].at
    rotated = seen.samples[-1].rotated_out - seen.samples[0].rotated_out
    least = {
        "connections of the churn": (seen.churned, plan.churn * seconds),
        "rotations": (rotated, seconds),
        "stalled subscribers cut off": (seen.cut_off, plan.stalled if seconds > 45 else 0),
        "subscribers at once": (
            min(sample.subscribers for sample in judged),
            plan.idle + plan.active + plan.stalled / 2,
        ),
        "pings answered": (seen.pings, plan.idle if seconds > 30 else 0),
    }
    return [
        f"too little was exercised: {done} {what}, planned {planned:.0f}"
        for what, (done, planned) in least.items()
        if done < planned * plan.least_share
    ]


def _implausible(plan: Plan, judged: Sequence[Sample]) -> list[str]:
    first, last = judged[0], judged[-1]
    found = []
    if last.connects <= first.connects or last.delivered <= first.delivered:
        found.append("the counters of /metrics stand still")
    if max(sample.subscribers for sample in judged) > plan.idle + plan.active + plan.stalled + 10 * plan.churn + 10:
        found.append("more subscribers than there are peers")
    if not any(sample.lag_seconds > 1 for sample in judged):
        found.append("stalled subscribers, and /metrics sees no lag")
    return found

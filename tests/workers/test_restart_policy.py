from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yoi_runtime.workers.outcome import WorkerExit
from yoi_runtime.workers.restart_policy import GiveUp, NoRestart, Restart, RestartPolicy, Restarts

COMPLETED = WorkerExit("completed", 0, None)
FAILED = WorkerExit("failed", 3, None)
CRASHED = WorkerExit("crashed", None, 9)
STOPPED = WorkerExit("cancelled", None, 15, "enough")
HALF = 0.5


def seconds(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


POLICIES = st.builds(
    lambda first, more, healthy, limit, window: RestartPolicy("always", first, first + more, healthy, limit, window),
    seconds(0.001, 100),
    seconds(0, 1000),
    # Often no run is healthy, and all are within the window: what is drawn is not the same everywhere, and some give up.
    st.just(1e3) | seconds(0.01, 100),
    st.integers(1, 6) | st.none(),
    st.just(1e6) | seconds(0.01, 1000),
)
# How long each run lives, and how long the supervisor is late on top of the delay.
RUNS = st.lists(st.tuples(seconds(0, 200), seconds(0, 5)), max_size=40)


@pytest.mark.parametrize(
    ("when", "again"),
    [
        ("never", {}),
        ("on-failure", {FAILED, CRASHED}),
        ("always", {COMPLETED, FAILED, CRASHED}),
    ],
)
def test_the_policy_says_after_which_ends_it_runs_again(when, again):
    for ended in (COMPLETED, FAILED, CRASHED, STOPPED):
        decision = Restarts(RestartPolicy(when), lambda: HALF).after(ended, 1.0, 0.0)
        assert isinstance(decision, Restart if ended in again else NoRestart), ended


def test_the_delay_doubles_up_to_its_cap_and_begins_anew_after_a_healthy_run():
    policy = RestartPolicy("on-failure", 1.0, 6.0, healthy_seconds=10.0, limit=None)
    restarts = Restarts(policy, lambda: 0.0)
    assert [restarts.after(FAILED, ran, 0.0) for ran in (0, 0, 9.9, 0, 0)] == [
        Restart(0.5, 1),
        Restart(1.0, 2),
        Restart(2.0, 3),
        Restart(3.0, 4),
        Restart(3.0, 5),
    ]
    assert restarts.after(FAILED, 10.0, 0.0) == Restart(0.5, 1)


def test_it_gives_up_after_so_many_restarts_within_the_window_and_not_when_they_are_spread():
    policy = RestartPolicy("on-failure", limit=3, window_seconds=60.0)
    close = Restarts(policy, lambda: HALF)
    assert [type(close.after(FAILED, 1.0, now)) for now in (0, 10, 20)] == [Restart] * 3
    assert close.after(FAILED, 1.0, 59.9) == GiveUp(3, 60.0)
    spread = Restarts(policy, lambda: HALF)
    assert [type(spread.after(FAILED, 1.0, now)) for now in (0, 25, 50, 75, 100, 125)] == [Restart] * 6


def test_healthy_runs_never_add_up():
    restarts = Restarts(RestartPolicy("always", limit=2, window_seconds=1e9), lambda: HALF)
    assert {type(restarts.after(COMPLETED, 10.0, now)) for now in range(100)} == {Restart}


seen: Counter[str] = Counter()


@settings(max_examples=400)
@given(POLICIES, RUNS, st.lists(st.floats(0, 1, exclude_max=True), min_size=1))
def test_whatever_happens_delays_keep_their_bounds_and_giving_up_has_its_reason(policy, runs, numbers):
    """Held against the plain rule, told by the whole history instead of by a state."""
    jitter = iter(numbers * (len(runs) + 1))
    restarts, now, history = Restarts(policy, lambda: next(jitter)), 0.0, list[float]()
    for ran, late in runs:
        now += ran
        if ran >= policy.healthy_seconds:
            history.clear()
        decision = restarts.after(FAILED, ran, now)
        within = [at for at in history if at > now - policy.window_seconds]
        seen[type(decision).__name__] += 1
        if isinstance(decision, GiveUp):
            assert policy.limit is not None
            assert decision.restarts == len(within) == policy.limit
            break
        assert isinstance(decision, Restart)
        assert policy.limit is None or len(within) < policy.limit
        bound = min(policy.first_delay_seconds * 2.0 ** len(history), policy.max_delay_seconds)
        assert bound / 2 <= decision.delay_seconds <= bound
        history.append(now)
        assert decision.number == len(history)
        now += decision.delay_seconds + late


def test_the_property_saw_both_ends(capsys: pytest.CaptureFixture[str]):
    if not seen:
        pytest.skip("the property ran in another process")
    with capsys.disabled():
        print(f"\nrestart decisions: {dict(seen)}")  # noqa: T201
    assert seen["GiveUp"] > 5
    assert seen["Restart"] > 100


def test_a_thousand_failures_do_not_overflow():
    restarts = Restarts(RestartPolicy("always", 1.0, 1e300, limit=None), lambda: HALF)
    decisions = [restarts.after(FAILED, 0.0, 0.0) for _ in range(3000)]
    assert decisions[-1] == Restart(0.75 * 2.0**64, 3000)


@pytest.mark.parametrize(
    "numbers",
    [
        {"first_delay_seconds": 0.0},
        {"first_delay_seconds": 2.0, "max_delay_seconds": 1.0},
        {"healthy_seconds": 0.0},
        {"window_seconds": 0.0},
        {"limit": 0},
    ],
)
def test_numbers_that_make_no_sense_are_refused(numbers):
    with pytest.raises(ValueError):
        RestartPolicy(**numbers)

"""yoi_runtime.catalog.worker_state: tallies add up, and both forms of JSON come back as they were."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.catalog.worker_state import Tally, WorkerState

ENDED = WorkerState(
    worker_id="coder",
    created_at="t1",
    started_at="t2",
    ended_at="t3",
    status="paused",
    outcome="failed",
    exit_code=3,
    run=2,
    worker_seq=70,
    seq=99,
    created_seq=5,
    rotated_out=Tally(12, 40, 12, "t1", "t2"),
    found_ended_us=123,
)


def through_json(value: object) -> Any:
    return json.loads(json.dumps(value))


def test_a_tally_counts_and_keeps_the_newest_numbers():
    tally = Tally()
    tally.add(5, 1, "t5")
    tally.add(9, 2, "t9")
    assert tally == Tally(events=2, last_seq=9, last_worker_seq=2, from_time="t5", to_time="t9")


def test_an_empty_tally_changes_nothing():
    tally = Tally(2, 9, 2, "t5", "t9")
    tally.merge(Tally())
    assert tally == Tally(2, 9, 2, "t5", "t9")
    empty = Tally()
    empty.merge(tally)
    assert empty == tally


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(0, 20))
def test_two_runs_of_records_merged_are_one_run(steps: list[int], cut: int):
    whole, early, late = Tally(), Tally(), Tally()
    seq = 0
    for number, step in enumerate(steps, 1):
        seq += step
        for tally in (whole, early if number <= cut else late):
            tally.add(seq, number, f"t{seq}")
    early.merge(late)
    assert early == whole


@pytest.mark.parametrize("tally", [Tally(), Tally(3, 9, 2, "t5", "t9")])
def test_a_tally_comes_back_from_json(tally: Tally):
    assert Tally.from_json(through_json(tally.to_json())) == tally


@pytest.mark.parametrize("fields", [None, {}, [], [1, 2, 3, "a"], [1, 2, 3, "a", "b", "c"], ["x", 2, 3, "a", "b"]])
def test_anything_else_is_no_tally(fields: object):
    with pytest.raises((TypeError, ValueError)):
        Tally.from_json(fields)


@pytest.mark.parametrize("state", [WorkerState("w"), ENDED], ids=["new", "ended"])
def test_a_state_comes_back_from_json(state: WorkerState):
    assert WorkerState.from_json(through_json(state.to_json())) == state


def test_a_worker_has_ended_when_it_has_an_outcome():
    assert ENDED.ended
    assert not WorkerState("w", created_at="t1", started_at="t2", run=1).ended


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.pop("seq"),
        lambda fields: fields.update(status="asleep"),
        lambda fields: fields.update(outcome="evicted"),
        lambda fields: fields.update(run="many"),
        lambda fields: fields.update(rotated_out={}),
        lambda fields: fields.update(found_ended_us="yesterday"),
    ],
)
def test_a_state_with_a_field_amiss_is_refused(change: Callable[[dict[str, object]], object]):
    fields = ENDED.to_json()
    change(fields)
    with pytest.raises((KeyError, TypeError, ValueError)):
        WorkerState.from_json(fields)

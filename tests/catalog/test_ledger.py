"""yoi_runtime.catalog.ledger: what the records of a log say of its Workers."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.catalog.ledger import LIFECYCLE_EVENT_NAMES, Ledger
from yoi_runtime.catalog.worker_state import Tally, WorkerState
from yoi_runtime.events import Event, Status, TextDelta, WorkerCreated, WorkerEnded, WorkerStarted, extended

DAY_US = 86_400 * 1_000_000


def ledger_of(*records: tuple[str | None, Event]) -> Ledger:
    """Return a ledger after these records: seq from 1, worker_seq as it should be, time ``t<seq>``."""
    ledger = Ledger()
    numbers: dict[str, int] = defaultdict(int)
    for seq, (worker_id, event) in enumerate(records, 1):
        if worker_id is not None:
            numbers[worker_id] += 1
        ledger.apply(seq, worker_id, numbers[worker_id] if worker_id else 0, f"t{seq:03}", event)
    return ledger


def test_the_names_are_those_of_the_events_it_looks_into():
    assert {"status", "worker_created", "worker_started", "worker_ended"} == LIFECYCLE_EVENT_NAMES


def test_a_life_from_creation_to_its_end():
    ledger = ledger_of(
        (None, WorkerCreated(worker_id="w")),
        (None, WorkerStarted(worker_id="w", run=1)),
        ("w", Status(status="running")),
        ("w", TextDelta(text="x")),
    )
    assert ledger.workers == {
        "w": WorkerState("w", "t001", "t002", status="running", run=1, worker_seq=2, seq=4, created_seq=1),
    }
    ledger.apply(5, None, 0, "t005", WorkerEnded(worker_id="w", outcome="failed", exit_code=2))
    state = ledger.workers["w"]
    assert (state.ended_at, state.outcome, state.exit_code, state.status) == ("t005", "failed", 2, "idle")
    assert (state.worker_seq, state.seq, ledger.seq) == (2, 4, 5)


def test_a_new_run_takes_the_end_back_and_keeps_the_numbers():
    ledger = ledger_of(
        (None, WorkerCreated(worker_id="w")),
        (None, WorkerStarted(worker_id="w", run=1)),
        ("w", TextDelta(text="x")),
        (None, WorkerEnded(worker_id="w", outcome="failed", exit_code=2)),
    )
    ledger.forget_ended(1, DAY_US)
    ledger.apply(5, None, 0, "t005", WorkerStarted(worker_id="w", run=2))
    assert ledger.workers["w"] == WorkerState("w", "t001", "t005", run=2, worker_seq=1, seq=3, created_seq=1)


def test_a_record_that_was_counted_changes_nothing():
    records: list[tuple[str | None, Event]] = [(None, WorkerCreated(worker_id="w")), ("w", TextDelta(text="x"))]
    once, twice = ledger_of(*records), ledger_of(*records)
    twice.apply(1, "w", 7, "t9", Status(status="paused"))
    twice.apply(2, None, 0, "t9", WorkerEnded(worker_id="w", outcome="failed"))
    assert (twice.workers, twice.seq, twice.segment_tallies) == (once.workers, once.seq, once.segment_tallies)


def test_what_a_worker_says_about_workers_is_its_own_affair():
    ledger = ledger_of(
        (None, WorkerStarted(worker_id="w", run=1)),
        ("v", WorkerEnded(worker_id="w", outcome="failed")),
        ("v", WorkerCreated(worker_id="u")),
    )
    assert not ledger.workers["w"].ended
    assert "u" not in ledger.workers


def test_a_worker_is_known_by_its_events_alone():
    ledger = ledger_of(("w", TextDelta(text="x")))
    assert ledger.workers["w"] == WorkerState("w", worker_seq=1, seq=1)


def test_each_segment_is_tallied_by_itself():
    ledger = ledger_of((None, WorkerCreated(worker_id="w")), ("w", TextDelta(text="x")), ("w", TextDelta(text="y")))
    assert ledger.begin_segment() == {"": Tally(1, 1, 0, "t001", "t001"), "w": Tally(2, 3, 2, "t002", "t003")}
    ledger.apply(4, "w", 3, "t004", TextDelta(text="z"))
    assert ledger.begin_segment() == {"w": Tally(1, 4, 3, "t004", "t004")}
    assert ledger.begin_segment() == {}


def test_what_went_is_added_up_for_the_worker_and_for_the_log():
    ledger = ledger_of(("w", TextDelta(text="x")), (None, WorkerCreated(worker_id="v")), ("w", TextDelta(text="y")))
    ledger.note_rotated_out(ledger.begin_segment(), 3)
    ledger.apply(4, "v", 1, "t004", TextDelta(text="x"))
    ledger.apply(5, "w", 3, "t005", TextDelta(text="x"))
    ledger.note_rotated_out(ledger.begin_segment(), 5)
    assert ledger.workers["w"].rotated_out == Tally(3, 5, 3, "t001", "t005")
    assert ledger.workers["v"].rotated_out == Tally(1, 4, 1, "t004", "t004")
    assert ledger.rotated_out == Tally(5, 5, 0, "t001", "t005")


def test_an_empty_segment_that_went_is_counted_too():
    ledger = ledger_of(("w", TextDelta(text="x")))
    ledger.note_rotated_out(ledger.begin_segment(), 1)
    ledger.note_rotated_out({}, 1)
    assert ledger.rotated_out == Tally(1, 1, 0, "t001", "t001")


def test_a_segment_goes_up_to_its_last_seq_also_when_its_records_could_not_be_read():
    ledger = ledger_of(("w", TextDelta(text="x")))
    ledger.note_rotated_out(ledger.begin_segment(), 7)
    assert ledger.rotated_out == Tally(1, 7, 0, "t001", "t001")


@given(st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=40), st.sets(st.integers(0, 40)))
def test_wherever_the_log_rolled_the_sums_are_those_of_the_records(writers: list[str | None], rolls: set[int]):
    ledger = Ledger()
    numbers: dict[str | None, int] = defaultdict(int)
    for seq, worker_id in enumerate(writers, 1):
        numbers[worker_id] += 1
        ledger.apply(seq, worker_id, numbers[worker_id] if worker_id else 0, f"t{seq:03}", None)
        if seq in rolls:
            ledger.note_rotated_out(ledger.begin_segment(), seq)
    gone = ledger.rotated_out.last_seq
    assert ledger.rotated_out.events == gone == max((seq for seq in rolls if 1 <= seq <= len(writers)), default=0)
    for worker_id, state in ledger.workers.items():
        seqs = [seq for seq, writer in enumerate(writers, 1) if writer == worker_id]
        lost = [seq for seq in seqs if seq <= gone]
        expected = Tally(len(lost), lost[-1], len(lost), f"t{lost[0]:03}", f"t{lost[-1]:03}") if lost else None
        assert state.rotated_out == expected
        assert (state.worker_seq, state.seq) == (len(seqs), seqs[-1])


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.lists(st.sampled_from(["text", "idle", "paused"]), max_size=5)), max_size=8
    ),
    st.integers(0, 6),
)
def test_a_run_of_records_counts_as_its_records_do(runs: list[tuple[str, list[str]]], known: int):
    """``known``: so many records were counted before, by a ledger that was read from the log."""
    together, singly = Ledger(), Ledger()
    together.seq = singly.seq = known
    numbers: dict[str, int] = defaultdict(int)
    seq = 0
    for turn, (worker_id, kinds) in enumerate(runs):
        events: list[Event] = [
            TextDelta(text="x") if kind == "text" else Status.model_validate({"status": kind}) for kind in kinds
        ]
        together.apply_run(seq + 1, worker_id, numbers[worker_id] + 1, f"t{turn}", events)
        for event in events:
            seq += 1
            numbers[worker_id] += 1
            singly.apply(seq, worker_id, numbers[worker_id], f"t{turn}", event)
    assert (together.workers, together.seq) == (singly.workers, singly.seq)
    assert (together.segment_tallies, together.changed) == (singly.segment_tallies, singly.changed)


# Forgetting.


def gone_worker() -> Ledger:
    """Return a ledger with an ended Worker of which no record is left."""
    ledger = ledger_of(
        (None, WorkerStarted(worker_id="w", run=1)),
        ("w", TextDelta(text="x")),
        (None, WorkerEnded(worker_id="w", outcome="completed")),
    )
    ledger.note_rotated_out(ledger.begin_segment(), 3)
    return ledger


def test_an_ended_worker_without_records_is_forgotten_when_its_time_has_passed():
    ledger = gone_worker()
    assert ledger.forget_ended(1000, DAY_US) == []
    assert ledger.forget_ended(1000 + DAY_US, DAY_US) == []
    assert ledger.forgotten_seq == 0
    assert ledger.forget_ended(1001 + DAY_US, DAY_US) == ["w"]
    assert ledger.workers == {}
    assert ledger.forgotten_seq == 2, "the newest event of anybody forgotten"


def test_a_worker_with_a_record_left_is_not_forgotten():
    ledger = gone_worker()
    ledger.apply(4, "w", 2, "t004", TextDelta(text="late"))
    ledger.forget_ended(0, DAY_US)
    assert ledger.forget_ended(100 * DAY_US, DAY_US) == []


def test_a_worker_that_runs_is_not_forgotten_and_its_new_end_counts():
    ledger = gone_worker()
    ledger.forget_ended(0, DAY_US)
    ledger.apply(4, None, 0, "t004", WorkerStarted(worker_id="w", run=2))
    assert ledger.forget_ended(100 * DAY_US, DAY_US) == []
    ledger.apply(5, None, 0, "t005", WorkerEnded(worker_id="w", outcome="completed"))
    assert ledger.forget_ended(200 * DAY_US, DAY_US) == []
    assert ledger.forget_ended(201 * DAY_US + 1, DAY_US) == ["w"]


def test_a_worker_that_never_said_anything_is_forgotten_too():
    ledger = ledger_of((None, WorkerCreated(worker_id="w")), (None, WorkerEnded(worker_id="w", outcome="lost")))
    ledger.forget_ended(0, DAY_US)
    assert ledger.forget_ended(DAY_US + 1, DAY_US) == ["w"]


@pytest.mark.parametrize("name", sorted(LIFECYCLE_EVENT_NAMES))
def test_an_event_that_could_not_be_decoded_counts_as_a_number_only(name: str):
    ledger = Ledger()
    ledger.apply(1, "w" if name == "status" else None, 1, "t001", None)
    assert ledger.seq == 1
    assert all(not state.ended for state in ledger.workers.values())


def test_a_status_with_further_members_counts_as_one():
    running = extended(Status(status="running"), {"key": "1"})
    assert ledger_of(("a", running)).workers["a"].status == "running"
    ledger = Ledger()
    ledger.apply_run(1, "a", 1, "t", [extended(Status(status="idle"), {"key": "1"}), running])
    assert ledger.workers["a"].status == "running"

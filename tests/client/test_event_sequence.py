from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.scripted_runtime import event
from yoi_runtime.client.event_sequence import REMEMBERED_EVENT_IDS, EventSequence
from yoi_runtime.errors import StreamGapError
from yoi_runtime.protocol.frames import EventFrame, decode_frame


def frame(n: int, **changes: Any) -> EventFrame:
    decoded = decode_frame(event(n, **changes))
    assert isinstance(decoded, EventFrame)
    return decoded


def of_worker() -> EventSequence:
    return EventSequence("ws://r", of_one_worker=True)


def of_everything() -> EventSequence:
    return EventSequence("ws://r", of_one_worker=False)


def test_events_in_order_are_admitted_wherever_they_begin():
    sequence = of_worker()
    assert [sequence.admit(frame(n)) for n in (41, 42, 43)] == [True, True, True]


def test_a_repeated_event_is_known_by_its_id():
    sequence = of_worker()
    sequence.admit(frame(1))
    sequence.admit(frame(2))
    assert not sequence.admit(frame(1))
    assert not sequence.admit(frame(2))
    assert sequence.admit(frame(3))


def test_a_hole_is_reported_with_both_ends():
    sequence = of_worker()
    sequence.admit(frame(7))
    with pytest.raises(StreamGapError) as caught:
        sequence.admit(frame(10))
    error = caught.value
    assert (error.expected, error.got, error.numbering) == (8, 10, "worker_seq")
    assert (error.cursor, error.cursor_after, error.url) == ("c7", "c10", "ws://r")


def test_what_lies_behind_a_hole_has_not_arrived():
    sequence = of_worker()
    sequence.admit(frame(7))
    for _ in range(2):
        with pytest.raises(StreamGapError):
            sequence.admit(frame(10))
    assert sequence.admit(frame(8))


def test_numbers_that_go_back_under_new_ids_are_a_hole():
    """A restored copy of the log: the same numbers, other events."""
    sequence = of_everything()
    sequence.admit(frame(7))
    with pytest.raises(StreamGapError) as caught:
        sequence.admit(frame(5, event_id="other"))
    assert (caught.value.expected, caught.value.got, caught.value.numbering) == (8, 5, "seq")


def test_a_workers_stream_may_leave_out_numbers_of_the_log():
    sequence = of_worker()
    sequence.admit(frame(1, seq=10))
    assert sequence.admit(frame(2, seq=20))


def test_the_stream_of_everything_goes_by_the_numbers_of_the_log():
    sequence = of_everything()
    sequence.admit(frame(1, worker_seq=8, worker_id="a"))
    assert sequence.admit(frame(2, worker_seq=3, worker_id="b"))
    assert sequence.admit(frame(3, worker_seq=None, worker_id=None))


def test_events_without_numbers_cannot_be_judged_by_them():
    sequence = of_worker()
    sequence.admit(frame(1))
    assert sequence.admit(frame(2, worker_seq=None))
    assert sequence.admit(frame(9))
    with pytest.raises(StreamGapError):
        sequence.admit(frame(11))


def test_behind_an_announced_gap_any_number_is_taken():
    sequence = of_worker()
    sequence.admit(frame(1))
    sequence.expect_gap()
    assert sequence.admit(frame(50))
    assert not sequence.admit(frame(1))
    with pytest.raises(StreamGapError):
        sequence.admit(frame(52))


def test_memory_is_bounded():
    sequence = of_everything()
    for n in range(1, REMEMBERED_EVENT_IDS + 3):
        sequence.admit(frame(n))
    assert len(sequence._seen) == REMEMBERED_EVENT_IDS
    assert not sequence.admit(frame(3))
    with pytest.raises(StreamGapError):
        sequence.admit(frame(1))


@given(st.lists(st.integers(1, 8), max_size=30))
def test_what_is_admitted_is_contiguous_and_without_repeats_whatever_comes(numbers: list[int]):
    sequence = of_everything()
    admitted: list[int] = []
    for n in numbers:
        if n in admitted:
            assert not sequence.admit(frame(n))
        elif not admitted or n == admitted[-1] + 1:
            assert sequence.admit(frame(n))
            admitted.append(n)
        else:
            with pytest.raises(StreamGapError):
                sequence.admit(frame(n))

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.client.scripted_runtime import event
from yoi_runtime.client.event_sequence import REMEMBERED_EVENT_IDS, EventSequence
from yoi_runtime.client.stream_event import StreamEvent, event_of_frame, event_of_line
from yoi_runtime.errors import StreamGapError
from yoi_runtime.protocol.frames import EventFrame, decode_frame


def came(n: int, **changes: Any) -> StreamEvent:
    found = event_of_line(event(n, **changes))
    assert found is not None
    return found


def numbers(sequence: EventSequence, *events: StreamEvent) -> list[int | None]:
    """Return the numbers of the events that are admitted; none of them is a fault."""
    admitted, fault = sequence.admit(events)
    assert fault is None
    return [event.worker_seq for event in admitted]


def fault_in(sequence: EventSequence, *events: StreamEvent) -> StreamGapError:
    _, fault = sequence.admit(events)
    assert fault is not None
    return fault


def of_worker(*, filtered: bool = False) -> EventSequence:
    return EventSequence("ws://r", of_one_worker=True, filtered=filtered)


def of_everything() -> EventSequence:
    return EventSequence("ws://r", of_one_worker=False)


def test_events_in_order_are_admitted_wherever_they_begin():
    assert numbers(of_worker(), came(41), came(42), came(43)) == [41, 42, 43]


def test_where_the_first_event_is_known_beforehand_another_one_is_a_hole():
    sequence = of_worker()
    sequence.expect(41)
    assert fault_in(sequence, came(42)).expected == 41
    assert numbers(sequence, came(41), came(42)) == [41, 42]
    filtered = of_worker(filtered=True)
    filtered.expect(41)
    assert numbers(filtered, came(44)) == [44]


def test_a_repeated_event_is_known_by_its_id():
    sequence = of_worker()
    assert numbers(sequence, came(1), came(2), came(1), came(2), came(3)) == [1, 2, 3]
    assert numbers(sequence, came(2), came(3), came(4)) == [4]


def test_a_hole_is_reported_with_both_ends_after_what_stands_before_it():
    sequence = of_worker()
    admitted, fault = sequence.admit([came(7), came(8), came(10), came(11)])
    assert [event.worker_seq for event in admitted] == [7, 8]
    assert fault is not None
    assert (fault.expected, fault.got, fault.numbering) == (9, 10, "worker_seq")
    assert (fault.cursor, fault.cursor_after, fault.url) == ("c8", "c10", "ws://r")


def test_what_lies_behind_a_hole_has_not_arrived():
    sequence = of_worker()
    numbers(sequence, came(7))
    for _ in range(2):
        assert fault_in(sequence, came(10)).got == 10
    assert numbers(sequence, came(8), came(9), came(10)) == [8, 9, 10]


def test_numbers_that_go_back_under_new_ids_are_a_hole():
    """A restored copy of the log: the same numbers, other events."""
    sequence = of_everything()
    numbers(sequence, came(7))
    fault = fault_in(sequence, came(5, event_id="other"))
    assert (fault.expected, fault.got, fault.numbering) == (8, 5, "seq")


def test_a_workers_stream_may_leave_out_numbers_of_the_log():
    assert numbers(of_worker(), came(1, seq=10), came(2, seq=20)) == [1, 2]


def test_the_stream_of_everything_goes_by_the_numbers_of_the_log():
    events = [came(1, worker_seq=8), came(2, worker_seq=3, worker_id="b"), came(3, worker_seq=None, worker_id=None)]
    assert numbers(of_everything(), *events) == [8, 3, None]


def test_of_a_filtered_stream_the_numbers_only_grow():
    sequence = of_worker(filtered=True)
    assert numbers(sequence, came(1), came(5), came(5), came(9)) == [1, 5, 9]
    assert fault_in(sequence, came(7, event_id="other")).expected == 10


def test_events_without_numbers_cannot_be_judged_by_them():
    frame = decode_frame(b'{"kind":"event","envelope":{"cursor":"x","event_id":"x","payload":{"event":"shutdown"}}}')
    assert isinstance(frame, EventFrame)
    sequence, bare = of_worker(), event_of_frame(frame)
    assert numbers(sequence, came(1), bare, came(9), bare) == [1, None, 9]
    assert fault_in(sequence, came(11)).expected == 10


def test_behind_an_announced_gap_any_number_is_taken():
    sequence = of_worker()
    numbers(sequence, came(1))
    sequence.expect_gap()
    assert numbers(sequence, came(50), came(1)) == [50]
    assert fault_in(sequence, came(52)).expected == 51


def test_the_runtimes_word_on_the_newest_event_is_held_against_what_came():
    sequence = of_worker()
    assert sequence.newest_is(9, "c9") is None  # nothing came yet: there is nothing to compare
    numbers(sequence, came(3))
    assert sequence.newest_is(3, "c3") is None
    fault = sequence.newest_is(5, "c5")
    assert fault is not None
    assert (fault.expected, fault.cursor, fault.cursor_after) == (4, "c3", "c5")
    assert of_worker(filtered=True).newest_is(5, "c5") is None


def test_memory_is_bounded():
    sequence = of_everything()
    count = 3 * REMEMBERED_EVENT_IDS
    for n in range(1, count + 1):
        sequence.admit([came(n)])
    assert REMEMBERED_EVENT_IDS <= len(sequence._recent) + len(sequence._older) <= 2 * REMEMBERED_EVENT_IDS
    assert numbers(sequence, came(count - REMEMBERED_EVENT_IDS + 1)) == []
    assert fault_in(sequence, came(1)).got == 1


@given(st.lists(st.lists(st.integers(1, 8), max_size=6), max_size=8))
def test_what_is_admitted_is_contiguous_and_without_repeats_whatever_comes(blocks: list[list[int]]):
    sequence = of_everything()
    expected: list[int] = []
    for block in blocks:
        admitted, fault = sequence.admit([came(n) for n in block])
        found = [event.seq for event in admitted]
        for n in block:
            if n in expected:
                continue
            if expected and n != expected[-1] + 1:
                assert fault is not None
                assert (fault.expected, fault.got) == (expected[-1] + 1, n)
                break
            assert n == found.pop(0)
            expected.append(n)
        else:
            assert fault is None
        assert not found

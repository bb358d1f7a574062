from __future__ import annotations

from pathlib import Path

from yoi_log.segment_check import Lost, SegmentCheck
from yoi_log.segment_scan import Run, SegmentScan, WorkerPart
from yoi_log.worker_numbers import WorkerNumbers


def check(first_seq: int, last_seq: int, worker_seqs: tuple[int, int], lost: list[Lost] | None = None) -> SegmentCheck:
    part = WorkerPart(b"abcde", worker_seqs[0], "", 1, worker_seqs[1], last_seq, "")
    run = Run(0, "0" * 16, 1, 1, 0, 1, first_seq, last_seq, {"coder": part, "": part})
    return SegmentCheck(SegmentScan(Path("1.jsonl"), 1), 1, 1, first_seq, [run], lost or [])


def broken(before: dict[str, int] | None, *checks: SegmentCheck) -> list[str]:
    numbers = WorkerNumbers(before)
    return [defect.reason for one in checks for defect in numbers.follow(one)]


def test_numbers_that_follow_are_sound():
    assert broken({}, check(1, 5, (1, 5)), check(6, 9, (6, 9))) == []
    assert broken({"coder": 7}, check(11, 15, (8, 12))) == []


def test_a_gap_and_a_repetition_are_found():
    assert broken({}, check(1, 5, (1, 5)), check(6, 9, (7, 9))) == ["worker_seq 7 stands where 6 should be"]
    assert broken({}, check(1, 5, (1, 5)), check(6, 9, (5, 9))) == ["worker_seq 5 stands where 6 should be"]
    assert broken({}, check(1, 5, (2, 5))) == ["worker_seq 2 stands where 1 should be"]


def test_where_the_beginning_is_not_known_any_number_may_begin():
    assert broken(None, check(11, 15, (40, 44))) == []


def test_lost_events_explain_as_many_as_there_are():
    assert broken({}, check(1, 5, (1, 5)), check(8, 9, (8, 9), [Lost(6, 7)])) == []
    assert len(broken({}, check(1, 5, (1, 5)), check(8, 9, (9, 9), [Lost(6, 7)]))) == 1
    assert len(broken({}, check(1, 5, (1, 5), [Lost(3, 4)]), check(6, 9, (7, 9)))) == 1

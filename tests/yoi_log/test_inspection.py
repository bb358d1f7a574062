from __future__ import annotations

import json
from pathlib import Path

from yoi_log.inspection import inspect_log
from yoi_log.log_place import find_log

from tests.yoi_log.sample import GOLDEN, make_log


def looked_at(directory: Path, *, read_records: bool = True):
    told: list[int] = []
    inspection = inspect_log(find_log(directory), read_records=read_records, progress=told.append)
    return inspection, sum(told)


def lines_of(data: Path) -> list[bytes]:
    return [line for path in sorted((data / "log").glob("*.jsonl")) for line in path.read_bytes().split(b"\n")[1:-1]]


def test_workers_are_counted_as_the_lines_say(tmp_path: Path):
    data = make_log(tmp_path / "data")
    inspection, told = looked_at(data)
    lines = lines_of(data)
    assert told == sum(len(line) + 1 for line in lines)
    assert inspection.events == len(lines)
    for worker in inspection.workers:
        own = [line for line in lines if json.loads(line)["envelope"]["worker_id"] == (worker.worker_id or None)]
        assert (worker.events, worker.size_bytes) == (len(own), sum(len(line) + 1 for line in own))
        assert worker.last_time == json.loads(own[-1])["envelope"]["time"]
    by_id = {worker.worker_id: worker for worker in inspection.workers}
    assert set(by_id) == {"coder", "helper", ""}
    assert (by_id["coder"].first_worker_seq, by_id["coder"].last_worker_seq) == (1, 60)
    assert (by_id["coder"].outcome, by_id["helper"].outcome) == ("completed", "cancelled")


def test_segments_follow_each_other(tmp_path: Path):
    inspection, _ = looked_at(make_log(tmp_path / "data"))
    segments = inspection.segments
    assert len(segments) > 3
    assert [one.first_seq for one in segments[1:]] == [(one.last_seq or 0) + 1 for one in segments[:-1]]
    assert [one.events for one in segments] == [(one.last_seq or 0) - (one.first_seq or 0) + 1 for one in segments]
    assert [one.active for one in segments] == [False] * (len(segments) - 1) + [True]
    assert inspection.closed_cleanly
    assert inspection.unshown_bytes == 0


def test_what_was_rotated_out_is_told(tmp_path: Path):
    inspection, _ = looked_at(make_log(tmp_path / "data", events=200, retain_bytes=20_000))
    assert inspection.rotated_out is not None
    assert inspection.rotated_out["events"] == inspection.floor["seq"]
    coder = next(worker for worker in inspection.workers if worker.worker_id == "coder")
    assert coder.rotated_out is not None
    assert coder.rotated_out["events"] + coder.events == 200
    assert coder.first_worker_seq == coder.rotated_out["last_worker_seq"] + 1


def test_damage_is_found_with_its_place_and_nothing_else_is_missing(tmp_path: Path):
    inspection, _ = looked_at(GOLDEN / "corrupt_middle")
    (place,) = inspection.damaged
    assert (place.first_seq, place.last_seq) == (11, 11)
    assert place.file.endswith("1.jsonl")
    assert sum(worker.events for worker in inspection.workers) == inspection.events - 1


def test_a_torn_tail_is_bytes_that_are_not_shown():
    inspection, _ = looked_at(GOLDEN / "torn_tail")
    assert inspection.unshown_bytes > 0
    assert inspection.damaged == []
    assert not inspection.closed_cleanly


def test_a_quick_look_reads_no_record(tmp_path: Path):
    data = make_log(tmp_path / "data")
    inspection, told = looked_at(data, read_records=False)
    assert told == 0
    assert {worker.worker_id: worker.last_worker_seq for worker in inspection.workers} == {"coder": 60, "helper": 6}
    assert [one.events for one in inspection.segments] == [None] * len(inspection.segments)
    assert {(worker.events, worker.size_bytes) for worker in inspection.workers} == {(None, None)}


def test_a_header_that_cannot_be_read_is_a_problem_of_its_segment(tmp_path: Path):
    data = make_log(tmp_path / "data")
    second = sorted((data / "log").glob("*.jsonl"))[1]
    second.write_bytes(second.read_bytes().replace(b'"format":1', b'"format":2', 1))
    inspection, _ = looked_at(data)
    assert "checksum" in (inspection.segments[1].problem or "")
    assert len(inspection.damaged) == 1


def test_looking_changes_nothing(tmp_path: Path):
    data = make_log(tmp_path / "data")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.rglob("*") if path.is_file()}
    looked_at(data)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.rglob("*") if path.is_file()} == before

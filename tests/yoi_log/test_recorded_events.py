from __future__ import annotations

import json
from pathlib import Path

from yoi_log.log_place import find_log
from yoi_log.recorded_events import Missing, RecordedEvent, opened, recorded_events

from tests.yoi_log.sample import GOLDEN, RECORDINGS, make_log
from yoi_runtime.events import UnknownEvent
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.timestamp import parse_timestamp


def read(data: Path) -> list[RecordedEvent | Missing]:
    with opened(find_log(data)) as reader:
        return list(recorded_events(reader, lambda _: None))


def lines_of(data: Path) -> list[bytes]:
    return [line for path in sorted((data / "log").glob("*.jsonl")) for line in path.read_bytes().split(b"\n")[1:-1]]


def test_every_field_is_the_line_s_own():
    compared = 0
    for name in ("agents", "build", "restarts"):
        data = RECORDINGS / name
        for event, line in zip(read(data), lines_of(data), strict=True):
            assert isinstance(event, RecordedEvent)
            envelope = json.loads(line)["envelope"]
            assert (event.seq, event.worker_id or None, event.worker_seq or None) == (
                envelope["seq"],
                envelope["worker_id"],
                envelope["worker_seq"],
            )
            assert (event.time, event.time_us) == (envelope["time"], parse_timestamp(envelope["time"]))
            assert json.loads(event.payload) == envelope["payload"]
            assert (event.name, event.data()) == (envelope["payload"]["event"], envelope["payload"].get("data", {}))
            assert event.size_bytes == len(line) + 1
            compared += 1
    assert compared > 200


def test_damage_is_told_with_its_numbers():
    missing = [step for step in read(GOLDEN / "corrupt_middle") if isinstance(step, Missing)]
    assert [(one.first_seq, one.last_seq, one.events) for one in missing] == [(11, 11, 1)]


def test_names_are_read_with_their_escapes_and_data_that_is_no_object_is_none(tmp_path: Path):
    with Runtime.open(tmp_path) as runtime:
        worker = runtime.create_worker("a")
        worker.emit(UnknownEvent(name='a "b" \n', data=[1]))
        worker.emit(UnknownEvent(name="own", data={"x": 1}))
    mine = [step for step in read(tmp_path) if isinstance(step, RecordedEvent) and step.worker_id == "a"]
    assert [(event.name, event.data()) for event in mine] == [('a "b" \n', {}), ("own", {"x": 1})]


def test_progress_is_told_the_bytes_of_all_records(tmp_path: Path):
    data = make_log(tmp_path / "data")
    told: list[int] = []
    with opened(find_log(data)) as reader:
        events = list(recorded_events(reader, told.append))
    assert sum(told) == sum(event.size_bytes for event in events if isinstance(event, RecordedEvent))

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from yoi_log.cursor_answer import answer_cursor
from yoi_log.forking import fork_log
from yoi_log.log_place import find_log
from yoi_log.verification import verify_log

from tests.transcript.projecting import project, whole_transcript
from tests.yoi_log.damage import segments_of
from tests.yoi_log.sample import GOLDEN, make_log
from yoi_runtime.errors import LogError
from yoi_runtime.events import TextDelta, TextDone
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.reader import LogReader


def envelopes(data: Path) -> list[dict]:
    lines = [line for path in segments_of(data) for line in path.read_bytes().split(b"\n")[1:-1]]
    return [json.loads(line)["envelope"] for line in lines]


def test_a_fork_is_another_log_with_the_same_events_at_the_same_places(tmp_path: Path):
    data = make_log(tmp_path / "data", events=200, retain_bytes=20_000)
    fork = fork_log(find_log(data), tmp_path / "fork")
    assert fork.log_id != fork.original_log_id
    assert verify_log(find_log(tmp_path / "fork")).defects == []
    original, copied = envelopes(data), envelopes(tmp_path / "fork")
    assert fork.events == len(copied) == len(original)
    for was, now in zip(original, copied, strict=True):
        assert was.pop("cursor") != now.pop("cursor")
        assert was == now
    for was_path, now_path in zip(segments_of(data), segments_of(tmp_path / "fork"), strict=True):
        assert was_path.stat().st_size == now_path.stat().st_size
    for path in (tmp_path / "fork").rglob("*"):
        assert path.is_dir() or fork.original_log_id.encode() not in path.read_bytes(), path


def test_cursors_of_the_original_are_foreign_and_event_ids_go_on(tmp_path: Path):
    data = make_log(tmp_path / "data")
    fork_log(find_log(data), tmp_path / "fork")
    reader = LogReader(tmp_path / "fork" / "log")
    for envelope in envelopes(data):
        assert answer_cursor(envelope["cursor"], find_log(tmp_path / "fork")).answer == "foreign"
        assert reader.find_event(envelope["event_id"]).seq == envelope["seq"]
    reader.close()


def test_transcripts_come_along_under_the_new_log_id(tmp_path: Path):
    data = make_log(tmp_path / "data", events=200, retain_bytes=20_000)
    project(data)
    whole, answer = whole_transcript(data, "helper")
    fork = fork_log(find_log(data), tmp_path / "fork")
    assert [path.name for path in (tmp_path / "fork" / "transcript").iterdir()] == ["transcript.db"]
    assert fork.transcripts == f"copied, {len(whole) + 1} items of 2 Workers", (
        "what of the other was rotated out is a gap"
    )
    copied, copied_answer = whole_transcript(tmp_path / "fork", "helper")
    assert copied == whole
    assert decode_token(copied_answer.as_of_cursor) == decode_token(answer.as_of_cursor)._replace(log_id=fork.log_id)
    with Runtime.open(tmp_path / "fork") as runtime:
        runtime.create_worker("helper").emit(TextDone(text="after"))
    project(tmp_path / "fork")
    assert whole_transcript(tmp_path / "fork", "helper")[0][:-1] == whole


def test_a_runtime_goes_on_in_a_fork(tmp_path: Path):
    data = make_log(tmp_path / "data")
    fork_log(find_log(data), tmp_path / "fork")
    with Runtime.open(tmp_path / "fork") as runtime:
        runtime.create_worker("coder").emit(TextDelta(text="after"))
    assert verify_log(find_log(tmp_path / "fork")).defects == []
    last = [one for one in envelopes(tmp_path / "fork") if one["worker_id"] == "coder"][-1]
    assert (last["worker_seq"], last["payload"]["data"]["text"]) == (61, "after")
    catalog = json.loads((tmp_path / "fork" / "catalog.json").read_bytes())
    assert [worker["run"] for worker in catalog["workers"] if worker["worker_id"] == "coder"] == [2]


def test_a_log_in_use_is_copied_up_to_its_watermark(tmp_path: Path):
    with Runtime.open(tmp_path / "data", RuntimeOptions(segment_bytes=4096)) as runtime:
        worker = runtime.create_worker("coder")
        for number in range(50):
            cursor = worker.emit(TextDelta(text=f"piece {number}"))
        runtime.wait_durable(cursor)
        fork = fork_log(find_log(tmp_path / "data"), tmp_path / "fork")
        worker.emit(TextDelta(text="later"))
    assert fork.events >= 50
    assert verify_log(find_log(tmp_path / "fork")).defects == []


def test_a_damaged_log_is_refused_and_nothing_is_made(tmp_path: Path):
    with pytest.raises(LogError, match="damaged"):
        fork_log(find_log(GOLDEN / "corrupt_middle"), tmp_path / "fork")
    data = make_log(tmp_path / "data")
    segments_of(data)[2].unlink()
    with pytest.raises(LogError, match="missing"):
        fork_log(find_log(data), tmp_path / "fork")
    assert re.fullmatch("data", " ".join(path.name for path in tmp_path.iterdir()))


def test_a_damaged_first_header_is_refused_too(tmp_path: Path):
    data = make_log(tmp_path / "data")
    first = segments_of(data)[0]
    first.write_bytes(first.read_bytes().replace(b'"format":1', b'"format":7', 1))
    with pytest.raises(LogError, match="header"):
        fork_log(find_log(data), tmp_path / "fork")


def test_a_target_that_exists_is_refused(tmp_path: Path):
    data = make_log(tmp_path / "data")
    shutil.copytree(data, tmp_path / "there")
    with pytest.raises(OSError, match="is there already"):
        fork_log(find_log(data), tmp_path / "there")

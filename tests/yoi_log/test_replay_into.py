from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from yoi_log.log_place import find_log
from yoi_log.new_directory import DirectoryExistsError
from yoi_log.pace import FLAT_OUT, Pace
from yoi_log.replay_into import ReplayedLog, play_into

from tests.yoi_log.sample import GOLDEN, RECORDINGS
from tests.yoi_log.story import Story
from yoi_runtime.errors import LogUnavailableError
from yoi_runtime.events import TextDelta


def again(data: Path, target: Path) -> ReplayedLog:
    pace = Pace(FLAT_OUT, lambda: 0.0)
    return play_into(find_log(data), target, pace, wait=lambda _: None, progress=lambda _: None)


def envelopes(data: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)["envelope"]
        for path in sorted((data / "log").glob("*.jsonl"))
        for line in path.read_bytes().split(b"\n")[1:-1]
        if line
    ]


def of_workers(data: Path) -> list[tuple[str, str]]:
    """Return what Workers emitted: whose, and the payload's very bytes, in the log's order."""
    found = []
    for path in sorted((data / "log").glob("*.jsonl")):
        for line in path.read_bytes().split(b"\n")[1:-1]:
            worker_id = json.loads(line)["envelope"]["worker_id"]
            if worker_id is not None:
                found.append((worker_id, line[line.index(b'"payload":') : -19].decode()))
    return found


@pytest.mark.parametrize("name", ["agents", "build", "restarts"])
def test_workers_order_and_payloads_are_kept_and_the_rest_is_new(tmp_path: Path, name: str):
    result = again(RECORDINGS / name, tmp_path / "again")
    assert of_workers(tmp_path / "again") == of_workers(RECORDINGS / name)
    assert result.events == len(of_workers(RECORDINGS / name))
    old, new = envelopes(RECORDINGS / name), envelopes(tmp_path / "again")
    for field in ("cursor", "event_id"):
        assert not {one[field] for one in old} & {one[field] for one in new}
    assert [one["seq"] for one in new] == list(range(1, len(new) + 1))
    ends = [one["payload"]["data"] for one in new if one["payload"]["event"] == "worker_ended"]
    lost = 1 if name == "restarts" else 0
    assert ends == [one["payload"]["data"] for one in old if one["payload"]["event"] == "worker_ended"]
    assert sum(end["outcome"] == "lost" for end in ends) == lost


def test_what_is_not_repeated_is_named(tmp_path: Path):
    result = again(RECORDINGS / "restarts", tmp_path / "again")
    assert result.left_out == {"log_recovered": 1, "runtime_started": 1, "runtime_stopping": 1}
    assert again(GOLDEN / "corrupt_middle", tmp_path / "other").missing == 1


def test_a_worker_that_still_ran_is_ended_with_the_new_runtime(tmp_path: Path):
    story = Story(tmp_path / "data")
    story.runtime.wait_durable(story.worker.emit(TextDelta(text="x")))
    again(tmp_path / "data", tmp_path / "again")
    story.close()
    last = envelopes(tmp_path / "again")[-2]
    assert last["payload"]["data"] == {"worker_id": "a", "outcome": "cancelled"}


def test_a_directory_that_is_there_is_not_touched(tmp_path: Path):
    (tmp_path / "there").mkdir()
    with pytest.raises(DirectoryExistsError, match="is there already"):
        again(RECORDINGS / "build", tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []


def test_of_a_log_that_cannot_be_read_nothing_is_made(tmp_path: Path):
    data = Story(tmp_path / "data").say(TextDelta(text="x")).close()
    (segment,) = (data / "log").glob("*.jsonl")
    segment.unlink()
    with pytest.raises(LogUnavailableError, match="no readable segment"):
        again(data, tmp_path / "again")
    assert not (tmp_path / "again").exists()

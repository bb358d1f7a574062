from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from yoi_log.record_stream import Found, Step, Unreadable, follow, select, select_tail
from yoi_log.selection import Selection
from yoi_log.walk import Damage

from tests.yoi_log.damage import segments_of
from tests.yoi_log.sample import make_log
from yoi_runtime.errors import CursorForeignError
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.reader import LogReader


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_log(tmp_path / "data")


def envelopes(data: Path) -> list[dict]:
    return [json.loads(line)["envelope"] for path in segments_of(data) for line in path.read_bytes().split(b"\n")[1:-1]]


def seqs(steps: Iterable[Step]) -> list[int]:
    return [step.seq for step in steps if isinstance(step, Found)]


def selected(data: Path, selection: Selection, tail: int | None = None) -> list[Step]:
    reader = LogReader(data / "log")
    try:
        return list(select(reader, selection) if tail is None else select_tail(reader, selection, tail))
    finally:
        reader.close()


def test_everything_comes_as_it_is(data: Path):
    lines = [line for path in segments_of(data) for line in path.read_bytes().split(b"\n")[1:-1]]
    steps = selected(data, Selection())
    assert [step.line for step in steps if isinstance(step, Found)] == lines
    assert all(isinstance(step, Found) and json.loads(step.payload) for step in steps)


def test_each_filter_gives_what_a_plain_look_at_the_lines_gives(data: Path):
    all_ = envelopes(data)
    middle = all_[40]
    for selection, expected in (
        (Selection(worker_ids=frozenset({"helper"})), [e for e in all_ if e["worker_id"] == "helper"]),
        (Selection(first_seq=30, last_seq=41), all_[29:41]),
        (Selection(after=decode_token(middle["cursor"])), all_[41:]),
        (Selection(before=decode_token(middle["cursor"])), all_[:41]),
        (Selection(since=middle["time"]), [e for e in all_ if e["time"] >= middle["time"]]),
        (Selection(until=middle["time"]), [e for e in all_ if e["time"] < middle["time"]]),
    ):
        assert seqs(selected(data, selection)) == [e["seq"] for e in expected], selection
        for count in (0, 1, 7, 1000):
            wanted = [e["seq"] for e in expected][-count or len(expected) :]
            assert seqs(selected(data, selection, tail=count)) == (wanted if count else []), (selection, count)


def test_segments_that_an_index_rules_out_are_not_read(data: Path):
    """A segment without the Worker is damaged: whoever reads it would tell."""
    index = next(
        path
        for path in sorted((data / "log").glob("*.index.json"))
        if "helper" not in json.loads(path.read_bytes())["tallies"]
    )
    segment = data / "log" / index.name.replace(".index.json", ".jsonl")
    content = bytearray(segment.read_bytes())
    content[-100] ^= 1
    segment.write_bytes(content)
    assert not [
        step for step in selected(data, Selection(worker_ids=frozenset({"helper"}))) if isinstance(step, Damage)
    ]
    assert [step for step in selected(data, Selection(worker_ids=frozenset({"coder"}))) if isinstance(step, Damage)]
    index.unlink()
    assert [step for step in selected(data, Selection(worker_ids=frozenset({"helper"}))) if isinstance(step, Damage)]


def test_damage_comes_along(data: Path):
    path = segments_of(data)[2]
    path.unlink()
    (damage,) = [step for step in selected(data, Selection()) if not isinstance(step, Found)]
    assert isinstance(damage, Damage)
    assert len(seqs(selected(data, Selection()))) == len(envelopes(data))
    first = segments_of(data)[0]
    first.write_bytes(b"x" + first.read_bytes())
    steps = selected(data, Selection())
    assert isinstance(steps[0], Unreadable)
    assert steps[0].file == first.name


def test_a_cursor_of_another_log_is_refused(data: Path, tmp_path: Path):
    other = envelopes(make_log(tmp_path / "other"))[0]
    with pytest.raises(CursorForeignError):
        selected(data, Selection(after=decode_token(other["cursor"])))


def test_following_shows_what_is_appended_and_ends_when_the_log_is_replaced(tmp_path: Path):
    data = tmp_path / "data"
    with Runtime.open(data, RuntimeOptions(segment_bytes=4096)) as runtime:
        worker = runtime.create_worker("coder")
        reader = LogReader(data / "log")
        start, texts, rounds = reader.end, list[str](), 0

        def wait() -> None:
            nonlocal rounds
            rounds += 1
            if rounds <= 30:
                runtime.wait_durable(worker.emit(TextDelta(text=f"piece {rounds}")))
            else:
                (data / "log" / "COMMITTED").rename(data / "log" / "gone")
                shutil.copyfile(data / "log" / "gone", data / "log" / "COMMITTED")

        for step in follow(reader, Selection(worker_ids=frozenset({"coder"})), start, wait):
            assert isinstance(step, Found)
            texts.append(json.loads(step.payload)["data"]["text"])
        reader.close()
    assert texts == [f"piece {number}" for number in range(1, 31)]


def test_following_ends_behind_the_last_seq_that_is_asked_for(data: Path):
    reader = LogReader(data / "log")
    assert list(follow(reader, Selection(last_seq=3), reader.end, lambda: pytest.fail("waited"))) == []
    reader.close()

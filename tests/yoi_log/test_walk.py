from __future__ import annotations

from pathlib import Path

import pytest
from yoi_log import walk as walking
from yoi_log.walk import Damage, Gone, walk

from tests.yoi_log.sample import make_log
from yoi_runtime.segment_log.reader import Chunk, LogReader


@pytest.fixture
def reader(tmp_path: Path):
    reader = LogReader(make_log(tmp_path / "data") / "log")
    yield reader
    reader.close()


def test_every_record_comes_once_in_order(reader: LogReader):
    everything = list(walk(reader, reader.floor(), reader.end))
    steps = [step for step in everything if isinstance(step, Chunk)]
    assert steps == everything
    assert len({step.start.segment for step in steps}) > 3
    assert sum(step.records for step in steps) == reader.end.seq
    assert [step.start.seq for step in steps[1:]] == [step.end.seq for step in steps[:-1]]


def test_the_walk_ends_within_a_chunk_when_its_end_does(reader: LogReader, monkeypatch: pytest.MonkeyPatch):
    first = reader.read(reader.floor(), 1)
    assert first is not None
    (step,) = walk(reader, reader.floor(), first.end)
    assert step == first


def test_damage_is_a_step_with_the_place_behind_it(reader: LogReader):
    segment = sorted(reader.directory.glob("*.jsonl"))[1]
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b"piece", b"peace", 2))
    steps = list(walk(reader, reader.floor(), reader.end))
    damages = [step for step in steps if isinstance(step, Damage)]
    assert [damage.records for damage in damages] == [2]
    assert damages[0].error.file == segment
    read = sum(step.records for step in steps if isinstance(step, Chunk))
    assert read + 2 == reader.end.seq


def test_segments_that_go_during_the_walk_are_a_step(reader: LogReader, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(walking, "CHUNK_BYTES", 1)
    steps = []
    for step in walk(reader, reader.floor(), reader.end):
        steps.append(step)
        if len(steps) == 3:
            for segment in sorted(reader.directory.glob("*.jsonl"))[:2]:
                segment.unlink()
            reader.relist()
    gone = [step for step in steps if isinstance(step, Gone)]
    assert len(gone) == 1
    assert gone[0].resume == reader.floor()
    assert gone[0].start.seq == 3

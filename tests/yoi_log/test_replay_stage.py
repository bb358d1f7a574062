from __future__ import annotations

from pathlib import Path

import pytest
from yoi_log.log_place import find_log
from yoi_log.recorded_events import Missing, RecordedEvent, opened, recorded_events
from yoi_log.replay_stage import Stage

from tests.yoi_log.sample import GOLDEN, RECORDINGS, make_log
from yoi_runtime.errors import CursorAheadError
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.reader import LogReader


@pytest.mark.parametrize(
    "data",
    [*sorted(RECORDINGS.iterdir()), *(GOLDEN / name for name in ("corrupt_middle", "torn_tail"))],
    ids=lambda path: path.name,
)
def test_event_by_event_the_stage_is_the_log_up_to_there(tmp_path: Path, data: Path):
    with opened(find_log(data)) as reader:
        stage = Stage(reader, tmp_path / "stage")
        staged = LogReader(tmp_path / "stage" / "log")
        events = [step for step in recorded_events(reader, lambda _: None) if isinstance(step, RecordedEvent)]
        for number, event in enumerate(events):
            stage.show(event.end)
            staged.refresh()
            assert staged.end == event.end
            # Not a byte more: a cursor of what is to come is ahead, not a place that a writer has yet to confirm.
            assert staged.segment_size(event.end.segment) == event.end.offset
            cursor = decode_token(event.line[38:101].decode())
            assert staged.resolve(cursor).seq == event.seq
            if number + 1 < len(events):
                later = decode_token(events[number + 1].line[38:101].decode())
                with pytest.raises(CursorAheadError):
                    staged.resolve(later)
        stage.show(reader.end, clean=reader.watermark.clean)
        staged.refresh()
        assert staged.watermark.clean == reader.watermark.clean
        shown = [step for step in recorded_events(staged, lambda _: None) if not isinstance(step, Missing)]
        assert [event.line for event in shown] == [event.line for event in events]
        staged.close()
        stage.strike()
    assert not (tmp_path / "stage").exists()


def test_a_step_over_many_segments_brings_all_of_them(tmp_path: Path):
    data = make_log(tmp_path / "data", events=200)
    with opened(find_log(data)) as reader:
        stage = Stage(reader, tmp_path / "stage")
        stage.show(reader.end, clean=True)
        names = [path.name for path in sorted((data / "log").glob("*.jsonl"))]
        assert len(names) > 5
        for name in names:
            assert (tmp_path / "stage" / "log" / name).read_bytes() == (data / "log" / name).read_bytes()
        stage.strike()


def test_the_recording_is_only_read(tmp_path: Path):
    data = make_log(tmp_path / "data")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.rglob("*") if path.is_file()}
    with opened(find_log(data)) as reader:
        stage = Stage(reader, tmp_path / "stage")
        stage.show(reader.end)
        stage.strike()
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.rglob("*") if path.is_file()} == before

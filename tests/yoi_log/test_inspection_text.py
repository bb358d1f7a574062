from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from yoi_log.inspection import SegmentFacts, inspect_log
from yoi_log.inspection_text import show_inspection
from yoi_log.log_place import find_log

from tests.yoi_log.sample import GOLDEN, make_log


def shown(directory: Path, segments: int | None = None) -> str:
    inspection = inspect_log(find_log(directory), read_records=True, progress=lambda _: None)
    if segments is not None:
        inspection.segments = [SegmentFacts(number, 10) for number in range(1, segments + 1)]
    console = Console(file=io.StringIO(), width=250, highlight=False)
    show_inspection(inspection, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_log_and_its_workers_are_shown(tmp_path: Path):
    text = shown(make_log(tmp_path / "data", events=200, retain_bytes=20_000))
    for words in (
        "coder",
        "ended, completed",
        "(Runtime)",
        "in good order",
        "rotated out",
        "at most 19.5 KiB",
        "active",
    ):
        assert words in text
    assert "damaged" not in text


def test_damage_is_shown_with_file_offset_and_seq():
    text = shown(GOLDEN / "corrupt_middle")
    assert "1 damaged place:" in text
    assert "00000000000000000001.jsonl offset 3482: seq 11 to 11: its checksum does not match" in text


def test_of_many_segments_the_middle_is_counted(tmp_path: Path):
    text = shown(make_log(tmp_path / "data"), segments=640)
    assert "620 more" in text
    assert text.count("10 B") == 20

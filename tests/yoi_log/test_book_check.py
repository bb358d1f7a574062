from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from yoi_log.log_place import find_log
from yoi_log.verification import verify_log

from tests.yoi_log.sample import GOLDEN, make_log
from yoi_runtime.catalog.place_file import place_path
from yoi_runtime.catalog.place_indexer import index_segment
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.record import seal_object
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.writer import SealedSegment


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_log(tmp_path / "data")


def rewritten(path: Path, old: str, new: str) -> None:
    """Change one of the engine's own lines, with a checksum that fits."""
    text = path.read_text("utf-8")
    assert old in text
    body = text.replace(old, new, 1)
    path.write_bytes(seal_object(body[: body.rindex(',"crc":')].encode() + b"}") + b"\n")


def found(data: Path) -> list[tuple[str, str | None]]:
    return [(defect.kind, defect.worker_id) for defect in verify_log(find_log(data)).defects]


def index_of(data: Path, number: int) -> Path:
    return data / "log" / f"{number:020d}.index.json"


def test_an_index_that_does_not_agree_is_wrong_and_one_that_is_missing_is_not(data: Path):
    tallies = json.loads(index_of(data, 2).read_text("utf-8"))["tallies"]
    rewritten(index_of(data, 2), f'"coder":[{tallies["coder"][0]},', f'"coder":[{tallies["coder"][0] + 1},')
    (defect,) = verify_log(find_log(data)).defects
    assert (defect.kind, defect.file) == ("index_wrong", index_of(data, 2).name)
    assert "coder" in defect.reason
    index_of(data, 2).unlink()
    assert found(data) == []


def test_the_index_of_another_segment_is_damaged(data: Path):
    shutil.copyfile(index_of(data, 1), index_of(data, 2))
    assert found(data) == [("index_damaged", None)]


def test_a_place_file_that_is_not_sound_is_told(data: Path):
    header = SegmentDirectory(data / "log", REAL_PLATFORM).header(2)
    size = (data / "log" / segment_name(2)).stat().st_size
    last_seq = SegmentDirectory(data / "log", REAL_PLATFORM).header(3).first_seq - 1
    sealed = SealedSegment(2, header.nonce, header.first_seq, last_seq, size, 0)
    assert index_segment(data / "log", sealed, REAL_PLATFORM)
    assert found(data) == []
    path = place_path(data / "log", 2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert found(data) == [("places_damaged", None)]


def test_a_catalog_that_does_not_agree_about_a_worker_is_wrong(data: Path):
    rewritten(data / "catalog.json", '"worker_seq":60', '"worker_seq":59')
    assert found(data) == [("catalog_wrong", "coder")]


def test_a_catalog_of_another_log_or_another_history_or_none(data: Path, tmp_path: Path):
    other = make_log(tmp_path / "other", events=10)
    catalog = data / "catalog.json"
    own = catalog.read_bytes()
    shutil.copyfile(other / "catalog.json", catalog)
    assert found(data) == [("catalog_wrong", None)]
    catalog.write_bytes(own)
    rewritten(catalog, '"as_of":{"segment":', '"as_of":{"segment":9')
    assert found(data) == [("catalog_wrong", None)]
    catalog.unlink()
    assert found(data) == [("catalog_missing", None)]


def test_segments_that_went_without_being_accounted_for_are_told(data: Path):
    for number in (1, 2):
        (data / "log" / f"{number:020d}.jsonl").unlink()
    (defect,) = [one for one in verify_log(find_log(data)).defects if one.kind == "catalog_wrong"]
    assert defect.first_seq == 1
    shutil.copytree(GOLDEN / "rotated_out", data.parent / "rotated")
    assert found(data.parent / "rotated") == []

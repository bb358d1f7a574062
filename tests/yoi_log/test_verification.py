from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from yoi_log.log_place import find_log
from yoi_log.verification import verify_log

from tests.codebase.tree import ROOT
from tests.yoi_log.damage import DAMAGES, segments_of
from tests.yoi_log.sample import GOLDEN, make_log
from yoi_runtime.errors import LogNotFoundError
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_log(tmp_path_factory.mktemp("log") / "data")


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return shutil.copytree(base, tmp_path / "copy")


def defects(data: Path):
    return verify_log(find_log(data)).defects


def test_sound_logs_have_no_defect(base: Path, tmp_path: Path):
    verification = verify_log(find_log(base))
    assert verification.sound
    assert verification.events == verification.end["seq"] > 70
    assert verification.indexes == verification.segments
    assert verification.catalog
    for name in ("clean", "rotated_out", "torn_tail"):
        assert defects(GOLDEN / name) == [], name
    assert defects(make_log(tmp_path / "rotated", events=200, retain_bytes=20_000)) == []


def test_a_damaged_record_is_told_with_its_place_and_seq():
    (defect,) = defects(GOLDEN / "corrupt_middle")
    assert (defect.kind, defect.first_seq, defect.last_seq) == ("record_damaged", 11, 11)
    line = (GOLDEN / "corrupt_middle" / "log" / defect.file).read_bytes()[defect.offset :].split(b"\n")[0]
    assert b'-b","seq":11,' in line


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_of_every_kind_is_found(base: Path, tmp_path: Path, name: str):
    found = Counter[str]()
    for seed in range(12):
        copy = shutil.copytree(base, tmp_path / str(seed))
        DAMAGES[name](copy, Random(f"{name}-{seed}"))
        kinds = {defect.kind for defect in defects(copy)}
        assert kinds, f"seed {seed}"
        found.update(kinds)


def test_every_single_flipped_byte_of_a_segment_is_found(copy: Path):
    path = segments_of(copy)[1]
    whole = path.read_bytes()
    tried = 0
    for at in range(0, len(whole), 29):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert defects(copy), f"byte {at}"
        tried += 1

    assert tried > 100


def test_a_log_in_use_is_verified_up_to_its_watermark(tmp_path: Path):
    data = tmp_path / "data"
    with Runtime.open(data, RuntimeOptions(segment_bytes=4096)) as runtime:
        worker = runtime.create_worker("coder")
        for number in range(50):
            cursor = worker.emit(TextDelta(text=f"piece {number}"))
        runtime.wait_durable(cursor)
        verification = verify_log(find_log(data))
        assert verification.defects == []
        assert verification.events >= 50
        before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
        verify_log(find_log(data))
        assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_without_a_watermark_the_segments_are_read_by_themselves(copy: Path):
    whole = verify_log(find_log(copy))
    (copy / "log" / "COMMITTED").unlink()
    verification = verify_log(find_log(copy))
    assert verification.went_by == "segments"
    assert [defect.kind for defect in verification.defects] == ["watermark_damaged"]
    assert (verification.events, verification.end, verification.log_id) == (whole.events, whole.end, whole.log_id)


def test_a_damaged_header_costs_no_record(copy: Path):
    path = segments_of(copy)[2]
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2', 1))
    verification = verify_log(find_log(copy))
    assert [(defect.kind, defect.file, defect.offset) for defect in verification.defects] == [
        ("header_damaged", path.name, 0)
    ]
    assert verification.events == verification.end["seq"]


def test_only_segments_without_a_catalog_can_be_verified(copy: Path):
    shutil.move(copy / "log", copy.parent / "alone")
    verification = verify_log(find_log(copy.parent / "alone"))
    assert (verification.defects, verification.catalog) == ([], False)


def test_a_directory_without_segments_is_no_log(copy: Path):
    for path in segments_of(copy):
        path.unlink()
    with pytest.raises(LogNotFoundError):
        defects(copy)


def test_every_kind_of_defect_is_in_the_manual():
    from typing import get_args

    from yoi_log.defect import DefectKind

    manual = (ROOT / "docs" / "tools.md").read_text("utf-8")
    assert [kind for kind in get_args(DefectKind) if f"`{kind}`" not in manual] == []

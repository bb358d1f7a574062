"""yoi_runtime.catalog.segment_index: an index is read back whole, or not at all."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from tests.faults.failing_files import FailingFiles
from yoi_runtime.catalog.segment_index import index_path, read_index, remove_orphans, write_index
from yoi_runtime.catalog.worker_state import Tally
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform
from yoi_runtime.segment_log.record import check_crc, seal_object

TALLIES = {"": Tally(1, 1, 0, "t1", "t1"), "coder": Tally(4, 9, 4, "t2", "t9")}
NONCE = 0xFEDCBA9876543210


def written(directory: Path) -> Path:
    write_index(directory, 7, NONCE, TALLIES, REAL_PLATFORM)
    return index_path(directory, 7)


def test_an_index_comes_back_as_it_was_written(tmp_path: Path):
    path = written(tmp_path)
    assert path.name == "00000000000000000007.index.json"
    assert read_index(tmp_path, 7, NONCE, REAL_PLATFORM) == TALLIES


def test_it_is_one_line_of_json_with_a_checksum(tmp_path: Path):
    line = written(tmp_path).read_bytes()
    assert line.count(b"\n") == 1
    assert check_crc(line[:-1])
    fields = json.loads(line)
    assert list(fields) == ["kind", "format", "segment", "nonce", "tallies", "crc"]
    assert (fields["kind"], fields["format"], fields["segment"]) == ("segment_index", 1, 7)
    assert fields["nonce"] == "fedcba9876543210"
    assert fields["tallies"]["coder"] == [4, 9, 4, "t2", "t9"]


def test_an_index_without_tallies_is_one(tmp_path: Path):
    write_index(tmp_path, 7, NONCE, {}, REAL_PLATFORM)
    assert read_index(tmp_path, 7, NONCE, REAL_PLATFORM) == {}


def test_none_is_none(tmp_path: Path):
    assert read_index(tmp_path, 7, NONCE, REAL_PLATFORM) is None


def test_an_index_of_another_segment_is_none(tmp_path: Path):
    path = written(tmp_path)
    assert read_index(tmp_path, 7, NONCE + 1, REAL_PLATFORM) is None
    path.rename(index_path(tmp_path, 8))
    assert read_index(tmp_path, 8, NONCE, REAL_PLATFORM) is None


def test_an_index_with_any_bit_flipped_or_cut_anywhere_is_none(tmp_path: Path):
    path = written(tmp_path)
    good = path.read_bytes()
    for place in range(len(good) - 1):
        path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        assert read_index(tmp_path, 7, NONCE, REAL_PLATFORM) is None, place
        path.write_bytes(good[:place])
        assert read_index(tmp_path, 7, NONCE, REAL_PLATFORM) is None, place


@pytest.mark.parametrize(
    "change",
    [{"format": 2}, {"kind": "catalog"}, {"segment": "7"}, {"tallies": []}, {"tallies": {"w": [1]}}, {"nonce": None}],
    ids=str,
)
def test_an_index_of_another_shape_is_none(tmp_path: Path, change: dict[str, object]):
    path = written(tmp_path)
    fields = json.loads(path.read_bytes())
    del fields["crc"]
    path.write_bytes(seal_object(json.dumps(fields | change).encode()) + b"\n")
    assert read_index(tmp_path, 7, NONCE, REAL_PLATFORM) is None


@pytest.mark.parametrize("line", [b"[]", b"null", b'"x"', b""], ids=str)
def test_what_is_no_object_is_none(tmp_path: Path, line: bytes):
    index_path(tmp_path, 7).write_bytes(line + b"\n")
    assert read_index(tmp_path, 7, NONCE, REAL_PLATFORM) is None


def test_members_of_a_newer_version_are_passed_over(tmp_path: Path):
    path = written(tmp_path)
    fields = json.loads(path.read_bytes())
    del fields["crc"]
    path.write_bytes(seal_object(json.dumps(fields | {"first_time": "t1"}).encode()) + b"\n")
    assert read_index(tmp_path, 7, NONCE, REAL_PLATFORM) == TALLIES


def test_a_disk_that_cannot_be_read_is_another_thing_than_no_index(tmp_path: Path):
    written(tmp_path)
    files = FailingFiles()
    files.fail(errno.EIO, "pread")
    with pytest.raises(OSError, match="Input/output"):
        read_index(tmp_path, 7, NONCE, Platform(files=files))
    assert files.open_files == []


def test_indexes_whose_segments_are_gone_are_removed_and_nothing_else(tmp_path: Path):
    for segment in (1, 2, 3, 4):
        write_index(tmp_path, segment, NONCE, TALLIES, REAL_PLATFORM)
    for name in ("notes.index.json", "7.index.json", "COMMITTED", "00000000000000000009.jsonl"):
        (tmp_path / name).touch()
    files = FailingFiles()
    files.fail(errno.EACCES, "unlink", name="00000000000000000001.index.json")
    remove_orphans(tmp_path, [3, 4], Platform(files=files))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "00000000000000000001.index.json",
        "00000000000000000003.index.json",
        "00000000000000000004.index.json",
        "00000000000000000009.jsonl",
        "7.index.json",
        "COMMITTED",
        "notes.index.json",
    ]

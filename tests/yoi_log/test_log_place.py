from __future__ import annotations

from pathlib import Path

import pytest
from yoi_log.log_place import LogPlace, find_log

from tests.yoi_log.sample import make_log
from yoi_runtime.errors import LogNotFoundError


def test_the_data_directory_and_the_log_in_it_are_the_same_log(tmp_path: Path):
    data = make_log(tmp_path / "data")
    assert find_log(data) == find_log(data / "log") == LogPlace(data / "log", data)


def test_segments_without_a_catalog_are_a_log_too(tmp_path: Path):
    data = make_log(tmp_path / "data")
    (data / "log").rename(tmp_path / "segments")
    (tmp_path / "segments" / "COMMITTED").unlink()
    assert find_log(tmp_path / "segments") == LogPlace(tmp_path / "segments", None)


@pytest.mark.parametrize("name", ["missing", "empty", "file"])
def test_where_no_log_is_that_is_said(tmp_path: Path, name: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(LogNotFoundError, match="no log here"):
        find_log(tmp_path / name)

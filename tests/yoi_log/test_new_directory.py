from __future__ import annotations

from pathlib import Path

import pytest
from yoi_log.new_directory import DirectoryExistsError, new_directory, writer_kept_out

from tests.yoi_log.sample import make_log
from yoi_runtime.errors import LogHeldError
from yoi_runtime.runtime.runtime import Runtime


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_it_appears_whole(tmp_path: Path):
    with new_directory(tmp_path / "new") as aside:
        (aside / "log").mkdir()
        (aside / "log" / "file").write_text("x")
        assert not (tmp_path / "new").exists()
    assert names(tmp_path) == {"new"}
    assert (tmp_path / "new" / "log" / "file").read_text() == "x"


def test_or_not_at_all(tmp_path: Path):
    def fail_midway() -> None:
        with new_directory(tmp_path / "new") as aside:
            (aside / "file").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        fail_midway()
    assert names(tmp_path) == set()


def test_what_exists_is_left_alone(tmp_path: Path):
    (tmp_path / "new").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("new", "link"):
        with pytest.raises(DirectoryExistsError, match="is there already"), new_directory(tmp_path / name):
            pass
    assert names(tmp_path) == {"new", "link"}


def test_a_name_taken_meanwhile_is_left_alone(tmp_path: Path):
    with pytest.raises(DirectoryExistsError), new_directory(tmp_path / "new"):
        (tmp_path / "new").mkdir()
    assert names(tmp_path) == {"new"}


def test_a_log_that_a_writer_holds_is_refused_by_its_pid(tmp_path: Path):
    import os

    with Runtime.open(tmp_path / "data"), pytest.raises(LogHeldError) as refused:  # noqa: SIM117  the first stays open
        with writer_kept_out(tmp_path / "data" / "log"):
            pass
    assert refused.value.pid == os.getpid()


def test_no_writer_gets_the_log_meanwhile_and_nothing_is_written(tmp_path: Path):
    data = make_log(tmp_path / "data")
    before = (data / "log" / "LOCK").read_bytes()
    with writer_kept_out(data / "log"), pytest.raises(LogHeldError):
        Runtime.open(data)
    assert (data / "log" / "LOCK").read_bytes() == before
    with Runtime.open(data):
        pass


def test_a_log_copied_without_its_lock_is_nobody_s(tmp_path: Path):
    data = make_log(tmp_path / "data")
    (data / "log" / "LOCK").unlink()
    with writer_kept_out(data / "log"):
        assert not (data / "log" / "LOCK").exists()

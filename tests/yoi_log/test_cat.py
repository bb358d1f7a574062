from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from yoi_log.cat import CatRequest, CatWords, cat_log
from yoi_log.cat_output import make_cat_output
from yoi_log.log_place import find_log
from yoi_log.selection import Selection, SelectionError

from tests.yoi_log.sample import GOLDEN, make_log, yoi_log
from yoi_runtime.errors import CursorMalformedError


def shown(data: Path, request: CatRequest) -> tuple[list[dict], bool, list[str]]:
    stdout, told = io.TextIOWrapper(io.BytesIO(), "utf-8"), list[str]()
    damage = cat_log(find_log(data), request, make_cat_output("frames", stdout), told.append)
    assert isinstance(stdout.buffer, io.BytesIO)
    return [json.loads(line) for line in stdout.buffer.getvalue().split(b"\n")[:-1]], damage, told


def test_a_limit_ends_the_reading(tmp_path: Path):
    frames, damage, told = shown(make_log(tmp_path / "data"), CatRequest(Selection(), limit=3))
    assert [frame["envelope"]["seq"] for frame in frames] == [1, 2, 3]
    assert (damage, told) == (False, [])


def test_damage_is_told_between_what_surrounds_it(tmp_path: Path):
    frames, damage, told = shown(GOLDEN / "corrupt_middle", CatRequest(Selection()))
    assert damage
    assert 11 not in [frame["envelope"]["seq"] for frame in frames]
    (sentence,) = told
    assert "offset 3482: seq 11 cannot be read: its checksum does not match" in sentence


def test_words_become_a_selection():
    selection = CatWords(["a"], ["status"], since="2h", seqs="3-5", grep="x|y").selection()
    assert (selection.worker_ids, selection.event_names) == (frozenset("a"), frozenset({"status"}))
    assert (selection.first_seq, selection.last_seq) == (3, 5)
    for words in (CatWords([], [], grep="("), CatWords([], [], since="soon"), CatWords([], [], seqs="x")):
        with pytest.raises(SelectionError):
            words.selection()
    with pytest.raises(CursorMalformedError):
        CatWords([], [], after="wo1").selection()


def test_as_a_program_damage_is_on_stderr_and_in_the_exit_code(tmp_path: Path):
    data = shutil.copytree(GOLDEN / "corrupt_middle", tmp_path / "data")
    result = yoi_log("cat", data, "--format", "payloads")
    assert result.returncode == 1
    assert result.stderr.count("cannot be read") == 1
    assert all(json.loads(line)["event"] for line in result.stdout.split("\n")[:-1])
    foreign = json.loads(yoi_log("cat", GOLDEN / "clean", "--limit", "1").stdout)["envelope"]["cursor"]
    result = yoi_log("cat", make_log(tmp_path / "other"), "--after", foreign)
    assert (result.returncode, result.stdout) == (1, "")
    assert "log" in result.stderr


def test_where_no_segment_can_be_read_nothing_is_not_all_there_is(tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(GOLDEN / "corrupt_middle", data)
    for segment in (data / "log").glob("*.jsonl"):
        segment.write_bytes(segment.read_bytes().replace(b'"format":1', b'"format":7', 1))
    result = yoi_log("cat", data)
    assert (result.returncode, result.stdout) == (3, "")
    assert "no readable segment" in result.stderr
    assert yoi_log("cat", data, "--tail", "1").returncode == 3


@pytest.mark.parametrize(
    "wrong",
    [["--since", "soon"], ["--grep", "("], ["--after", "wo1"], ["--format", "markdown", "--follow"], ["--seq", "x"]],
)
def test_a_filter_that_cannot_be_read_is_wrong_usage(wrong: list[str]):
    result = yoi_log("cat", GOLDEN / "clean", *wrong)
    assert (result.returncode, result.stdout) == (2, "")

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.yoi_log.sample import GOLDEN, make_log, yoi_log
from yoi_runtime.version import VERSION


def test_a_sound_log_exits_with_0_and_a_damaged_one_with_1(tmp_path: Path):
    result = yoi_log("inspect", make_log(tmp_path / "data"))
    assert (result.returncode, result.stderr) == (0, "")
    assert "coder" in result.stdout
    assert yoi_log("inspect", GOLDEN / "corrupt_middle").returncode == 1


def test_json_is_one_object_with_every_fact(tmp_path: Path):
    data = make_log(tmp_path / "data")
    result = yoi_log("inspect", "--json", data)
    found = json.loads(result.stdout)
    assert found["events"] == found["end"]["seq"]
    assert [worker["worker_id"] for worker in found["workers"]] == ["coder", "helper", ""]
    token = found["latest_cursor"]
    answer = json.loads(yoi_log("cursor", token, "--dir", data, "--json").stdout)
    assert (answer["answer"], answer["events_behind"]) == ("resumes", 0)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["inspect", "nowhere"], 3, "yoi-log: nowhere: no log here"),
        (["cursor", "wo1"], 2, "not a cursor token"),
        (["inspect"], 2, "Missing argument"),
        (["inspekt", "x"], 2, "No such command"),
    ],
)
def test_what_cannot_be_done_is_said_on_stderr(arguments: list[str], code: int, words: str):
    result = yoi_log(*arguments)
    assert result.returncode == code
    assert words in result.stderr
    assert result.stdout == ""


def test_a_foreign_cursor_exits_with_1(tmp_path: Path):
    one, other = make_log(tmp_path / "one"), make_log(tmp_path / "other")
    token = json.loads(yoi_log("inspect", "--json", one).stdout)["latest_cursor"]
    result = yoi_log("cursor", token, "--dir", other)
    assert result.returncode == 1
    assert "foreign" in result.stdout


def test_the_version_is_that_of_the_distribution():
    assert yoi_log("--version").stdout == f"yoi-log {VERSION}\n"

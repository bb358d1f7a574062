from __future__ import annotations

from pathlib import Path

import pytest

from yoi_runtime.cli.data_dir import choose_data_dir

HOME = Path("/home/me")


@pytest.mark.parametrize(
    ("given", "environment", "chosen"),
    [
        (Path("/given"), {"YOI_DATA_DIR": "/named", "XDG_DATA_HOME": "/xdg"}, "/given"),
        (None, {"YOI_DATA_DIR": "/named", "XDG_DATA_HOME": "/xdg"}, "/named"),
        (None, {"XDG_DATA_HOME": "/xdg"}, "/xdg/yoi-runtime"),
        (None, {}, "/home/me/.local/share/yoi-runtime"),
        # Set to nothing is not set; a relative XDG path is invalid, says the specification.
        (None, {"YOI_DATA_DIR": "", "XDG_DATA_HOME": ""}, "/home/me/.local/share/yoi-runtime"),
        (None, {"XDG_DATA_HOME": "relative"}, "/home/me/.local/share/yoi-runtime"),
    ],
)
def test_the_first_that_is_said_wins(given: Path | None, environment: dict[str, str], chosen: str):
    assert choose_data_dir(given, environment, HOME) == Path(chosen)


def test_a_relative_directory_is_that_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert choose_data_dir(Path("data"), {}, HOME) == tmp_path / "data"
    assert choose_data_dir(None, {"YOI_DATA_DIR": "data"}, HOME) == tmp_path / "data"


def test_nothing_is_made(tmp_path: Path):
    choose_data_dir(tmp_path / "data", {}, tmp_path)
    assert list(tmp_path.iterdir()) == []

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from yoi_runtime.cli.door_argument import door_argument
from yoi_runtime.cli.server_process import main
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.limits import Limits

DOOR = door_argument(ServerAccess(), Limits())
LOG = ("text", "warning")


@pytest.fixture(autouse=True)
def _log_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the handler that ``main`` puts up go again: the root logger is everybody's."""
    monkeypatch.setattr(logging.getLogger(), "handlers", logging.getLogger().handlers[:])


def test_without_a_log_it_says_so_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "none"), "127.0.0.1", "0", "1048576", "no", DOOR, *LOG, "", "1"]) == 1
    assert "no log here" in capsys.readouterr().err


def test_a_descriptor_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path), "127.0.0.1", "0", "1048576", "yes", DOOR, *LOG, "", "1", "9999"]) == 1
    assert "Bad file descriptor" in capsys.readouterr().err

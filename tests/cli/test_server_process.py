from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from pathlib import Path

import pytest

from yoi_runtime.cli import operator_log
from yoi_runtime.cli.operator_log import LogFormat
from yoi_runtime.cli.options import Address
from yoi_runtime.cli.server_orders import ServerOrders
from yoi_runtime.cli.server_process import main
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.limits import Limits

LOOPBACK = Address("127.0.0.1", 0)


def orders(data_dir: Path, *listening: int, form: LogFormat = LogFormat.TEXT, tokens: Path | None = None) -> str:
    access = ServerAccess(token_file=tokens)
    return ServerOrders(data_dir, LOOPBACK, listening, 1, 1 << 20, False, access, Limits(), form, "warning").argument()


@pytest.fixture(autouse=True)
def _log_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the handler that ``main`` puts up go again: the root logger is everybody's, and so are the hooks."""
    monkeypatch.setattr(logging.getLogger(), "handlers", logging.getLogger().handlers[:])
    monkeypatch.setattr(operator_log, "_installed", [])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(logging, "captureWarnings", lambda _: None)


def test_without_a_log_it_says_so_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(orders(tmp_path / "none")) == 1
    assert "no log here" in capsys.readouterr().err


def test_a_descriptor_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(orders(tmp_path, 9999)) == 1
    assert "Bad file descriptor" in capsys.readouterr().err


def test_where_it_logs_json_no_path_of_ours_is_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    Runtime.open(tmp_path / "data").close()
    tokens = tmp_path / "tokens.json"
    with socket.create_server(LOOPBACK) as listener:
        assert main(orders(tmp_path / "data", listener.detach(), form=LogFormat.JSON, tokens=tokens)) == 1
    told = json.loads(capsys.readouterr().err)
    assert told["event"] == "command_failed"
    assert told["message"].startswith("TOKEN_FILE: ")

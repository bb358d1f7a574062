from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from yoi_runtime.cli.server_file import (
    SERVER_FILE,
    ServerInfo,
    find_server,
    process_is_alive,
    read_server_file,
    remove_server_file,
    write_server_file,
)
from yoi_runtime.errors import StreamError

INFO = ServerInfo("http://127.0.0.1:38800", os.getpid(), "00112233445566aa")


def ended_pid() -> int:
    """Return the id of a process that has just ended and was reaped."""
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    process.wait()
    return process.pid


def test_what_was_written_is_read_and_nothing_else_lies_about(tmp_path: Path):
    write_server_file(tmp_path, ServerInfo("http://127.0.0.1:1", 1, "old"))
    write_server_file(tmp_path, INFO)
    assert read_server_file(tmp_path) == INFO
    assert [path.name for path in tmp_path.iterdir()] == [SERVER_FILE]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path):
    (tmp_path / SERVER_FILE).mkdir()
    with pytest.raises(OSError):
        write_server_file(tmp_path, INFO)
    assert [path.name for path in tmp_path.iterdir()] == [SERVER_FILE]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"url": "http://x", "pid": 1}',
        '{"url": "http://x", "pid": "1", "log_id": "a"}',
        '{"url": "http://x", "pid": true, "log_id": "a"}',
        '{"url": "http://x", "pid": 0, "log_id": "a"}',
        '{"url": 1, "pid": 1, "log_id": "a"}',
    ],
)
def test_what_is_no_server_file_is_taken_for_none(tmp_path: Path, text: str):
    (tmp_path / SERVER_FILE).write_text(text, "utf-8")
    assert read_server_file(tmp_path) is None


def test_a_field_of_a_later_version_is_passed_over(tmp_path: Path):
    (tmp_path / SERVER_FILE).write_text('{"url": "http://x", "pid": 5, "log_id": "a", "more": 1}', "utf-8")
    assert read_server_file(tmp_path) == ServerInfo("http://x", 5, "a")


def test_only_the_own_file_is_removed(tmp_path: Path):
    write_server_file(tmp_path, INFO)
    remove_server_file(tmp_path, INFO.pid + 1)
    assert read_server_file(tmp_path) == INFO
    remove_server_file(tmp_path, INFO.pid)
    assert list(tmp_path.iterdir()) == []
    remove_server_file(tmp_path, INFO.pid)


def test_a_process_is_alive_until_it_has_ended():
    assert process_is_alive(os.getpid())
    assert process_is_alive(1)  # somebody else's
    assert not process_is_alive(ended_pid())
    assert not process_is_alive(2**70)


def test_the_server_of_a_directory_is_found(tmp_path: Path):
    write_server_file(tmp_path, INFO)
    assert find_server(tmp_path) == INFO.url


def test_a_directory_nobody_serves_is_told_apart_from_one_whose_process_died(tmp_path: Path):
    with pytest.raises(StreamError, match=r"no Runtime serves .*yoi-runtime serve"):
        find_server(tmp_path)
    pid = ended_pid()
    write_server_file(tmp_path, ServerInfo(INFO.url, pid, INFO.log_id))
    with pytest.raises(StreamError, match=rf"process {pid}.* no longer runs"):
        find_server(tmp_path)

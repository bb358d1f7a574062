from __future__ import annotations

import os
import termios

import pytest

from tests.workers.real_children import open_descriptors
from yoi_runtime.workers.terminal import TerminalOptions, open_terminal, take_terminal, terminal_environment


def test_a_terminal_has_its_size_and_passes_on_what_the_child_writes():
    ours, childs = open_terminal(TerminalOptions(columns=133, rows=7))
    try:
        assert termios.tcgetwinsize(childs) == (7, 133)
        assert os.isatty(childs)
        assert not os.get_inheritable(ours)
        assert not os.get_inheritable(childs)
        os.write(childs, b"hi\n")
        assert os.read(ours, 100) == b"hi\r\n"
    finally:
        os.close(ours)
        os.close(childs)


def test_when_it_cannot_be_sized_nothing_stays_open(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_):
        raise OSError(5, "no")

    monkeypatch.setattr("yoi_runtime.workers.terminal.fcntl.ioctl", refuse)
    before = open_descriptors()
    with pytest.raises(OSError):
        open_terminal(TerminalOptions())
    assert open_descriptors() == before


@pytest.mark.parametrize(("columns", "rows"), [(0, 10), (10, 0), (10_001, 10), (10, 10_001)])
def test_a_window_that_no_program_expects_is_refused(columns: int, rows: int):
    with pytest.raises(ValueError, match="1 to 10000"):
        TerminalOptions(columns, rows)


def test_the_terminal_is_taken_after_what_else_the_child_has_to_do(monkeypatch: pytest.MonkeyPatch):
    done: list[object] = []
    monkeypatch.setattr("yoi_runtime.workers.terminal.fcntl.ioctl", lambda *arguments: done.append(arguments))
    take_terminal(lambda: done.append("first"))()
    take_terminal(None)()
    assert done == ["first", (0, termios.TIOCSCTTY, 0), (0, termios.TIOCSCTTY, 0)]


def test_the_environment_speaks_of_this_terminal_unless_the_worker_has_its_own_words():
    inherited = {"TERM": "dumb", "COLUMNS": "5", "LINES": "2", "PATH": "/bin"}
    assert terminal_environment(inherited, {}) == {"TERM": "xterm-256color", "PATH": "/bin"}
    assert terminal_environment(inherited, {"TERM": "vt100", "LINES": "9"}) == {
        "TERM": "vt100",
        "LINES": "9",
        "PATH": "/bin",
    }

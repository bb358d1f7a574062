from __future__ import annotations

import dataclasses

import pytest
from yoi_log.pace import FLAT_OUT
from yoi_log.replay_keys import keys_in, on_keys, status_line
from yoi_log.replay_server import ReplayStatus


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b" ", ["space"]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1bOC", ["right"]),
        (b"x \x1b[D\x1b", ["space", "left"]),
        (b"\x1b[5~", []),
    ],
)
def test_keys_are_read_and_others_passed_over(data: bytes, keys: list[str]):
    assert keys_in(data) == keys


def test_the_line_says_where_it_is():
    status = ReplayStatus("", "ab", "playing", 0, 75_000_000, 3_700_000_000, 2.0, 42, 3, 1)
    assert status_line(status) == "▶ 01:15 / 1:01:40  2x  seq 42  3 connected"
    later = dataclasses.replace(status, state="paused", speed=FLAT_OUT, turn=2)
    assert status_line(later) == "⏸ 01:15 / 1:01:40  max  seq 42  3 connected  turn 2"


async def test_without_a_terminal_there_are_no_keys(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with on_keys(lambda _: None) as terminal:
        assert not terminal

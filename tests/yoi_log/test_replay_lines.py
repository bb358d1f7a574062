from __future__ import annotations

import io
from pathlib import Path

import pytest
from yoi_log.log_place import find_log
from yoi_log.pace import FLAT_OUT, Pace
from yoi_log.recorded_events import Missing
from yoi_log.replay_lines import play_lines

from tests.yoi_log.sample import GOLDEN, RECORDINGS
from tests.yoi_log.story import Story
from yoi_runtime.events import TextDelta


def lines_of(data: Path) -> bytes:
    paths = sorted((data / "log").glob("*.jsonl"))
    return b"".join(path.read_bytes().partition(b"\n")[2] for path in paths)


class Player:
    """Plays with a clock that only waiting moves."""

    def __init__(self, data: Path, speed: float) -> None:
        self.seconds = 0.0
        self.waits: list[tuple[float, int]] = []
        self.missing: list[Missing] = []
        self.output = io.BytesIO()
        self.lost = play_lines(
            find_log(data),
            Pace(speed, lambda: self.seconds),
            self.output,
            wait=self._wait,
            on_missing=self.missing.append,
            progress=lambda _: None,
        )

    def _wait(self, seconds: float) -> None:
        self.seconds += seconds
        self.waits.append((round(seconds, 6), self.output.getvalue().count(b"\n")))


@pytest.mark.parametrize("name", ["agents", "build", "restarts"])
def test_every_byte_of_every_record_comes_again(name: str):
    player = Player(RECORDINGS / name, FLAT_OUT)
    assert player.output.getvalue() == lines_of(RECORDINGS / name)
    assert (player.lost, player.waits) == (0, [])


def test_events_come_when_they_are_due(tmp_path: Path):
    story = Story(tmp_path).say(4.0, TextDelta(text="a"), TextDelta(text="b"), 2.0, TextDelta(text="c"))
    player = Player(story.close(), 2.0)
    # After start, creation, start of the Worker: 3 lines; then a and b: 5.
    assert player.waits == [(2.0, 3), (1.0, 5)]


def test_what_is_missing_is_told_where_it_is_missing():
    player = Player(GOLDEN / "corrupt_middle", FLAT_OUT)
    assert (player.lost, [one.first_seq for one in player.missing]) == (1, [11])
    assert b'"seq":11,' not in player.output.getvalue()

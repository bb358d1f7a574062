"""Nothing of an author comes after its end, whoever appends and ends at the same time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.event_log.sample_event_log import BIG, fill, filling, open_event_log, run_threads
from tests.event_log.written_events import check_numbers, envelopes_in, events_of
from yoi_runtime.errors import LogFullError, WorkerEndedError
from yoi_runtime.event_log.author import Author
from yoi_runtime.events import TextDelta, WorkerEnded

ENDED = WorkerEnded(worker_id="a", outcome="completed")


def test_an_author_that_has_ended_appends_nothing_more(tmp_path: Path):
    log = open_event_log(tmp_path / "log")
    author = Author("a")
    log.append(TextDelta(text="x"), "a", author)
    assert log.end(author, ENDED)
    assert author.ended
    for call in (log.append, log.offer):
        with pytest.raises(WorkerEndedError):
            call(TextDelta(text="late"), "a", author)
    assert not log.end(author, ENDED), "once"
    log.append(TextDelta(text="again"), "a", Author("a"))
    log.close()
    found = envelopes_in(tmp_path / "log")
    check_numbers(found)
    assert events_of(found, "a") == [TextDelta(text="x"), TextDelta(text="again")]
    assert events_of(found, None) == [ENDED]


def test_an_end_that_the_disk_refuses_is_no_end(tmp_path: Path):
    files, platform = filling()
    log = open_event_log(tmp_path / "log", options=BIG, platform=platform)
    author = Author("a")
    fill(files)
    with pytest.raises(LogFullError):
        log.end(author, ENDED)
    assert not author.ended
    files.heal()
    log.append(TextDelta(text="x"), "a", author)
    assert log.end(author, ENDED)
    log.close()
    assert events_of(envelopes_in(tmp_path / "log"), None) == [ENDED]


def test_of_several_threads_one_ends_and_none_appends_after_it(tmp_path: Path):
    refused = sum(_append_and_end_at_once(tmp_path / str(number)) for number in range(50))
    print(f"{refused} appends came too late")  # noqa: T201 - what was exercised
    assert refused > 10


def _append_and_end_at_once(directory: Path) -> int:
    """Let two threads append, one append and end, and one append once and end; return how often it was too late."""
    log, author, together = open_event_log(directory, options=BIG), Author("a"), threading.Barrier(4)
    ends: list[bool] = []
    refused: list[int] = []

    def work(thread: int) -> None:
        together.wait()
        try:
            for _ in range(1 if thread == 0 else 20):
                log.append(TextDelta(text=str(thread)), "a", author)
        except WorkerEndedError:
            refused.append(thread)
        if thread < 2:
            ends.append(log.end(author, ENDED))

    run_threads(4, work)
    log.close()
    assert sorted(ends) == [False, True]
    found = envelopes_in(directory)
    check_numbers(found)
    assert found[-1].payload == ENDED
    return len(refused)

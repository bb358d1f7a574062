"""The bell: one per directory, heard by everybody, stopped by nobody."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from yoi_runtime.segment_log.doorbell import Doorbell, doorbell_of
from yoi_runtime.segment_log.options import LogOptions
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.writer import LogWriter


def test_everybody_who_listens_hears_each_ring():
    bell = Doorbell()
    heard: list[str] = []
    bell.listen(lambda: heard.append("a"))
    stop = bell.listen(lambda: heard.append("b"))
    bell.ring()
    stop()
    stop()
    bell.ring()
    assert heard == ["a", "b", "a"]


def test_the_same_listener_may_listen_twice_and_stops_as_a_whole():
    bell = Doorbell()
    heard: list[str] = []

    def listener() -> None:
        heard.append("x")

    bell.listen(listener)
    stop = bell.listen(listener)
    bell.ring()
    stop()
    bell.ring()
    assert heard == ["x", "x"]


def test_a_listener_may_stop_itself_while_the_bell_rings():
    bell = Doorbell()
    heard: list[str] = []
    stops: list[Callable[[], None]] = []

    def once() -> None:
        heard.append("once")
        stops[0]()

    stops.append(bell.listen(once))
    bell.listen(lambda: heard.append("always"))
    bell.ring()
    bell.ring()
    assert heard == ["once", "always", "always"]


def test_a_directory_has_one_bell_by_whatever_path(tmp_path: Path):
    (tmp_path / "log").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "log")
    bell = doorbell_of(tmp_path / "log")
    assert doorbell_of(tmp_path / "x" / ".." / "log") is bell
    assert doorbell_of(tmp_path / "link") is bell
    assert doorbell_of(tmp_path / "other") is not bell


def test_a_listener_whose_event_loop_is_closed_does_not_silence_the_others():
    bell = Doorbell()
    loop = asyncio.new_event_loop()
    heard: list[str] = []

    def wake_the_loop() -> None:
        loop.call_soon_threadsafe(heard.append, "loop")

    bell.listen(wake_the_loop)
    bell.listen(lambda: heard.append("thread"))
    loop.close()
    bell.ring()
    bell.ring()
    assert heard == ["thread", "thread"]


def test_listeners_come_and_go_from_many_threads_and_none_is_lost():
    bell = Doorbell()
    counts = [0] * 8
    go = threading.Barrier(9)

    def come_and_go(index: int) -> None:
        def count() -> None:
            counts[index] += 1

        go.wait()
        for _ in range(200):
            bell.listen(lambda: None)()
        bell.listen(count)

    threads = [threading.Thread(target=come_and_go, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    go.wait()
    for _ in range(200):
        bell.ring()
    for thread in threads:
        thread.join()
    before = list(counts)
    bell.ring()
    assert counts == [count + 1 for count in before]


def test_a_log_that_is_open_for_writing_here_has_a_ringer_until_it_is_closed(tmp_path: Path):
    bell = doorbell_of(tmp_path / "log")
    assert not bell.has_ringer
    heard: list[bool] = []
    with contextlib.closing(LogWriter.open(tmp_path / "log")):
        assert bell.has_ringer
        bell.listen(lambda: heard.append(bell.has_ringer))
    assert not bell.has_ringer
    assert heard[-1] is False, "who relied on the bell is told that there is none any more"


def test_a_writer_that_commits_by_hand_promises_no_ring(tmp_path: Path):
    writer = LogWriter(tmp_path / "log", LogOptions(), REAL_PLATFORM, background=False)
    assert not doorbell_of(tmp_path / "log").has_ringer
    writer.close()


def test_a_forked_child_has_neither_the_ringer_nor_the_listeners():
    bell, heard = Doorbell(), list[int]()
    bell.attach()
    bell.listen(lambda: heard.append(1))
    bell.abandon_in_child()
    bell.ring()
    assert (bell.has_ringer, heard) == (False, [])

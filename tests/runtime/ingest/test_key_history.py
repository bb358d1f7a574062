"""Keys read back from a real log, however its segments lie."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.event_log.quick_files import QuickFiles
from tests.faults.clocks import ManualClock
from tests.runtime.ingest.peer import peer_of
from tests.runtime.sample_runtime import SMALL, open_runtime, platform_of
from tests.support.deadline import wait_until
from yoi_runtime.catalog import place_indexer
from yoi_runtime.catalog.place_file import place_path
from yoi_runtime.catalog.place_indexer import index_segment
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.ingest import key_history
from yoi_runtime.runtime.ingest.key_history import KeyHistory
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.platform import Platform

PLATFORM = platform_of()


def write(runtime: Runtime, count: int, *worker_ids: str, begin: int = 0) -> dict[str, list[tuple[str, str]]]:
    """Let Workers write in turn, every third event without a key; return their keys and cursors."""
    found: dict[str, list[tuple[str, str]]] = {}
    for worker_id in worker_ids:
        with runtime.create_worker(worker_id) as worker:
            for number in range(begin, begin + count):
                key = None if number % 3 == 0 else f"{worker_id}-{number}"
                (cursor,) = worker.offer_many([TextDelta(text=f"{number} " + "x" * (number % 90))], [key])
                if key is not None:
                    found.setdefault(worker_id, []).append((key, cursor))
    return found


@pytest.mark.parametrize("has_places", [False, True])
@pytest.mark.parametrize("is_open", [False, True])
def test_every_key_is_found_in_order_with_its_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_places: bool, is_open: bool
):
    monkeypatch.setattr(place_indexer, "SMALLEST_INDEXED_BYTES", 1)
    runtime = open_runtime(tmp_path)
    found = write(runtime, 60, "a", "b")
    found["a"] += write(runtime, 60, "a", begin=60)["a"]
    if has_places:
        for segment in runtime._log.sealed_segments():
            assert index_segment(runtime.log_directory, segment, PLATFORM)
            assert place_path(runtime.log_directory, segment.number).exists()
    if not is_open:
        runtime.close()
    else:
        runtime._log._writer.sync()
    history = KeyHistory(tmp_path / "log", PLATFORM)
    for worker_id, keys in found.items():
        assert len(keys) >= 40
        assert history.newest_of(worker_id) == keys
        assert history.newest_of(worker_id, 7) == keys[-7:]
    assert history.newest_of("nobody") == []
    runtime.close()


def test_those_that_were_appended_since_the_last_look_are_found_too(tmp_path: Path):
    runtime = open_runtime(tmp_path)
    history = KeyHistory(runtime.log_directory, PLATFORM)
    found = write(runtime, 30, "a")["a"]
    for begin in range(30, 90, 20):
        runtime._log._writer.sync()
        assert history.newest_of("a") == found
        found += write(runtime, 20, "a", begin=begin)["a"]
    runtime.close()


class CountingFiles(QuickFiles):
    def __init__(self) -> None:
        self.bytes_of_segments = 0

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        data = super().pread(fd, size, offset)
        if Path(f"/proc/self/fd/{fd}").readlink().suffix == ".jsonl":
            self.bytes_of_segments += len(data)
        return data


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts by what a descriptor is of")
def test_segments_without_the_worker_are_not_read_and_those_of_many_once(tmp_path: Path):
    # Long enough for headers not to count.
    runtime = open_runtime(tmp_path, replace(SMALL, segment_bytes=64 << 10))
    found = write(runtime, 3, "quiet")["quiet"]
    write(runtime, 2000, "noisy")
    write(runtime, 6, "a", "b", "c", "d")
    runtime.close()
    files = CountingFiles()
    history = KeyHistory(tmp_path / "log", Platform(files=files, clock=ManualClock()))
    total = sum(path.stat().st_size for path in (tmp_path / "log").glob("*.jsonl"))
    assert history.newest_of("quiet") == found
    first = files.bytes_of_segments
    assert first < total / 3
    for worker_id in "abcd":
        assert len(history.newest_of(worker_id)) == 4
    # Headers and the active segment are read again, scanned segments are not.
    assert files.bytes_of_segments - first < total / 2


def test_by_places_no_more_is_read_than_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(place_indexer, "SMALLEST_INDEXED_BYTES", 1)
    monkeypatch.setattr(key_history, "_READ_BYTES", 3000)
    monkeypatch.setattr(key_history, "_SPAN_BYTES", 1000)
    runtime = open_runtime(tmp_path)
    found = write(runtime, 90, "a")["a"]
    runtime._log.roll()
    for segment in runtime._log.sealed_segments():
        assert index_segment(runtime.log_directory, segment, PLATFORM)
    runtime.close()
    newest = KeyHistory(tmp_path / "log", PLATFORM).newest_of("a")
    assert 5 <= len(newest) < 15
    assert newest == found[-len(newest) :]


def test_damage_costs_the_damaged_and_nothing_else(tmp_path: Path):
    runtime = open_runtime(tmp_path)
    found = write(runtime, 30, "a")["a"]
    runtime.close()
    first = min((tmp_path / "log").glob("*.jsonl"))
    data = bytearray(first.read_bytes())
    place = data.index(b'"a-4"')
    data[place + 1] ^= 1
    first.write_bytes(data)
    assert KeyHistory(tmp_path / "log", PLATFORM).newest_of("a") == [pair for pair in found if pair[0] != "a-4"]


def test_what_was_rotated_out_is_not_known_any_more(tmp_path: Path):
    runtime = open_runtime(tmp_path, replace(SMALL, retain_segments=3))
    found = write(runtime, 200, "a")["a"]
    runtime.close()
    newest = KeyHistory(tmp_path / "log", PLATFORM).newest_of("a")
    assert 0 < len(newest) < len(found) / 2
    assert newest == found[-len(newest) :]


def test_without_places_what_is_read_of_all_counts_against_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(key_history, "_READ_BYTES", 10_000)
    runtime = open_runtime(tmp_path)
    found = write(runtime, 300, "a")["a"]
    runtime.close()
    for _ in range(2):  # scanned now, and remembered then
        newest = KeyHistory(tmp_path / "log", PLATFORM).newest_of("a")
        # Three segments of 4 KiB, and what the active one held.
        assert 10 < len(newest) < 40
        assert newest == found[-len(newest) :]


class HeldFiles(QuickFiles):
    """Stops the reading thread at one of its reads, until it is let go."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.reads = 0
        self.is_held, self.go = threading.Event(), threading.Event()

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        if threading.current_thread().name.startswith("asyncio_"):
            self.reads += 1
            if self.reads == self.at:
                self.is_held.set()
                assert self.go.wait(30)
        return super().pread(fd, size, offset)


@pytest.mark.parametrize("has_places", [False, True])
def test_a_long_reading_does_not_hold_up_a_stop(tmp_path: Path, has_places: bool):
    """64 MiB of a Worker's own records, and a program that comes again with a key just before the Runtime stops."""
    options = replace(SMALL, segment_bytes=16 << 20, ingest=True)
    runtime = open_runtime(tmp_path, options)
    with runtime.create_worker("a") as worker:
        for begin in range(0, 9_000, 100):
            keys = [f"a-{number}" for number in range(begin, begin + 100)]
            worker.offer_many([TextDelta(text=key.ljust(8_000, "x")) for key in keys], keys)
    runtime._log.roll()
    if has_places:
        for segment in runtime._log.sealed_segments():
            assert index_segment(runtime.log_directory, segment, PLATFORM)
    runtime.close()
    if not has_places:
        for path in (tmp_path / "log").glob("*.places"):
            path.unlink()
    assert sum(path.stat().st_size for path in (tmp_path / "log").glob("*.jsonl")) > 64 << 20
    files = HeldFiles(at=20)
    runtime = open_runtime(tmp_path, replace(options, retain_segments=None), files)
    with peer_of(tmp_path) as peer:
        assert peer.hello("a")["run"] == 2
        peer.say({"text": "again", "key": "a-17"})
        assert files.is_held.wait(30)
        stopping = threading.Thread(target=runtime.close)
        stopping.start()
        assert runtime._ingest is not None
        history = runtime._ingest._history
        wait_until(lambda: history._stopped)
        files.go.set()
        stopping.join(30)
        assert not stopping.is_alive()
        assert [answer["code"] for answer in peer.rest()] == ["shutting_down"]
    assert files.reads - 20 <= 3, "one that was under way, and no other"
    fresh = HeldFiles(at=-1)
    reading = threading.Thread(target=KeyHistory(tmp_path / "log", platform_of(fresh)).newest_of, args=["a"])
    reading.name = "asyncio_of_a_test"
    reading.start()
    reading.join()
    assert fresh.reads > 60, "there was much more to read"

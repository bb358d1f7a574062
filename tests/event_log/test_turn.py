"""One thread at a time, none within itself, and what Ctrl-C leaves behind is mended."""

from __future__ import annotations

import errno
import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import pytest

from tests.conftest import ExpectLog
from tests.faults.failing_files import FailingFiles
from tests.support.deadline import wait_until
from yoi_runtime import Runtime, RuntimeOptions
from yoi_runtime.errors import LogBrokenError, LogFullError, LogReentryError, WorkerEndedError
from yoi_runtime.event_log.turn import Turn
from yoi_runtime.events import TextDelta
from yoi_runtime.segment_log.platform import FileStat, Platform, RealFileOps
from yoi_runtime.segment_log.reader import LogReader


class Interrupted(RealFileOps):
    """Calls ``hook`` after the k-th call that changes something, once, as a signal handler would be."""

    def __init__(self) -> None:
        self.hook: Callable[[], None] | None = None
        self.left = 0

    def interrupt_after(self, calls: int) -> None:
        """Raise KeyboardInterrupt after so many calls, once."""

        def interrupt() -> None:
            raise KeyboardInterrupt

        self.left, self.hook = calls, interrupt

    def strike(self) -> None:
        if self.hook is not None and threading.current_thread() is threading.main_thread():
            self.left -= 1
            if self.left == 0:
                hook, self.hook = self.hook, None
                hook()

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        written = super().pwrite(fd, data, offset)
        self.strike()
        return written

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self.strike()

    def sync_directory(self, path: Path) -> None:
        super().sync_directory(path)
        self.strike()

    def stat(self, fd: int) -> FileStat:
        found = super().stat(fd)
        self.strike()
        return found


def envelopes(data_dir: Path) -> list[dict[str, Any]]:
    """Return every envelope that a reader is shown."""
    reader = LogReader(data_dir / "log")
    found, position = [], reader.floor()
    while (chunk := reader.read(position, 1 << 16)) is not None:
        found += [json.loads(line)["envelope"] for line in chunk.data.splitlines()]
        position = chunk.end
    reader.close()
    return found


class _Log:
    """What a turn is taken in."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lock = threading.RLock()


def _raise(error: BaseException) -> None:
    raise error


def test_a_turn_within_a_turn_of_the_same_thread_is_refused(tmp_path: Path):
    turn = Turn(_Log(tmp_path))

    def within() -> str:
        with pytest.raises(LogReentryError, match="within an append of the same thread"):
            turn.take(lambda: pytest.fail("let in"))
        with pytest.raises(LogReentryError):
            turn.check_outside()
        return "had"

    assert turn.take(within) == "had"
    turn.check_outside()
    assert turn.take(lambda: 7) == 7


def test_another_thread_waits_for_its_turn(tmp_path: Path):
    turn = Turn(_Log(tmp_path))
    order: list[str] = []

    def other() -> None:
        order.append("asks")
        turn.take(lambda: order.append("has"))

    thread = threading.Thread(target=other)

    def first() -> None:
        thread.start()
        wait_until(lambda: order == ["asks"])
        order.append("ends")

    turn.take(first)
    thread.join()
    assert order == ["asks", "ends", "has"]


def test_an_error_ends_a_turn_and_only_ctrl_c_interrupts_it(tmp_path: Path):
    turn = Turn(_Log(tmp_path))
    with pytest.raises(ValueError, match="x"):
        turn.take(lambda: _raise(ValueError("x")))
    assert not turn.interrupted
    with pytest.raises(KeyboardInterrupt):
        turn.take(lambda: _raise(KeyboardInterrupt()))
    assert turn.interrupted
    turn.check_outside()


def test_ctrl_c_at_any_moment_leaves_the_lock_free(tmp_path: Path):
    """Real signals, each after a few microseconds of appending: whatever they meet, another thread gets its turn."""
    runtime = Runtime.open(tmp_path)
    worker = runtime.create_worker("a")

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    random, interrupted, emitted = Random(7), 0, 0
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(200):
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(5e-6, 3e-4))
                while True:
                    worker.emit(TextDelta(text="x"))
                    emitted += 1
            except KeyboardInterrupt:
                interrupted += worker._log._turn.interrupted
            other = threading.Thread(target=worker.emit, args=[TextDelta(text="other")], daemon=True)
            other.start()
            other.join(10)
            assert not other.is_alive(), "the lock stayed taken"
    finally:
        signal.signal(signal.SIGALRM, before)
    runtime.close()
    found = envelopes(tmp_path)
    assert [envelope["seq"] for envelope in found] == list(range(1, len(found) + 1))
    own = [envelope["worker_seq"] for envelope in found if envelope["worker_id"] == "a"]
    assert own == list(range(1, len(own) + 1))
    assert emitted + 200 <= len(own) <= emitted + 400
    print(f"200 interrupts, {interrupted} of them in the middle of an append")  # noqa: T201 - what was exercised
    assert interrupted > 50


def test_a_signal_handler_in_the_middle_of_an_append_is_refused_and_nothing_is_lost(tmp_path: Path):
    files = Interrupted()
    runtime = Runtime.open(tmp_path, platform=Platform(files=files))
    worker = runtime.create_worker("a")
    refused: list[str] = []

    def handler() -> None:
        for call in (
            lambda: worker.emit(TextDelta(text="inner")),
            lambda: runtime.create_worker("b"),
            worker.end,
            runtime.close,
        ):
            with pytest.raises(LogReentryError):
                call()
            refused.append("refused")

    files.left, files.hook = 1, handler
    worker.emit(TextDelta(text="outer"))
    assert refused == ["refused"] * 4
    worker.emit(TextDelta(text="after"))
    runtime.close()
    texts = [found["payload"]["data"]["text"] for found in envelopes(tmp_path) if found["worker_id"] == "a"]
    assert texts == ["outer", "after"]


@pytest.mark.parametrize("segment_bytes", [4096, 1 << 20], ids=["rolls", "one-segment"])
def test_ctrl_c_at_any_point_leaves_numbers_without_a_hole_or_a_double(
    tmp_path: Path, segment_bytes: int, expect_log: ExpectLog
):
    """Interrupts a run of appends after its k-th file call, for every k; then goes on as if nothing had been."""
    if segment_bytes == 4096:
        # Where it strikes in the middle of a roll, nothing more can be written, and that is said.
        expect_log("yoi_runtime.event_log", "could not be mended, the next start does it")
        expect_log("yoi_runtime.runtime", "the end of Worker a could not be written")
        expect_log("yoi_runtime.runtime", "the end of the Runtime could not be written")
    points = 0
    broken = 0
    while True:
        points += 1
        data_dir = tmp_path / str(points)
        files = Interrupted()
        runtime = Runtime.open(data_dir, RuntimeOptions(segment_bytes=segment_bytes), Platform(files=files))
        worker = runtime.create_worker("a")
        files.interrupt_after(points)
        emitted = 0
        try:
            for _ in range(24):
                worker.emit(TextDelta(text="x" * 200))
                emitted += 1
        except KeyboardInterrupt:
            pass
        interrupted, files.hook = files.hook is None, None
        try:
            worker.emit(TextDelta(text="after"))
            runtime.close()
        except LogBrokenError:
            # In the middle of a roll there is no way on; the next start finds everything.
            broken += 1
            with pytest.raises(LogBrokenError):
                runtime.close()
            Runtime.open(data_dir).close()
        found = envelopes(data_dir)
        assert [envelope["seq"] for envelope in found] == list(range(1, len(found) + 1))
        own = [envelope["worker_seq"] for envelope in found if envelope["worker_id"] == "a"]
        assert own == list(range(1, len(own) + 1))
        assert emitted <= len(own) <= emitted + 2
        with Runtime.open(data_dir) as again:
            again.create_worker("a").emit(TextDelta(text="on"))
        last = [envelope["worker_seq"] for envelope in envelopes(data_dir) if envelope["worker_id"] == "a"]
        assert last == list(range(1, len(own) + 2))
        if not interrupted:
            break
    print(f"{points - 1} points, {broken} of them put the log out of service")  # noqa: T201 - what was exercised
    assert points > 20


class WetFiles(RealFileOps):
    """Reads nothing while ``wet``."""

    def __init__(self) -> None:
        self.wet = False

    def list_directory(self, path: Path) -> list[str]:
        if self.wet:
            raise OSError(errno.EIO, "wet")
        return super().list_directory(path)


def interrupted_before_the_books(data_dir: Path, files: RealFileOps, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Return a Runtime whose second event of Worker a is in the log, and not in the books: Ctrl-C struck in between."""
    runtime = Runtime.open(data_dir, platform=Platform(files=files))
    worker = runtime.create_worker("a")
    worker.emit(TextDelta(text="1"))
    with monkeypatch.context() as patch:
        patch.setattr(runtime._log._books, "appended", lambda *_: _raise(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            worker.emit(TextDelta(text="2"))
    return runtime


def numbers_of_a(data_dir: Path) -> list[int]:
    return [envelope["worker_seq"] for envelope in envelopes(data_dir) if envelope["worker_id"] == "a"]


def test_an_interrupted_append_is_mended_before_a_roll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    runtime = interrupted_before_the_books(tmp_path, RealFileOps(), monkeypatch)
    runtime._log.roll()
    runtime.close()
    with Runtime.open(tmp_path) as runtime:
        runtime.create_worker("a").emit(TextDelta(text="3"))
    assert numbers_of_a(tmp_path) == [1, 2, 3]


def test_books_that_could_not_be_mended_are_not_saved_at_the_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log: ExpectLog
):
    expect_log("yoi_runtime.event_log", "could not be mended, the next start does it")
    expect_log("yoi_runtime.runtime", "the end of Worker a could not be written")
    expect_log("yoi_runtime.runtime", "the end of the Runtime could not be written")
    files = WetFiles()
    runtime = interrupted_before_the_books(tmp_path, files, monkeypatch)
    files.wet = True
    runtime.close()
    with Runtime.open(tmp_path) as runtime:
        runtime.create_worker("a").emit(TextDelta(text="3"))
    assert numbers_of_a(tmp_path) == [1, 2, 3]


def test_an_end_that_ctrl_c_met_after_it_was_written_is_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    runtime = Runtime.open(tmp_path)
    worker = runtime.create_worker("a")
    with monkeypatch.context() as patch:
        patch.setattr(runtime._log._books, "appended", lambda *_: _raise(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            worker.end()
    with pytest.raises(WorkerEndedError):
        worker.emit(TextDelta(text="late"))
    worker.end()
    assert runtime.running_workers() == []
    runtime.create_worker("a").end("failed")
    runtime.close()
    ends = [found["payload"]["data"]["outcome"] for found in envelopes(tmp_path) if "outcome" in str(found["payload"])]
    assert ends == ["completed", "failed"]


def test_an_end_that_ctrl_c_kept_from_being_written_may_be_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    runtime = Runtime.open(tmp_path)
    worker = runtime.create_worker("a")
    with monkeypatch.context() as patch:
        patch.setattr(runtime._log._writer, "append_held", lambda *_: _raise(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            worker.end()
    worker.end("failed")
    runtime.close()
    ends = [found["payload"]["data"]["outcome"] for found in envelopes(tmp_path) if "outcome" in str(found["payload"])]
    assert ends == ["failed"]


def test_a_loss_that_ctrl_c_struck_just_after_is_not_told_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = FailingFiles()
    runtime = Runtime.open(tmp_path, platform=Platform(files=files))
    worker = runtime.create_worker("a")
    files.fail(errno.ENOSPC, "pwrite", name="00000000000000000001.jsonl")
    with pytest.raises(LogFullError):
        worker.emit(TextDelta(text="refused"))
    with monkeypatch.context() as patch:
        # The loss is in the log by then.
        patch.setattr(runtime._log._books, "appended", lambda *_: _raise(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            worker.emit(TextDelta(text="interrupted"))
    worker.emit(TextDelta(text="next"))
    runtime.close()
    told = [found["payload"] for found in envelopes(tmp_path) if found["worker_id"] == "a"]
    assert [payload["event"] for payload in told] == ["events_lost", "text_delta"]
    assert told[0]["data"]["count"] == 1
    assert numbers_of_a(tmp_path) == [1, 2]

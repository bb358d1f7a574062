from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.support.deadline import wait_until
from yoi_runtime.errors import LogBrokenError
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.figures import TIMED_EVERY
from yoi_runtime.segment_log.platform import RealFileOps


def test_one_append_in_64_is_timed_and_every_sync(tmp_path: Path):
    with Runtime.open(tmp_path) as runtime:
        worker = runtime.create_worker("a")
        before = runtime.figures.sync_seconds.count
        for _ in range(10 * TIMED_EVERY):
            cursor = worker.emit(TextDelta(text="x"))
        runtime.wait_durable(cursor)
        assert runtime.figures.append_seconds.count == 10
        assert runtime.figures.sync_seconds.count > before
        assert 0 < runtime.figures.append_seconds.sum_seconds < 10
        assert runtime.figures.failure is None
        wait_until(lambda: runtime.figures.unsynced_bytes == 0)


def test_a_run_of_events_is_timed_when_it_brings_the_log_over_the_64th(tmp_path: Path):
    with Runtime.open(tmp_path) as runtime:
        worker = runtime.create_worker("a")
        worker.emit_many([TextDelta(text="x")] * (TIMED_EVERY - 4))
        assert runtime.figures.append_seconds.count == 0
        worker.emit_many([TextDelta(text="x")] * 2)
        assert runtime.figures.append_seconds.count == 1


def test_a_disk_that_does_not_answer_is_seen_while_it_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    go_on = threading.Event()
    with Runtime.open(tmp_path) as runtime:
        worker = runtime.create_worker("a")
        runtime.wait_durable(worker.emit(TextDelta(text="x")))
        assert runtime.figures.stuck_seconds() < 5
        sync = RealFileOps.fdatasync

        def hang(self: RealFileOps, fd: int) -> None:
            assert go_on.wait(30)
            sync(self, fd)

        monkeypatch.setattr(RealFileOps, "fdatasync", hang)
        try:
            worker.emit(TextDelta(text="y"))
            wait_until(lambda: runtime.figures.stuck_seconds() > 0.05)
            assert runtime.figures.unsynced_bytes > 0
        finally:
            go_on.set()
        wait_until(lambda: runtime.figures.stuck_seconds() == 0.0)


def test_a_log_out_of_service_is_stuck_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log: ExpectLog
):
    threads = threading.active_count()
    runtime = Runtime.open(tmp_path)
    worker = runtime.create_worker("a")

    def fail(_: RealFileOps, __: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(RealFileOps, "fdatasync", fail)
    worker.emit(TextDelta(text="x"))
    wait_until(lambda: runtime.figures.failure is not None)
    assert isinstance(runtime.figures.failure, LogBrokenError)
    assert runtime.figures.stuck_seconds() == math.inf
    # Left open, its maintenance would complain in the middle of other tests, for as long as the process lives.
    expect_log("yoi_runtime.runtime", "the end of .* could not be written")
    with pytest.raises(LogBrokenError):
        runtime.close()
    assert threading.active_count() == threads

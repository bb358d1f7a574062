from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.event_log.quick_files import QuickFiles
from tests.faults.failing_files import FailingFiles
from tests.faults.small_disk import SmallDisk
from tests.runtime.sample_runtime import open_runtime
from tests.support.deadline import wait_until_async
from yoi_runtime.cli import log_watch
from yoi_runtime.cli.log_watch import LogWatch
from yoi_runtime.errors import LogBrokenError, LogFullError, LogStoppedError
from yoi_runtime.events import TextDone
from yoi_runtime.notices import NOTICE_ATTRIBUTE


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [getattr(record, NOTICE_ATTRIBUTE).value for record in caplog.records if record.name == "yoi_runtime.cli"]


def test_a_full_disk_is_told_once_and_so_is_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, expect_log: ExpectLog
):
    expect_log("yoi_runtime.cli", "the disk takes no events, and Workers wait for it: No space left on device")
    expect_log("yoi_runtime.cli", "the disk takes events again")
    caplog.set_level(logging.WARNING)
    disk = SmallDisk(1 << 20, QuickFiles())
    with open_runtime(tmp_path, files=disk) as runtime, runtime.create_worker("a") as worker:
        watch = LogWatch(runtime.figures)
        for rounds in (1, 2):
            worker.emit(TextDone(text="a"))
            watch.look()
            disk.room_bytes = 0
            for _ in range(3):
                with pytest.raises(LogFullError):
                    worker.offer(TextDone(text="b"))
                watch.look()
            assert told(caplog) == ["log_takes_nothing", "log_takes_again"] * (rounds - 1) + ["log_takes_nothing"]
            disk.room_bytes = 1 << 20
            watch.look()
            assert told(caplog)[-1] == "log_takes_nothing", "nobody has tried yet"
            worker.offer(TextDone(text="b"))
            watch.look()
            assert told(caplog)[-1] == "log_takes_again"


async def test_a_log_that_goes_out_of_service_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, expect_log: ExpectLog, monkeypatch: pytest.MonkeyPatch
):
    expect_log("yoi_runtime.cli", "the log takes nothing until a restart: .*sync failed: Input/output error")
    expect_log("yoi_runtime.runtime", "could not be written")
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(log_watch, "_LOOK_SECONDS", 0.01)
    files = FailingFiles(QuickFiles())
    runtime = open_runtime(tmp_path, files=files)
    watching = asyncio.create_task(LogWatch(runtime.figures).run())
    files.fail(errno.EIO, "fdatasync")
    with contextlib.suppress(LogBrokenError):  # where the sync of what a Runtime says at its start comes first
        runtime.create_worker("a").emit(TextDone(text="a"))
    await wait_until_async(lambda: "log_out_of_service" in told(caplog))
    begun = asyncio.get_running_loop().time()
    await wait_until_async(lambda: asyncio.get_running_loop().time() > begun + 0.1)
    watching.cancel()
    assert told(caplog) == ["log_out_of_service"]
    with pytest.raises(Exception, match="out of service"):
        runtime.close()


def test_a_roll_that_is_refused_counts_until_an_event_is_taken(tmp_path: Path):
    files = FailingFiles(QuickFiles())
    with open_runtime(tmp_path, files=files) as runtime, runtime.create_worker("a") as worker:
        assert runtime.figures.refused_because is None
        files.fail(errno.EMFILE, "sync_directory", name="log")
        with pytest.raises(LogStoppedError, match="Too many open files"):
            worker.offer_many([TextDone(text="x" * 200)] * 20)
        assert runtime.figures.refused_because == "Too many open files"
        worker.offer(TextDone(text="a"))
        assert runtime.figures.refused_because is None

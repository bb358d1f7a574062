from __future__ import annotations

import asyncio
import errno
import logging
import sys
from pathlib import Path

import pytest

from tests.server.test_write_notices import open_descriptors, told_by_the_kernel, write_in_place
from tests.support.deadline import wait_until_async
from yoi_runtime.segment_log.doorbell import doorbell_of
from yoi_runtime.segment_log.platform import RealClock
from yoi_runtime.segment_log.watermark import COMMITTED
from yoi_runtime.server import look_out, write_notices
from yoi_runtime.server.look_out import LookOut

# Nobody waits this long: what comes in time was told.
NEVER = 3600.0


@pytest.fixture
def watermark(tmp_path: Path) -> Path:
    (tmp_path / COMMITTED).write_bytes(b"slots")
    return tmp_path / COMMITTED


@pytest.fixture
def clock_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_POLL_SECONDS", "_POLL_BUSY_SECONDS", "_POLL_WHEN_TOLD_SECONDS"):
        monkeypatch.setattr(look_out, name, NEVER)


async def next_look(looking: LookOut) -> None:
    async with asyncio.timeout(10):
        await looking.next_look()


async def asleep(looking: LookOut) -> asyncio.Future[None]:
    """Let it wait for the next look; nothing has told of one so far."""
    waiting = asyncio.ensure_future(looking.next_look())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    return waiting


@told_by_the_kernel
@pytest.mark.usefixtures("clock_is_off")
async def test_what_another_process_writes_is_looked_at_because_the_kernel_says_so(watermark: Path):
    looking = LookOut(watermark.parent, RealClock())
    looking.start()
    try:
        # The first look is for what was written before there were notices.
        await next_look(looking)
        for _ in range(3):
            waiting = await asleep(looking)
            write_in_place(watermark)
            async with asyncio.timeout(10):
                await waiting
    finally:
        looking.close()


@pytest.mark.usefixtures("clock_is_off")
async def test_where_the_writer_is_here_its_bell_is_heard_and_the_kernel_not_asked(watermark: Path):
    looking, bell = LookOut(watermark.parent, RealClock()), doorbell_of(watermark.parent)
    bell.attach()
    before = open_descriptors()
    looking.start()
    try:
        waiting = await asleep(looking)
        assert open_descriptors() == before
        await asyncio.to_thread(bell.ring)
        async with asyncio.timeout(10):
            await waiting
    finally:
        bell.detach()
        looking.close()


@told_by_the_kernel
@pytest.mark.usefixtures("clock_is_off")
async def test_when_the_writer_goes_elsewhere_the_kernel_is_asked_and_no_more_when_it_is_back(watermark: Path):
    looking, bell = LookOut(watermark.parent, RealClock()), doorbell_of(watermark.parent)
    looking.start()
    try:
        await next_look(looking)
        asked = open_descriptors()
        bell.attach()
        bell.ring()
        await next_look(looking)
        assert open_descriptors() == asked - 1
        waiting = await asleep(looking)
        # Rings a last time: it is heard, and then the kernel is asked again.
        bell.detach()
        async with asyncio.timeout(10):
            await waiting
        await next_look(looking)
        assert open_descriptors() == asked
    finally:
        looking.close()


async def test_where_the_kernel_refuses_it_is_looked_all_the_time_and_that_is_said_once(
    watermark: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    asked: list[bool] = []

    def refuse(**options: bool) -> None:
        asked.append(True)
        raise OSError(errno.EMFILE, "Too many open files")

    caplog.set_level(logging.INFO, "yoi_runtime.server")
    monkeypatch.setattr(write_notices, "INotify", refuse)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(look_out, "_POLL_WHEN_TOLD_SECONDS", NEVER)
    looking = LookOut(watermark.parent, RealClock())
    looking.start()
    try:
        for _ in range(5):
            await next_look(looking)
            looking.found_news()
    finally:
        looking.close()
    assert asked == [True]
    (record,) = caplog.records
    assert record.getMessage().endswith("every few milliseconds: Too many open files")


@told_by_the_kernel
async def test_a_kernel_that_does_not_tell_is_found_out_by_the_clock_and_believed_again_when_it_does(
    tmp_path: Path, watermark: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """A disk that another machine writes: here the notices are of another file."""
    caplog.set_level(logging.INFO, "yoi_runtime.server")
    (tmp_path / "elsewhere").write_bytes(b"slots")
    monkeypatch.setattr(look_out, "COMMITTED", "elsewhere")
    monkeypatch.setattr(look_out, "_POLL_WHEN_TOLD_SECONDS", 0.05)
    looking = LookOut(tmp_path, RealClock())
    looking.start()
    try:
        await next_look(looking)
        assert looking._patience_seconds() == 0.05
        write_in_place(watermark)
        # Nothing says so; the clock does.
        await next_look(looking)
        looking.found_news()
        assert looking._patience_seconds() == look_out._POLL_BUSY_SECONDS
        monkeypatch.setattr(look_out, "_POLL_WHEN_TOLD_SECONDS", NEVER)
        for _ in range(5):
            await next_look(looking)
            looking.found_news()
        (record,) = caplog.records
        assert record.getMessage().endswith("it does not tell of writes here")
        write_in_place(tmp_path / "elsewhere")
        await wait_until_async(lambda: looking._patience_seconds() == NEVER)
    finally:
        looking.close()


@told_by_the_kernel
async def test_a_notice_that_has_not_been_heard_yet_is_no_reason_to_distrust(watermark: Path):
    looking = LookOut(watermark.parent, RealClock())
    looking.start()
    try:
        await next_look(looking)
        write_in_place(watermark)
        # The clock was first.
        looking._rung.clear()
        looking._look_unasked()
        assert looking._unasked
        looking.found_news()
        assert looking._patience_seconds() == look_out._POLL_WHEN_TOLD_SECONDS
    finally:
        looking.close()


@told_by_the_kernel
@pytest.mark.usefixtures("clock_is_off")
async def test_another_log_in_the_place_of_this_one_is_listened_to(watermark: Path, monkeypatch: pytest.MonkeyPatch):
    looking = LookOut(watermark.parent, RealClock())
    looking.start()
    try:
        await next_look(looking)
        watermark.unlink()  # noqa: ASYNC240 - one small file
        looking.look_elsewhere()
        monkeypatch.setattr(look_out, "_POLL_BUSY_SECONDS", 0.001)
        # None is there: the clock looks.
        await next_look(looking)
        monkeypatch.setattr(look_out, "_POLL_BUSY_SECONDS", NEVER)
        watermark.write_bytes(b"other slots")  # noqa: ASYNC240 - one small file
        await next_look(looking)
        waiting = await asleep(looking)
        write_in_place(watermark)
        async with asyncio.timeout(10):
            await waiting
    finally:
        looking.close()

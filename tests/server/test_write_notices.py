from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deadline import wait_until_async
from yoi_runtime.server import write_notices
from yoi_runtime.server.write_notices import WriteNotices

told_by_the_kernel = pytest.mark.skipif(
    write_notices.INotify is None or sys.platform != "linux", reason="no inotify here: servers poll"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"before")
    return tmp_path / "file"


def write_in_place(path: Path) -> None:
    """Write as the writer of a log does: into the file that is there."""
    fd = os.open(path, os.O_RDWR)
    try:
        os.pwrite(fd, b"after", 0)
    finally:
        os.close(fd)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@told_by_the_kernel
async def test_a_write_of_another_process_is_told(file: Path):
    heard: list[bool] = []
    notices = WriteNotices(file, lambda: heard.append(True))
    try:
        program = f"import os; os.pwrite(os.open({str(file)!r}, os.O_RDWR), b'after', 0)"
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], check=True)
        await wait_until_async(lambda: heard)
        heard.clear()
        write_in_place(file)
        await wait_until_async(lambda: heard)
    finally:
        notices.close()


@told_by_the_kernel
async def test_a_thousand_writes_that_nobody_has_heard_of_yet_are_told_once(file: Path):
    heard: list[bool] = []
    notices = WriteNotices(file, lambda: heard.append(True))
    try:
        for _ in range(1000):
            write_in_place(file)
        await wait_until_async(lambda: heard)
        for _ in range(10):
            await asyncio.sleep(0)
        assert heard == [True]
    finally:
        notices.close()


@told_by_the_kernel
async def test_a_notice_that_was_taken_is_not_told(file: Path):
    heard: list[bool] = []
    notices = WriteNotices(file, lambda: heard.append(True))
    try:
        assert not notices.take()
        write_in_place(file)
        assert notices.take()
        for _ in range(10):
            await asyncio.sleep(0)
        assert heard == []
        assert not notices.take()
    finally:
        notices.close()


@told_by_the_kernel
async def test_who_is_closed_hears_nothing_and_holds_no_descriptor(file: Path):
    heard: list[bool] = []
    before = open_descriptors()
    notices = WriteNotices(file, lambda: heard.append(True))
    assert open_descriptors() == before + 1
    write_in_place(file)
    notices.close()
    notices.close()
    assert open_descriptors() == before
    write_in_place(file)
    for _ in range(10):
        await asyncio.sleep(0)
    assert heard == []


@told_by_the_kernel
async def test_a_file_that_is_not_there_is_an_error_and_no_descriptor(tmp_path: Path):
    before = open_descriptors()
    with pytest.raises(FileNotFoundError):
        WriteNotices(tmp_path / "none", lambda: None)
    assert open_descriptors() == before


async def test_without_the_library_it_says_so(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(write_notices, "INotify", None)
    with pytest.raises(OSError, match="inotify is not here") as caught:
        WriteNotices(file, lambda: None)
    assert caught.value.errno == errno.ENOSYS


def test_without_the_library_the_server_is_there_all_the_same():
    program = (
        "import sys; sys.modules['inotify_simple'] = None\n"
        "from yoi_runtime.server import event_server, write_notices\n"
        "print(write_notices.INotify)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"

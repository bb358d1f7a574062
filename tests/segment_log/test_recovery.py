"""Recovery: a torn tail goes, nothing else does, and cursors keep their places."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from random import Random

import pytest

from tests.faults.failing_files import FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.faults.small_disk import SmallDisk
from tests.segment_log.sample_log import (
    SMALL,
    Read,
    append_many,
    body,
    damage,
    open_log,
    platform_of,
    read_all,
)
from yoi_runtime.errors import LogBrokenError
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.platform import FileOps, RealFileOps
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.recovery import RESERVE, RecoveryReport, release_reserve
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.watermark import COMMITTED
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

FIRST = segment_name(1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "log"


def abandon(log: LogWriter) -> None:
    """Let go of the lock as a killed process does: nothing is committed, nothing is closed in order."""
    log._writer_lock.release()


def read_log(directory: Path) -> Read:
    reader = LogReader(directory, platform_of())
    try:
        return read_all(reader)
    finally:
        reader.close()


def read_file(files: FileOps, path: Path) -> bytes:
    fd = files.open_read(path)
    try:
        return files.pread(fd, 1 << 20, 0)
    finally:
        files.close(fd)


def write_file(files: FileOps, path: Path, data: bytes) -> None:
    fd = files.create(path)
    files.pwrite(fd, data, 0)
    files.close(fd)


def test_records_that_were_written_and_not_committed_survive_a_killed_process(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 3)
    appended += append_many(log, 4, commit=False)
    abandon(log)
    before = (directory / FIRST).read_bytes()
    log = open_log(directory, platform_of(seed=2))
    assert log.recovery == RecoveryReport(1, 7, 0)
    assert (directory / FIRST).read_bytes() == before, "in place: cursors name these offsets"
    append_many(log, 1)
    reader = LogReader(directory, platform_of())
    for place in appended:
        assert reader.resolve(decode_token(place.token.decode())) == place.position
    assert read_all(reader).seqs == list(range(1, 9))
    log.close()


def test_a_kept_prefix_is_copied_to_fresh_pages_before_anything_follows_it(directory: Path):
    # The sync of pages whose sync has failed before proves nothing.
    log = open_log(directory)
    append_many(log, 3, commit=False)
    abandon(log)
    files = FailingFiles()
    log = open_log(directory, platform_of(files))
    writing = ("create", "pwrite", "fdatasync", "rename", "sync_directory")
    calls = [(call.method, call.name) for call in files.calls if call.method in writing]
    aside = FIRST.replace(".jsonl", ".tmp")
    steps = [("create", aside), ("pwrite", aside), ("fdatasync", aside), ("rename", FIRST), ("sync_directory", "log")]
    at = calls.index(steps[0])
    assert calls[at : at + 5] == steps
    assert ("create", segment_name(2).replace(".jsonl", ".tmp")) in calls[at + 5 :]
    log.close()


@pytest.mark.parametrize(("where", "step"), [("memory", 1), ("disk", 37)])
def test_the_last_record_cut_at_every_byte(directory: Path, where: str, step: int, exercised):
    home = Path("/log") if where == "memory" else directory
    log = open_log(home, platform_of(files := MemoryFiles() if where == "memory" else RealFileOps()))
    kept = append_many(log, 2)
    start = kept[-1].position.offset
    end = log.append(body("the last, é", 40)).position.offset
    abandon(log)
    whole = {name: read_file(files, home / name) for name in (FIRST, COMMITTED, "LOCK", RESERVE)}
    records = whole[FIRST].splitlines(keepends=True)[1:]
    cuts = range(start, end + 1, step)
    for cut in (*cuts, end):
        for name in files.list_directory(home):
            files.unlink(home / name)
        for name, data in whole.items():
            write_file(files, home / name, data if name != FIRST else data[:cut])
        log = open_log(home, platform_of(files, seed=cut))
        survived = 3 if cut == end else 2
        assert log.recovery == RecoveryReport(1, survived, 0 if survived == 3 else cut - start)
        again = append_many(log, 2)
        reader = LogReader(home, platform_of(files))
        found = read_all(reader)
        assert (found.seqs, found.gaps) == (list(range(1, survived + 3)), [])
        assert found.lines[:survived] == records[:survived]
        for place in (*kept, *again):
            assert reader.resolve(decode_token(place.token.decode())) == place.position
        reader.close()
        log.close()
        assert len(read_file(files, home / FIRST)) == (end if survived == 3 else start)
    exercised("bytes at which the last record was cut", len(cuts))


@pytest.mark.parametrize(
    "tail",
    [b"{", b"\n", b"\n\n\n", bytes(4096), bytes(100) + b"\n", b'{"kind":"event","envelope":{"cursor":"wo1\n' * 30],
    ids=["brace", "newline", "newlines", "zeros", "zero line", "half records"],
)
def test_whatever_the_torn_tail_is_it_goes(directory: Path, tail: bytes):
    log = open_log(directory)
    append_many(log, 3)
    abandon(log)
    damage(directory / FIRST, lambda data: data.extend(tail))
    log = open_log(directory)
    assert log.recovery == RecoveryReport(1, 3, len(tail))
    append_many(log, 1)
    log.close()
    found = read_log(directory)
    assert (found.seqs, found.gaps) == ([1, 2, 3, 4], [])


def test_bytes_added_after_a_clean_close_are_a_torn_tail_too(directory: Path):
    log = open_log(directory)
    append_many(log, 3)
    log.close()
    damage(directory / FIRST, lambda data: data.extend(b"rubbish\n"))
    log = open_log(directory)
    assert log.recovery == RecoveryReport(1, 3, 8)
    append_many(log, 1)
    log.close()
    assert read_log(directory).seqs == [1, 2, 3, 4]


def test_a_record_missing_before_the_watermark_is_corruption_and_not_a_torn_tail(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 5)
    abandon(log)
    cut = appended[3].position.offset - 7
    damage(directory / FIRST, lambda data: data.__delitem__(slice(cut, None)))
    before = (directory / FIRST).read_bytes()
    log = open_log(directory)
    assert log.recovery is not None
    assert (log.recovery.kept_records, log.recovery.dropped_bytes) == (3, 0)
    assert log.recovery.corrupt_offset == appended[2].position.offset
    assert log.recovery.corrupt_reason == "bytes are missing"
    assert (directory / FIRST).read_bytes() == before, "every byte is kept"
    assert append_many(log, 1)[0].position.seq == 6
    log.close()
    found = read_log(directory)
    assert found.seqs == [1, 2, 3, 6]
    assert [(gap.seq, gap.resume_seq) for gap in found.gaps] == [(4, 5)]


def test_a_valid_record_behind_a_bad_one_is_corruption_also_above_the_watermark(directory: Path):
    log = open_log(directory)
    append_many(log, 2)
    appended = append_many(log, 4, commit=False)
    abandon(log)
    bad = appended[1].position.offset - 30
    damage(directory / FIRST, lambda data: data.__setitem__(bad, data[bad] ^ 4))
    damage(directory / FIRST, lambda data: data.extend(b"and a torn tail"))
    log = open_log(directory)
    assert log.recovery is not None
    assert (log.recovery.kept_records, log.recovery.corrupt_offset) == (5, appended[0].position.offset)
    assert log.recovery.corrupt_reason == "its checksum does not match"
    assert append_many(log, 1)[0].position.seq == 7
    log.close()
    found = read_log(directory)
    assert found.seqs == [1, 2, 3, 5, 6, 7]
    assert found.lost == [4]


def test_kept_corruption_is_on_the_disk_before_anything_follows_it():
    # Its records were written and never synced; after recovery they are shown, so they have to survive.
    files, home = MemoryFiles(), Path("/log")
    log = open_log(home, platform_of(files))
    append_many(log, 2)
    appended = append_many(log, 4, commit=False)
    files.kill()
    data = bytearray(files.read_bytes(home / FIRST))
    fd = files.open_write(home / FIRST)
    files.pwrite(fd, b"\0", appended[1].position.offset - 30)
    files.kill()
    log = open_log(home, platform_of(files, seed=2))
    assert log.recovery is not None
    assert log.recovery.corrupt_reason
    append_many(log, 1)
    data[appended[1].position.offset - 30] = 0
    for seed in range(30):
        survivor = files.cut_power(Random(seed))
        assert survivor.read_bytes(home / FIRST) == data
        found = read_all(LogReader(home, platform_of(survivor)))
        assert found.seqs[:5] == [1, 2, 3, 5, 6]
        assert found.lost == [4]


def test_after_a_failed_sync_recovery_makes_durable_what_the_cache_still_shows():
    files, home = MemoryFiles(), Path("/log")
    failing = FailingFiles(files)
    log = open_log(home, platform_of(failing))
    append_many(log, 2)
    append_many(log, 3, commit=False)
    failing.fail(errno.EIO, "fdatasync", name=FIRST)
    assert not log.commit_once()
    files.lose_unsynced_pages(home / FIRST)
    with pytest.raises(LogBrokenError):
        log.close()
    log = open_log(home, platform_of(files, seed=2))
    append_many(log, 1)
    for seed in range(30):
        survivor = files.cut_power(Random(seed))
        again = open_log(home, platform_of(survivor, seed=3))
        found = read_all(LogReader(home, platform_of(survivor)))
        assert (found.seqs, found.gaps) == ([1, 2, 3, 4, 5, 6], [])
        again.close()


# A last segment without a header, or without its file.


@pytest.mark.parametrize("slot", ["newest", "old", "none"])
@pytest.mark.parametrize("header", ["damaged", "cut", "empty file"])
def test_a_last_segment_without_a_header_is_kept_and_its_numbers_are_not_used_again(directory, slot: str, header: str):
    log = open_log(directory)
    append_many(log, 12)
    old = (directory / COMMITTED).read_bytes()
    append_many(log, 30)
    last, end = log.end.segment, log.end
    in_last = log.active_records
    assert in_last > 0
    assert last > 3
    abandon(log)
    if slot == "old":
        (directory / COMMITTED).write_bytes(old)
    elif slot == "none":
        (directory / COMMITTED).unlink()
    path = directory / segment_name(last)
    if header == "damaged":
        damage(path, lambda data: data.__setitem__(40, 0))
    elif header == "cut":
        damage(path, lambda data: data.__delitem__(slice(0, 40)))
    else:
        path.write_bytes(b"")
    before = path.read_bytes()
    log = open_log(directory, platform_of(seed=2))
    assert path.read_bytes() == before
    assert log.recovery is not None
    assert log.recovery.corrupt_reason
    assert log.end.segment == last + 1
    first = append_many(log, 3)[0].position.seq
    log.close()
    found = read_log(directory)
    if header == "empty file" and slot != "newest":
        # Nobody is left who knows how far the numbers went; those that are known are not used again.
        assert first == end.seq - in_last + 1
    else:
        assert first == end.seq + 1
        assert found.lost == list(range(end.seq - in_last + 1, end.seq + 1))
    assert found.seqs == [*range(1, end.seq - in_last + 1), *range(first, first + 3)]


def test_a_log_of_segments_without_headers_can_still_be_opened(directory: Path):
    log = open_log(directory)
    append_many(log, 40)
    last = log.end
    log.close()
    for path in directory.glob("*.jsonl"):
        damage(path, lambda data: data.__setitem__(3, 0))
    (directory / COMMITTED).unlink()
    log = open_log(directory, platform_of(seed=2))
    assert (log.end.segment, log.end.seq) == (last.segment + 1, 40)
    append_many(log, 2)
    log.close()
    assert read_log(directory).seqs == [41, 42]


def test_a_last_segment_whose_file_is_gone_is_announced_and_its_numbers_are_not_used_again(directory: Path):
    log = open_log(directory)
    append_many(log, 40)
    end, first = log.end, log.end.seq - log.active_records + 1
    log.close()
    (directory / segment_name(end.segment)).unlink()
    found = read_log(directory)
    assert found.seqs == list(range(1, first))
    assert found.lost == list(range(first, end.seq + 1))
    log = open_log(directory, platform_of(seed=2))
    assert log.recovery is not None
    assert "missing" in str(log.recovery.corrupt_reason)
    append_many(log, 2)
    assert log.end[0::3] == (end.segment + 1, 42)
    log.close()
    found = read_log(directory)
    assert found.seqs == [*range(1, first), 41, 42]
    assert found.lost == list(range(first, 41))


def test_a_watermark_of_another_log_is_not_believed(directory: Path, tmp_path: Path):
    log = open_log(directory)
    append_many(log, 3)
    log_id = log.log_id
    log.close()
    other = open_log(tmp_path / "other", platform_of(seed=2))
    append_many(other, 60)
    other.close()
    (directory / COMMITTED).write_bytes((tmp_path / "other" / COMMITTED).read_bytes())
    log = open_log(directory, platform_of(seed=3))
    assert (log.log_id, log.end[0::3]) == (log_id, (2, 3))
    append_many(log, 1)
    log.close()
    assert read_log(directory).seqs == [1, 2, 3, 4]


# A full disk.


def test_recovery_on_a_full_disk_takes_the_reserve(directory: Path):
    disk = SmallDisk(room_bytes=1 << 20)
    log = open_log(directory, platform_of(disk))
    appended = append_many(log, 10)
    assert (directory / RESERVE).stat().st_size == SMALL.segment_bytes
    abandon(log)
    disk.room_bytes = 0
    log = open_log(directory, platform_of(disk, seed=2))
    assert disk.refused > 0
    assert log.recovery == RecoveryReport(1, 10, 0)
    assert not (directory / RESERVE).exists(), "there is no room to hold back any"
    reader = LogReader(directory, platform_of())
    assert read_all(reader).seqs == list(range(1, 11))
    assert reader.resolve(decode_token(appended[4].token.decode())) == appended[4].position
    log.close()
    disk.room_bytes = 1 << 20
    log = open_log(directory, platform_of(disk, seed=3))
    append_many(log, 1)
    assert (directory / RESERVE).exists(), "held back again as soon as there is room"
    log.close()


def test_opening_on_a_full_disk_after_a_clean_close_takes_the_reserve(directory: Path):
    disk = SmallDisk(room_bytes=1 << 20)
    log = open_log(directory, platform_of(disk))
    append_many(log, 3)
    log.close()
    disk.room_bytes = 0
    log = open_log(directory, platform_of(disk, seed=2))
    log.close()
    assert read_log(directory).seqs == [1, 2, 3]


def test_without_a_reserve_a_full_disk_refuses_the_opening_and_nothing_is_lost(directory: Path):
    disk = SmallDisk(room_bytes=1 << 20)
    log = open_log(directory, platform_of(disk))
    append_many(log, 10)
    abandon(log)
    before = (directory / FIRST).read_bytes()
    (directory / RESERVE).unlink()
    disk.room_bytes = 0
    for _ in range(2):
        with pytest.raises(OSError, match="space") as caught:
            open_log(directory, platform_of(disk, seed=2))
        assert caught.value.errno == errno.ENOSPC
        assert (directory / FIRST).read_bytes() == before
    disk.room_bytes = 1 << 20
    log = open_log(directory, platform_of(disk, seed=2))
    append_many(log, 1)
    log.close()
    assert read_log(directory).seqs == list(range(1, 12))


def test_releasing_a_reserve_that_is_not_there_says_so(directory: Path):
    log = open_log(directory)
    log.close()
    assert release_reserve(directory, platform_of())
    assert not release_reserve(directory, platform_of())


# Every call that can fail while a log is opened.


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EROFS, errno.EINTR])
@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
def test_an_opening_that_fails_at_any_call_loses_nothing(error: int, for_ever: bool, exercised):
    home, struck, at = Path("/log"), 0, 0
    while True:
        at += 1
        memory = MemoryFiles()
        log = open_log(home, platform_of(memory))
        append_many(log, 15)
        kept = append_many(log, 3, commit=False)
        active = home / segment_name(log.end.segment)
        memory.kill()
        memory.write_bytes(active, memory.read_bytes(active) + b"torn")
        files = FailingFiles(memory)
        files.fail(error, at=at, for_ever=for_ever)
        try:
            log = open_log(home, platform_of(files, seed=2))
        except OSError as caught:
            assert caught.errno == error  # noqa: PT017  the loop needs both outcomes
        else:
            files.heal()
            log.close()
        assert (files.open_files, memory.open_files) == ([], 0), f"call {at}: {files.calls[-3:]}"
        struck += files.struck > 0
        log = open_log(home, platform_of(memory, seed=3))
        append_many(log, 1)
        log.close()
        reader = LogReader(home, platform_of(memory))
        found = read_all(reader)
        assert (found.seqs, found.gaps) == (list(range(1, 20)), []), f"call {at}"
        assert reader.resolve(decode_token(kept[-1].token.decode())) == kept[-1].position
        if not files.struck:
            break
    exercised("calls failed while opening", struck)
    assert struck > 30


def test_what_recovery_keeps_is_byte_for_byte_what_was_appended(directory: Path):
    log = open_log(directory, options=LogOptions())
    lines = []
    for seq in range(1, 30):
        before = log.end.offset
        log.append(body(f"\u2028 {seq} \U0001f600", seq * 7))
        lines.append((directory / FIRST).read_bytes()[before:])
    abandon(log)
    log = open_log(directory)
    found = read_all(LogReader(directory, platform_of()))
    assert found.lines == lines
    assert [json.loads(line)["envelope"]["seq"] for line in found.lines] == list(range(1, 30))
    log.close()

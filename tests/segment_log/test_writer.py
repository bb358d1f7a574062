"""The one writer: append, roll, rotate out, close, and every way in which the disk can refuse."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from itertools import chain
from pathlib import Path
from random import Random

import pytest

from tests.faults.clocks import ManualClock
from tests.faults.failing_files import READING, FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.segment_log.sample_log import (
    SMALL,
    all_seqs,
    append_many,
    body,
    damage,
    open_log,
    platform_of,
    read_all,
)
from yoi_runtime.errors import (
    LogBrokenError,
    LogClosedError,
    LogDiskError,
    LogFormatError,
    LogFullError,
    LogHeldError,
    RecordTooLargeError,
)
from yoi_runtime.segment_log.cursor import NO_WORKER, decode_token, worker_tag
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.record import seal_object
from yoi_runtime.segment_log.recovery import RESERVE
from yoi_runtime.segment_log.segment import SegmentHeader, segment_name
from yoi_runtime.segment_log.watermark import COMMITTED, read_watermark
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

ROOT = Path(__file__).parents[2]


def header_of(directory: Path, number: int) -> SegmentHeader:
    path = directory / segment_name(number)
    return SegmentHeader.decode(path.read_bytes(), path)


# Appending.


def test_a_new_log_is_a_directory_of_json_lines(tmp_path: Path):
    directory = tmp_path / "data" / "log"
    log = LogWriter.open(directory, SMALL)
    append_many(log, 30)
    log.close()
    names = sorted(path.name for path in directory.iterdir())
    assert names == [*(segment_name(number) for number in range(1, len(names) - 2)), COMMITTED, "LOCK", RESERVE]
    lines = [line for name in names[:-3] for line in (directory / name).read_bytes().split(b"\n")[:-1]]
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds.count("segment") == len(names) - 3 > 2
    assert kinds.count("event") == 30
    assert [json.loads(line)["kind"] for line in (directory / COMMITTED).read_bytes().splitlines()] == ["committed"] * 2


def test_an_append_returns_the_token_that_stands_in_its_record(tmp_path: Path):
    log = open_log(tmp_path / "log")
    offset = log.end.offset
    for seq in range(1, 6):
        appended = log.append(body(f"é {seq}", 7 * seq), worker_tag("w1"), 10 + seq)
        line = (tmp_path / "log" / segment_name(1)).read_bytes()[offset : appended.position.offset]
        assert line.endswith(b"\n")
        frame = json.loads(line)["envelope"]
        assert (frame["cursor"].encode(), frame["seq"]) == (appended.token, seq)
        cursor = decode_token(frame["cursor"])
        assert (cursor.offset, cursor.seq) == (appended.position.offset, seq) == (log.end.offset, log.end.seq)
        assert (cursor.worker, cursor.worker_seq) == (worker_tag("w1"), 10 + seq)
        assert (cursor.log_id, cursor.segment, cursor.nonce_prefix) == (log.log_id, 1, log.end.nonce >> 32)
        offset = appended.position.offset
    log.close()


def test_one_write_carries_body_and_newline(tmp_path: Path):
    files = FailingFiles()
    log = open_log(tmp_path / "log", platform_of(files))
    files.forget_calls()
    append_many(log, 5, commit=False)
    assert [call.method for call in files.calls] == ["pwrite"] * 5
    log.close()


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_a_record_over_the_limit_is_refused_before_any_byte_is_written(tmp_path: Path, over: int):
    files = FailingFiles()
    log = open_log(tmp_path / "log", platform_of(files), LogOptions(max_record_bytes=3000))
    overhead = log.append(body("x")).position.offset - log.shown.offset - len(body("x"))
    files.forget_calls()
    content = body("x", 3000 + over - overhead - len(body("x")))
    if over > 0:
        with pytest.raises(RecordTooLargeError) as caught:
            log.append(content)
        assert (caught.value.size_bytes, caught.value.limit_bytes) == (3001, 3000)
        assert files.calls == []
    else:
        before = log.end.offset
        assert log.append(content).position.offset - before == 3000 + over
    assert log.append(body("y")).position.seq == (2 if over > 0 else 3)
    log.close()


def test_a_record_longer_than_a_segment_gets_a_segment_of_its_own(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 1)
    log.append(body("big", 20_000))
    append_many(log, 1)
    log.close()
    assert [segment.last_seq for segment in log.sealed] == [1, 2]
    assert all_seqs(tmp_path / "log") == [1, 2, 3]


def test_threads_that_append_at_once_get_one_order(tmp_path: Path):
    log = LogWriter(tmp_path / "log", SMALL, platform_of())
    got: list[list[int]] = [[] for _ in range(4)]

    def append(mine: list[int], name: str) -> None:
        mine += [log.append(body(f"{name}-{n}")).position.seq for n in range(200)]

    threads = [threading.Thread(target=append, args=(mine, str(index))) for index, mine in enumerate(got)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert sorted(chain(*got)) == list(range(1, 801)) == all_seqs(tmp_path / "log")
    lines = read_all(LogReader(tmp_path / "log", platform_of())).lines
    by_seq = [json.loads(line)["envelope"]["text"] for line in lines]
    for index, mine in enumerate(got):
        assert mine == sorted(mine)
        assert [by_seq[seq - 1] for seq in mine] == [f"{index}-{n}" for n in range(200)]


# Rolling.


def test_a_roll_seals_the_segment_and_the_next_header_says_how_it_ended(tmp_path: Path):
    directory = tmp_path / "log"
    log = open_log(directory)
    append_many(log, 3, commit=False)
    end = log.end
    sealed = log.roll()
    assert (sealed.number, sealed.nonce, sealed.first_seq, sealed.last_seq) == (1, end.nonce, 1, 3)
    assert sealed.size_bytes == end.offset == (directory / segment_name(1)).stat().st_size
    previous = header_of(directory, 2).previous
    assert previous is not None
    assert (previous.segment, previous.nonce, previous.valid_length, previous.last_seq) == end
    assert header_of(directory, 2).first_seq == 4
    assert log.shown == log.synced == log.end
    assert (log.active_records, log.active_bytes) == (0, header_of(directory, 2).length)
    assert list(log.sealed) == [sealed]
    log.close()


def test_a_segment_is_on_the_disk_before_the_next_one_has_a_name(tmp_path: Path):
    files = FailingFiles()
    log = open_log(tmp_path / "log", platform_of(files))
    append_many(log, 3, commit=False)
    files.forget_calls()
    log.roll()
    order = [(call.method, call.name) for call in files.calls if call.method not in READING]
    aside = segment_name(2).replace(".jsonl", ".tmp")
    assert order == [
        ("fdatasync", segment_name(1)),
        ("pwrite", COMMITTED),
        ("create", aside),
        ("pwrite", aside),
        ("fdatasync", aside),
        ("rename", segment_name(2)),
        ("sync_directory", "log"),
        ("pwrite", COMMITTED),
    ]
    log.close()


def test_an_append_rolls_when_the_segment_is_full_and_no_record_is_split(tmp_path: Path):
    directory = tmp_path / "log"
    log = open_log(directory)
    appended = append_many(log, 60)
    log.close()
    sizes = [(directory / segment_name(segment.number)).stat().st_size for segment in log.sealed]
    record = appended[1].position.offset - appended[0].position.offset
    assert len(sizes) >= 4
    assert all(4096 - record - 2 < size <= 4096 for size in sizes)
    assert [segment.size_bytes for segment in log.sealed] == sizes
    assert all_seqs(directory) == list(range(1, 61))


def test_segments_may_be_empty(tmp_path: Path):
    log = open_log(tmp_path / "log")
    for _ in range(3):
        log.roll()
    append_many(log, 1)
    log.roll()
    log.close()
    assert [(segment.first_seq, segment.last_seq) for segment in log.sealed] == [(1, 0), (1, 0), (1, 0), (1, 1)]
    assert all_seqs(tmp_path / "log") == [1]


@pytest.mark.parametrize("method", ["create", "pwrite", "fdatasync", "rename"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EROFS])
def test_a_roll_that_fails_before_the_new_name_leaves_the_active_segment_active(tmp_path, method: str, error: int):
    directory = tmp_path / "log"
    files = FailingFiles()
    log = open_log(directory, platform_of(files))
    append_many(log, 3)
    name = segment_name(2) if method == "rename" else segment_name(2).replace(".jsonl", ".tmp")
    files.fail(error, method, name=name)
    with pytest.raises((LogFullError, LogDiskError)) as caught:
        log.roll()
    refused = caught.value
    assert isinstance(refused, LogFullError | LogDiskError)
    assert (refused.file, refused.offset, refused.seq) == (directory / segment_name(2), 0, 4)
    assert (refused.errno if isinstance(refused, LogDiskError) else errno.ENOSPC) == error
    assert files.struck == 1
    assert len(files.open_files) == 3, "the segment, the watermark, the lock"
    assert append_many(log, 2)[-1].position.segment == 1
    assert log.roll().last_seq == 5
    append_many(log, 1)
    log.close()
    assert all_seqs(directory) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("method", ["open_read", "create"], ids=["the look at the lock", "the new segment"])
def test_an_append_that_has_to_roll_without_a_descriptor_to_spare_says_so(tmp_path: Path, method: str):
    files = FailingFiles()
    log = open_log(tmp_path / "log", platform_of(files))
    append_many(log, 1)
    files.fail(errno.EMFILE, method)
    with pytest.raises(LogDiskError, match="Too many open files") as caught:
        log.append(body("x", SMALL.segment_bytes - log.active_bytes))
    assert (caught.value.errno, caught.value.seq) == (errno.EMFILE, 2)
    assert append_many(log, 1)[0].position.seq == 2
    log.close()
    assert all_seqs(tmp_path / "log") == [1, 2]


@pytest.mark.parametrize(("method", "name"), [("sync_directory", "log"), ("pwrite", COMMITTED)])
def test_a_roll_that_fails_once_the_new_name_is_there_ends_the_writer(tmp_path: Path, method: str, name: str):
    # Going on in the old segment would make the new header's account of it a lie that recovery believes;
    # going on in the new one, without its name on the disk, might lose it whole.
    directory = tmp_path / "log"
    files = FailingFiles()
    log = open_log(directory, platform_of(files))
    append_many(log, 3)
    files.fail(errno.EIO, method, name=name)
    with pytest.raises(LogBrokenError):
        log.roll()
    with pytest.raises(LogBrokenError):
        log.append(body("x"))
    with pytest.raises(LogBrokenError):
        log.close()
    assert files.open_files == []
    log = open_log(directory)
    append_many(log, 2)
    assert [(segment.number, segment.last_seq) for segment in log.sealed] == [(1, 3), (2, 3)]
    log.close()
    assert all_seqs(directory) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("rolled_by", ["a roll", "an append", "a run", "mending"])
def test_a_roll_without_a_descriptor_for_the_new_name_is_finished_later(tmp_path: Path, error: int, rolled_by: str):
    """Nothing was synced yet, so nothing failed. Until it is, no record goes anywhere."""
    directory = tmp_path / "log"
    files = FailingFiles()
    log = open_log(directory, platform_of(files))
    append_many(log, 3)
    files.fail(error, "sync_directory", name="log", at=1)
    files.fail(error, "sync_directory", name="log", at=2)
    with pytest.raises(LogDiskError) as caught:
        log.roll()
    assert (caught.value.errno, caught.value.seq, caught.value.is_passing) == (error, 4, True)
    assert caught.value.file == directory / segment_name(2)
    before = [(directory / segment_name(number)).read_bytes() for number in (1, 2)]
    for refused in (lambda: log.append(body("x")), log.roll):
        files.heal()
        files.fail(error, "sync_directory", name="log")
        with pytest.raises(LogDiskError):
            refused()
    assert [(directory / segment_name(number)).read_bytes() for number in (1, 2)] == before
    assert [segment.number for segment in log.sealed] == []
    assert log.end.segment == log.active_number == 1
    files.heal()
    match rolled_by:
        case "a roll":
            assert log.roll().number == 1
        case "an append":
            assert log.append(body("4")).position[0::3] == (2, 4)
        case "a run":
            tokens = log.append_run_held(["", ""], [body("4"), body("5")], NO_WORKER, None)
            tokens += [log.append(body("x")).token for _ in range(2 - len(tokens))]
        case "mending":
            log.mend()
    assert log.active_number == 2
    append_many(log, 1)
    assert [(segment.number, segment.last_seq) for segment in log.sealed] == [(1, 3)]
    assert len(files.open_files) == 3, "the segment, the watermark, the lock"
    last = log.last_seq
    log.close()
    assert all_seqs(directory) == list(range(1, last + 1))
    assert files.open_files == []


def test_a_log_that_is_closed_in_the_middle_of_a_roll_is_opened_again_whole(tmp_path: Path):
    directory = tmp_path / "log"
    files = FailingFiles()
    log = open_log(directory, platform_of(files))
    append_many(log, 3)
    files.fail(errno.EMFILE, "sync_directory", name="log", for_ever=True)
    with pytest.raises(LogDiskError):
        log.roll()
    log.close()
    assert files.open_files == []
    log = open_log(directory)
    append_many(log, 2)
    assert [(segment.number, segment.last_seq) for segment in log.sealed] == [(1, 3), (2, 3)]
    log.close()
    assert all_seqs(directory) == [1, 2, 3, 4, 5]


def test_a_failed_sync_at_the_roll_ends_the_writer(tmp_path: Path):
    files = FailingFiles()
    log = open_log(tmp_path / "log", platform_of(files))
    append_many(log, 3, commit=False)
    files.fail(errno.EIO, "fdatasync", name=segment_name(1))
    with pytest.raises(LogBrokenError):
        log.roll()
    with pytest.raises(LogBrokenError):
        log.close()


def test_an_append_that_cannot_roll_is_refused_and_the_next_may_succeed(tmp_path: Path):
    directory = tmp_path / "log"
    files = FailingFiles()
    log = open_log(directory, platform_of(files))
    count = 0
    while log.end.offset + 400 < 4096:
        append_many(log, 1, 100)
        count += 1
    files.fail(errno.ENOSPC, "pwrite", name=segment_name(2).replace(".jsonl", ".tmp"))
    with pytest.raises(LogFullError) as caught:
        log.append(body("x", 1000))
    assert caught.value.seq == count + 1
    assert log.append(body("x", 1000)).position[0::3] == (2, count + 1)
    log.close()
    assert all_seqs(directory) == list(range(1, count + 2))


# Rotating out.


def test_the_oldest_go_first_and_each_is_durably_gone_before_the_next(tmp_path: Path):
    directory = tmp_path / "log"
    files = FailingFiles()
    log = open_log(directory, platform_of(files))
    append_many(log, 50)
    kept = list(log.sealed)[2:]
    files.forget_calls()
    log.rotate_out(2)
    assert [(call.method, call.name) for call in files.calls] == [
        ("unlink", segment_name(1)),
        ("sync_directory", "log"),
        ("unlink", segment_name(2)),
        ("sync_directory", "log"),
    ]
    assert list(log.sealed) == kept
    log.close()
    assert all_seqs(directory) == list(range(kept[0].first_seq, 51))


@pytest.mark.parametrize(("method", "name"), [("unlink", segment_name(2)), ("sync_directory", "log")])
def test_a_failed_rotation_may_be_repeated(tmp_path: Path, method: str, name: str):
    directory = tmp_path / "log"
    files = FailingFiles()
    log = open_log(directory, platform_of(files))
    append_many(log, 50)
    first = list(log.sealed)[3].first_seq
    files.fail(errno.EIO, method, name=name, at=1 if method == "unlink" else 2)
    with pytest.raises(OSError, match="error"):
        log.rotate_out(3)
    left = [segment.number for segment in log.sealed]
    # Its going is not on the disk yet: the next one must not go before.
    gone = [2] if method == "sync_directory" else []
    on_disk = sorted(int(path.stem) for path in directory.glob("*.jsonl"))
    assert sorted(on_disk[:-1] + gone) == left, "what is listed as sealed may be there after a power cut"
    log.rotate_out(sum(number <= 3 for number in left))
    append_many(log, 1)
    log.close()
    assert all_seqs(directory) == list(range(first, 52))


def test_a_segment_that_somebody_deleted_by_hand_does_not_stop_retention(tmp_path: Path):
    directory = tmp_path / "log"
    log = open_log(directory)
    append_many(log, 50)
    first = list(log.sealed)[2].first_seq
    (directory / segment_name(1)).unlink()
    log.rotate_out(2)
    log.close()
    assert all_seqs(directory) == list(range(first, 51))


def test_the_active_segment_is_never_rotated_out(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 20)
    with pytest.raises(ValueError, match="sealed"):
        log.rotate_out(len(log.sealed) + 1)
    assert all_seqs(tmp_path / "log") == list(range(1, 21))
    log.rotate_out(len(log.sealed))
    assert log.sealed == ()
    log.close()
    assert (tmp_path / "log" / segment_name(log.end.segment)).exists()


def test_a_closed_writer_deletes_nothing(tmp_path: Path):
    # Another writer may hold the log by then.
    log = open_log(tmp_path / "log")
    append_many(log, 20)
    log.close()
    with pytest.raises(LogClosedError):
        log.rotate_out(1)
    assert (tmp_path / "log" / segment_name(1)).exists()


# One writer.


def test_a_second_writer_in_this_process_is_refused_and_changes_nothing(tmp_path: Path):
    directory = tmp_path / "log"
    log = open_log(directory, platform_of(pid=31_337))
    append_many(log, 3)
    (directory / "x.tmp").touch()
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    files = FailingFiles()
    for _ in range(3):
        with pytest.raises(LogHeldError) as caught:
            open_log(directory, platform_of(files))
        assert caught.value.pid == 31_337
    assert files.open_files == []
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    log.close()
    open_log(directory).close()


def test_a_second_writer_in_another_process_is_told_the_pid_of_the_first(tmp_path: Path):
    script = """
import sys, pathlib
from yoi_runtime.errors import LogHeldError
from yoi_runtime.segment_log.writer import LogWriter
try:
    log = LogWriter.open(pathlib.Path(sys.argv[1]))
except LogHeldError as error:
    print("held", error.pid)
else:
    print("open", flush=True)
    sys.stdin.read()
    log.close()
"""
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    log = LogWriter.open(tmp_path / "log")
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["held", str(os.getpid())]
    log.close()
    other = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "open\n"
    with pytest.raises(LogHeldError) as caught:
        LogWriter.open(tmp_path / "log")
    assert caught.value.pid == other.pid
    other.communicate()
    assert other.returncode == 0
    LogWriter.open(tmp_path / "log").close()


def test_a_directory_that_was_replaced_ends_the_writer_at_the_next_roll(tmp_path: Path):
    directory = tmp_path / "log"
    log = open_log(directory)
    append_many(log, 3)
    log.check_place()
    directory.rename(tmp_path / "moved")
    other = open_log(directory, platform_of(seed=2))
    append_many(other, 2)
    other.check_place()
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(LogBrokenError, match="removed or replaced"):
        log.roll()
    with pytest.raises(LogBrokenError):
        log.append(body("x"))
    with pytest.raises(LogBrokenError):
        log.rotate_out(0)
    with pytest.raises(LogBrokenError):
        log.close()
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    other.close()


def test_a_directory_that_was_removed_ends_the_writer_at_the_next_roll(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 3)
    shutil.rmtree(tmp_path / "log")
    with pytest.raises(LogBrokenError, match="removed or replaced"):
        log.roll()
    with pytest.raises(LogBrokenError):
        log.append(body("x"))


def test_a_forked_child_does_not_hold_the_log(tmp_path: Path):
    # multiprocessing's fork inherits every descriptor, and an inherited flock outlives its owner.
    script = """
import os, pathlib, signal, sys
from yoi_runtime.errors import LogClosedError
from yoi_runtime.segment_log.writer import LogWriter
log = LogWriter.open(pathlib.Path(sys.argv[1]))
log.append(b'"text":"parent"')
child = os.fork()
if child == 0:
    try:
        log.append(b'"text":"child"')
    except LogClosedError:
        print("closed", os.getpid(), flush=True)
    signal.pause()
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    word, child = process.stdout.readline().split()
    try:
        process.wait(30)
        assert word == "closed"
        log = LogWriter.open(tmp_path / "log")
        log.append(body("next"))
        log.close()
    finally:
        os.kill(int(child), signal.SIGKILL)
        process.stdout.close()
    assert all_seqs(tmp_path / "log") == [1, 2]


# Opening and closing.


def test_opening_always_begins_a_new_segment_and_a_clean_one_is_not_read(tmp_path: Path):
    directory = tmp_path / "log"
    log = open_log(directory)
    assert log.recovery is None
    appended = append_many(log, 5)
    log.close()
    before = (directory / segment_name(1)).read_bytes()
    files = FailingFiles()
    log = open_log(directory, platform_of(files, seed=2))
    assert log.recovery is None
    assert (log.end.segment, log.end.seq) == (2, 5)
    assert log.end.nonce != appended[0].position.nonce
    assert files.count("pread", segment_name(1)) == 1, "its header"
    append_many(log, 1)
    log.close()
    assert (directory / segment_name(1)).read_bytes() == before
    assert all_seqs(directory) == [1, 2, 3, 4, 5, 6]


def test_a_log_id_is_made_once(tmp_path: Path):
    ids = set()
    for seed in range(3):
        log = open_log(tmp_path / "log", platform_of(seed=seed))
        ids.add(log.log_id)
        log.close()
    assert len(ids) == 1
    other = open_log(tmp_path / "other", platform_of(seed=9))
    assert other.log_id not in ids
    assert len(other.log_id) == 16
    other.close()


def test_sync_commits_everything_appended_and_fails_once_closed(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 3, commit=False)
    log.sync()
    assert log.synced == log.shown == log.end
    log.sync()
    assert not log.closed
    log.close()
    assert log.closed
    with pytest.raises(LogClosedError):
        log.sync()


def test_closing_commits_marks_clean_and_lets_go_of_everything(tmp_path: Path):
    directory = tmp_path / "log"
    files = FailingFiles()
    log = open_log(directory, platform_of(files))
    append_many(log, 3, commit=False)
    log.close()
    log.close()
    assert files.open_files == []
    mark = read_watermark(directory, platform_of())
    assert (mark.clean, mark.shown, mark.synced) == (True, log.end, log.end)
    for refused in (lambda: log.append(body("x")), log.roll):
        with pytest.raises(LogClosedError):
            refused()


def test_a_log_closed_in_good_order_is_clean_after_a_power_cut():
    home, files = Path("/log"), MemoryFiles()
    log = open_log(home, platform_of(files))
    append_many(log, 5)
    log.close()
    for seed in range(20):
        survivor = files.cut_power(Random(seed))
        log = open_log(home, platform_of(survivor, seed=2))
        assert log.recovery is None
        log.close()


def test_closing_lets_go_of_everything_whatever_fails(tmp_path: Path):
    closes = 0
    for at in range(1, 20):
        files = FailingFiles()
        directory = tmp_path / f"log-{at}"
        log = open_log(directory, platform_of(files))
        append_many(log, 3, commit=False)
        files.fail(errno.EIO, at=at)
        try:
            log.close()
        except (OSError, LogBrokenError):
            closes += 1
        files.heal()
        assert files.open_files == [], f"call {at}: {files.calls[-1]}"
        again = open_log(directory)
        append_many(again, 1)
        again.close()
        assert all_seqs(directory) == [1, 2, 3, 4]
        if not files.struck:
            break
    assert closes == at - 1 > 5


def test_what_is_listed_as_sealed_is_the_same_after_reopening(tmp_path: Path):
    directory, clock = tmp_path / "log", ManualClock()
    log = open_log(directory, platform_of(clock=clock))
    for _ in range(5):
        append_many(log, 4)
        clock.pass_seconds(60)
        log.roll()
    before = list(log.sealed)
    log.close()
    clock.pass_seconds(30)
    log = open_log(directory, platform_of(clock=clock, seed=2))
    again = list(log.sealed)
    assert again[:5] == before
    assert [segment.sealed_us for segment in before] == [before[0].sealed_us + n * 60_000_000 for n in range(5)]
    assert (again[5].first_seq, again[5].last_seq, again[5].number) == (21, 20, 6)
    log.close()


def test_a_clock_that_leaps_ages_nothing(tmp_path: Path):
    directory, clock = tmp_path / "log", ManualClock()
    log = open_log(directory, platform_of(clock=clock))
    begun = log.begun_us
    clock.jump_wall(3650 * 86_400)
    assert log.roll().sealed_us == begun
    log.close()
    log = open_log(directory, platform_of(clock=clock))
    assert log.sealed[0].sealed_us == begun
    assert log.begun_us == begun, "a step of ten years between two runs is no time that passed"
    log.close()


def test_left_over_temporary_files_are_removed(tmp_path: Path):
    directory = tmp_path / "log"
    open_log(directory).close()
    (directory / segment_name(2).replace(".jsonl", ".tmp")).write_bytes(b"half a header")
    (directory / "catalog.tmp").touch()
    (directory / "notes.txt").touch()
    open_log(directory).close()
    assert sorted(path.name for path in directory.iterdir() if path.suffix in (".tmp", ".txt")) == ["notes.txt"]


def test_a_log_of_another_format_version_is_left_alone(tmp_path: Path):
    directory = tmp_path / "log"
    log = open_log(directory)
    append_many(log, 3)
    log.close()
    path = directory / segment_name(1)
    line, _, rest = path.read_bytes().partition(b"\n")
    fields = json.loads(line) | {"format": 2}
    del fields["crc"]
    path.write_bytes(seal_object(json.dumps(fields).encode()) + b"\n" + rest)
    (directory / "stray.tmp").touch()
    before = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "LOCK"}
    with pytest.raises(LogFormatError, match="format version 2"):
        open_log(directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "LOCK"} == before


def test_the_reserve_is_there_for_good_before_the_log_is_open(tmp_path: Path):
    directory = tmp_path / "log"
    files = FailingFiles()
    log = open_log(directory, platform_of(files))
    assert (directory / RESERVE).stat().st_size == SMALL.segment_bytes
    methods = [(call.method, call.name) for call in files.calls]
    assert ("fdatasync", RESERVE) in methods
    assert ("sync_directory", "log") in methods[methods.index(("open_write", RESERVE)) :]
    log.close()
    files.forget_calls()
    open_log(directory, platform_of(files)).close()
    assert files.count("allocate") == files.count("fdatasync", RESERVE) == 0


def test_without_room_for_a_reserve_the_log_opens_all_the_same(tmp_path: Path):
    directory = tmp_path / "log"
    files = FailingFiles()
    files.fail(errno.ENOSPC, "allocate")
    log = open_log(directory, platform_of(files))
    append_many(log, 1)
    assert not (directory / RESERVE).exists()
    log.close()
    files.fail(errno.ENOSPC, "allocate")
    files.fail(errno.EIO, "unlink", name=RESERVE)
    with pytest.raises(OSError, match="error"):
        open_log(directory, platform_of(files))
    assert files.open_files == []


def test_every_segment_gone_and_the_watermark_left_names_no_place_twice(tmp_path: Path):
    directory = tmp_path / "log"
    log = open_log(directory)
    append_many(log, 30)
    end = log.end
    log.close()
    for path in directory.glob("*.jsonl"):
        path.unlink()
    log = open_log(directory, platform_of(seed=2))
    assert log.end.segment == end.segment + 1
    assert log.end.seq == end.seq
    append_many(log, 1)
    log.close()
    assert all_seqs(directory) == [31]


def test_a_directory_where_a_segment_should_be_is_an_error_and_no_loss(tmp_path: Path):
    directory = tmp_path / "log"
    log = open_log(directory)
    append_many(log, 3)
    log.close()
    (directory / segment_name(2)).mkdir()
    with pytest.raises(OSError):
        open_log(directory)
    (directory / segment_name(2)).rmdir()
    open_log(directory).close()
    assert all_seqs(directory) == [1, 2, 3]


def test_a_damaged_watermark_costs_nothing_after_a_clean_close(tmp_path: Path):
    directory = tmp_path / "log"
    log = open_log(directory)
    append_many(log, 30)
    log.close()
    for content in (b"", b"rubbish" * 200, bytes(1024)):
        (directory / COMMITTED).write_bytes(content)
        log = open_log(directory)
        append_many(log, 1)
        log.close()
    damage(directory / COMMITTED, bytearray.clear)
    (directory / COMMITTED).unlink()
    log = open_log(directory)
    log.close()
    assert all_seqs(directory) == list(range(1, 34))

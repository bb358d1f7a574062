"""Reading: every record once, in order, from any place; every answer to a cursor from a real situation."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from random import Random

import pytest

from tests.faults.failing_files import READING, FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.segment_log.sample_log import (
    SMALL,
    append_many,
    body,
    damage,
    open_log,
    platform_of,
    read_all,
)
from tests.support.deadline import wait_until
from yoi_runtime.errors import (
    CursorAheadError,
    CursorExpiredError,
    CursorForeignError,
    CursorMalformedError,
    CursorUnknownError,
    LogFormatError,
    LogNotFoundError,
    LogUnavailableError,
    RecordCorruptError,
    SegmentGoneError,
)
from yoi_runtime.segment_log.cursor import Cursor, CursorToken, decode_token, encode_token, worker_tag
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.watermark import COMMITTED
from yoi_runtime.segment_log.writer import Appended, LogOptions, LogWriter

ROOT = Path(__file__).parents[2]


def reader_of(directory: Path, files: FailingFiles | None = None) -> LogReader:
    return LogReader(directory, platform_of(files))


def resolve(reader: LogReader, token: bytes | str) -> Position:
    return reader.resolve(decode_token(token if isinstance(token, str) else token.decode()))


def seqs_after(reader: LogReader, token: bytes | str) -> list[int]:
    """Return the seqs that a subscriber gets who resumes at ``token``."""
    return read_all(reader, resolve(reader, token)).seqs


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "log"


# Reading.


@pytest.mark.parametrize("max_bytes", [1, 2, 3, 100, 255, 256, 257, 300, 301, 302, 1000, 4095, 4096, 4097, 1 << 20])
def test_every_record_comes_once_in_order_across_rolls(directory: Path, max_bytes: int):
    log = open_log(directory)
    for seq in range(1, 81):
        log.append(body(seq, 37 * seq % 400))
    log.commit_once()
    assert len(log.sealed) > 5
    on_disk = [
        line
        for number in [*(segment.number for segment in log.sealed), log.end.segment]
        for line in (directory / segment_name(number)).read_bytes().splitlines(keepends=True)[1:]
    ]
    longest = max(map(len, on_disk))
    reader = reader_of(directory)
    position, lines = reader.floor(), []
    while (chunk := reader.read(position, max_bytes)) is not None:
        assert len(chunk.data) <= max(max_bytes, 256, longest)
        lines += chunk.data.splitlines(keepends=True)
        position = chunk.end
    assert lines == on_disk
    assert position == reader.end == log.end
    assert [json.loads(line)["envelope"]["text"] for line in lines] == [str(seq) for seq in range(1, 81)]
    log.close()


def test_every_place_is_a_place_to_read_on_from(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 40)
    reader = reader_of(directory)
    for place in appended:
        assert read_all(reader, place.position).seqs == list(range(place.position.seq + 1, 41))
    log.close()


@pytest.mark.parametrize("max_bytes", [1, 1000, 1 << 20])
def test_a_record_longer_than_asked_for_comes_alone_and_whole(directory: Path, max_bytes: int):
    log = open_log(directory, options=LogOptions())
    append_many(log, 1)
    log.append(body("long", 200_000))
    append_many(log, 1)
    reader = reader_of(directory)
    chunks = []
    position = reader.floor()
    while (chunk := reader.read(position, max_bytes)) is not None:
        chunks.append(chunk)
        position = chunk.end
    assert sum(chunk.records for chunk in chunks) == 3
    if max_bytes < 200_000:
        assert [chunk.records for chunk in chunks] == [1, 1, 1]
        assert len(chunks[1].data) > 200_000
    log.close()


def test_nothing_beyond_the_watermark_is_read_whatever_is_in_the_file(directory: Path):
    log = open_log(directory)
    reader = reader_of(directory)
    assert reader.read(reader.floor(), 4096) is None
    append_many(log, 3)
    append_many(log, 3, commit=False)
    assert read_all(reader).seqs == [], "as of the last refresh"
    assert reader.refresh()
    assert not reader.refresh()
    assert read_all(reader).seqs == [1, 2, 3]
    damage(directory / segment_name(1), lambda data: data.extend(b'{"kind":"event"'))
    assert read_all(reader).seqs == [1, 2, 3]
    assert reader.read(reader.end, 4096) is None
    assert reader.read(log.end, 4096) is None, "a place that was appended and not committed"
    log.close()


def test_a_roll_under_an_open_reader_is_followed(directory: Path):
    log = open_log(directory)
    reader = reader_of(directory)
    append_many(log, 3)
    reader.refresh()
    position = read_all(reader).end
    for start in range(4, 20, 4):
        log.roll()
        reader.refresh()
        assert reader.read(position, 4096) is None, "nothing new yet"
        append_many(log, 2)
        log.roll()
        append_many(log, 2)
        reader.refresh()
        found = read_all(reader, position)
        assert found.seqs == list(range(start, start + 4))
        position = found.end
    assert position == log.end
    log.close()


def test_the_end_of_a_segment_and_the_beginning_of_the_next_read_on_alike(directory: Path):
    log = open_log(directory)
    append_many(log, 3)
    end = log.end
    log.roll()
    log.roll()
    beginnings = [log.end]
    log.roll()
    append_many(log, 2)
    reader = reader_of(directory)
    beginnings.append(reader.floor()._replace(segment=4, nonce=log.end.nonce))
    assert read_all(reader, end).lines == read_all(reader, beginnings[0]).lines
    assert read_all(reader, end).seqs == [4, 5]
    log.close()


def test_a_reader_keeps_up_with_a_writer_that_appends_and_rolls(directory: Path):
    log = LogWriter(directory, SMALL, platform_of())
    total, rng = 1000, Random(5)
    sizes = [rng.choice((0, 10, 100, 1000)) for _ in range(total)]
    written: list[Appended] = []

    def append() -> None:
        written.extend(log.append(body(seq, size)) for seq, size in enumerate(sizes, 1))

    reader = reader_of(directory)
    position, lines, looks = reader.floor(), list[bytes](), 0
    thread = threading.Thread(target=append)
    thread.start()
    while len(lines) < total:
        looks += 1
        reader.refresh()
        while (chunk := reader.read(position, 1 + looks % 5000)) is not None:
            lines += chunk.data.splitlines(keepends=True)
            position = chunk.end
        if not thread.is_alive() and position == log.end:
            break
        if position == reader.end:
            wait_until(lambda: reader.refresh() or log.synced == log.end)
    thread.join()
    log.close()
    frames = [json.loads(line)["envelope"] for line in lines]
    assert [frame["seq"] for frame in frames] == list(range(1, total + 1))
    assert [len(frame["fill"]) for frame in frames] == sizes
    assert [frame["cursor"].encode() for frame in frames] == [appended.token for appended in written]
    assert len(log.sealed) > 80


_TAIL_SCRIPT = """
import hashlib, pathlib, sys
from tests.support.deadline import wait_until
from yoi_runtime.segment_log.reader import LogReader
reader = LogReader(pathlib.Path(sys.argv[1]))
position, last, digest, size = reader.floor(), int(sys.argv[2]), hashlib.sha256(), int(sys.argv[3])
print("ready", flush=True)
while position.seq < last:
    chunk = reader.read(position, size)
    if chunk is None:
        wait_until(reader.refresh, 30)
        continue
    assert chunk.start.seq == position.seq, (chunk.start, position)
    digest.update(chunk.data)
    position = chunk.end
print(digest.hexdigest())
"""


def test_readers_in_other_processes_get_the_same_bytes(directory: Path):
    log = LogWriter(directory, LogOptions(segment_bytes=20_000), platform_of())
    total = 4000
    command = [sys.executable, "-c", _TAIL_SCRIPT, str(directory), str(total)]
    readers = [
        subprocess.Popen([*command, str(size)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for size in (1, 5000, 60_000)
    ]
    for process in readers:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    append_many(log, total, 30, commit=False)
    log.wait_synced(log.end, 30)
    mine = hashlib.sha256(b"".join(read_all(reader_of(directory), max_bytes=1 << 16).lines)).hexdigest()
    for process in readers:
        output, _ = process.communicate(timeout=40)
        assert process.returncode == 0
        assert output.strip() == mine
    assert len(log.sealed) > 50
    log.close()


# Rotated out.


def test_a_segment_deleted_under_a_reader_is_read_to_its_end_and_gone_after_the_next_look(directory: Path):
    log = open_log(directory)
    append_many(log, 50)
    files = FailingFiles()
    reader = reader_of(directory, files)
    first = reader.read(reader.floor(), 1000)
    assert first is not None
    log.rotate_out(3)
    more = reader.read(first.end, 1 << 20)
    assert more is not None, "POSIX keeps an open file"
    assert more.start == first.end
    assert more.end.segment == 1
    assert segment_name(1) in files.open_files
    reader.relist()
    assert segment_name(1) not in files.open_files, "its bytes are given back to the disk"
    for place in (first.end, more.end._replace(offset=first.end.offset)):
        with pytest.raises(SegmentGoneError) as caught:
            reader.read(place, 1000)
        assert caught.value.segment == 1
    assert reader.segment_numbers()[0] == 4
    assert reader.floor().segment == 4
    log.close()


def test_a_reader_with_an_old_listing_finds_out_by_itself(directory: Path):
    log = open_log(directory)
    append_many(log, 50)
    reader = reader_of(directory)
    start = reader.floor()
    log.rotate_out(2)
    with pytest.raises(SegmentGoneError):
        reader.read(start, 1000)
    assert read_all(reader).seqs == list(range(log.sealed[0].first_seq, 51))
    log.close()


def test_a_reader_at_the_end_of_what_was_rotated_out_goes_on_only_where_nothing_is_missing(directory: Path):
    log = open_log(directory)
    append_many(log, 50)
    ends = [Position(segment.number, segment.nonce, segment.size_bytes, segment.last_seq) for segment in log.sealed]
    log.rotate_out(2)
    reader = reader_of(directory)
    with pytest.raises(SegmentGoneError):
        reader.read(ends[0], 1000)
    with pytest.raises(SegmentGoneError):
        reader.read(ends[1], 1000)
    # As a cursor, the end of the last one that is gone is the floor.
    assert reader.resolve(decode_token(reader.token_at(ends[1]))) == reader.floor()
    log.close()


def test_many_segments_take_few_descriptors(directory: Path):
    log = open_log(directory)
    append_many(log, 600)
    assert len(log.sealed) > 45
    files = FailingFiles()
    reader = reader_of(directory, files)
    assert len(read_all(reader).seqs) == 600
    assert len(files.open_files) <= 33
    assert len(read_all(reader).seqs) == 600
    reader.close()
    reader.close()
    assert files.open_files == []
    log.close()


# What a reader does to files.


def test_a_reader_writes_nothing_and_makes_no_file(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 50)
    files = FailingFiles()
    reader = reader_of(directory, files)
    read_all(reader)
    log.rotate_out(2)
    append_many(log, 20)
    reader.refresh()
    reader.relist()
    for place in appended:
        try:
            resolve(reader, place.token)
        except CursorExpiredError:
            continue
    damage(directory / segment_name(4), lambda data: data.__setitem__(600, 0))
    assert read_all(reader).gaps
    reader.is_replaced()
    reader.readable_bytes()
    reader.find_event(json.loads(read_all(reader).lines[-1])["envelope"]["event_id"])
    reader.close()
    methods = {call.method for call in files.calls}
    assert methods <= {"open_read", "pread", "stat", "list_directory", "close"} == READING
    assert len(methods) == 5
    log.close()


@pytest.mark.parametrize("error", [errno.EIO, errno.EMFILE, errno.EINTR])
def test_a_call_that_fails_costs_a_retry_and_no_record(directory: Path, error: int, record_property):
    log = open_log(directory)
    append_many(log, 40)
    log.close()
    at, injected = 0, 0
    while True:
        at += 1
        files = FailingFiles()
        reader = reader_of(directory, files)
        opened = len(files.calls)
        files.fail(error, at=at)
        position, seqs, failures = None, list[int](), []
        while True:
            try:
                position = position or reader.floor()
                chunk = reader.read(position, 700)
            except OSError as caught:
                failures.append(caught.errno)
                continue
            if chunk is None:
                break
            seqs += range(chunk.start.seq + 1, chunk.end.seq + 1)
            position = chunk.end
        assert seqs == list(range(1, 41)), f"call {at} of {len(files.calls) - opened}"
        files.heal()
        reader.close()
        injected += files.struck
        if not files.struck:
            break
        assert failures in ([], [error])
    record_property("reader calls failed", injected)
    assert injected > 30


def test_a_reader_that_cannot_be_opened_leaves_no_descriptor(directory: Path):
    log = open_log(directory)
    append_many(log, 3)
    log.close()
    for at in range(1, 4):
        files = FailingFiles()
        files.fail(errno.EMFILE, at=at)
        with pytest.raises(OSError) as caught:
            reader_of(directory, files)
        assert caught.value.errno == errno.EMFILE
        assert files.open_files == []
    damage(directory / COMMITTED, lambda data: data.__setitem__(slice(0, 1024), b"x" * 1024))
    files = FailingFiles()
    with pytest.raises(LogFormatError):
        reader_of(directory, files)
    assert files.open_files == []


def test_before_a_writer_has_opened_it_there_is_no_log(directory: Path):
    with pytest.raises(LogNotFoundError):
        reader_of(directory)
    directory.mkdir()
    with pytest.raises(LogNotFoundError):
        reader_of(directory)
    (directory / COMMITTED).touch()
    with pytest.raises(LogNotFoundError):
        reader_of(directory)


def test_a_log_without_readable_segments_has_no_floor(directory: Path):
    log = open_log(directory)
    log.close()
    reader = reader_of(directory)
    (directory / segment_name(1)).unlink()
    reader = reader_of(directory)
    with pytest.raises(LogUnavailableError):
        reader.floor()
    with pytest.raises(LogUnavailableError):
        resolve(reader, reader.token_at(log.end))


def test_what_a_reader_knows_of_the_log(directory: Path):
    log = open_log(directory)
    append_many(log, 30)
    reader = reader_of(directory)
    assert reader.log_id == log.log_id
    assert reader.end == reader.watermark.shown == log.end
    numbers = reader.segment_numbers()
    assert numbers == [*(segment.number for segment in log.sealed), log.end.segment]
    sizes = [(directory / segment_name(number)).stat().st_size for number in numbers]
    assert [reader.segment_size(number) for number in numbers] == sizes
    assert reader.readable_bytes() == sum(sizes)
    append_many(log, 1, commit=False)
    assert reader.readable_bytes() == sum(sizes), "up to the watermark"
    with pytest.raises(SegmentGoneError):
        reader.segment_size(99)
    token = reader.token_at(log.shown, worker_tag("w"), 3)
    assert decode_token(token)[3:] == (log.shown.offset, log.shown.seq, worker_tag("w"), 3)
    log.close()


def test_a_log_that_was_replaced_is_noticed(directory: Path):
    log = open_log(directory)
    reader = reader_of(directory)
    assert not reader.is_replaced()
    append_many(log, 30)
    log.close()
    open_log(directory).close()
    assert not reader.is_replaced()
    shutil.rmtree(directory)
    assert reader.is_replaced()
    open_log(directory, platform_of(seed=2)).close()
    assert reader.is_replaced()
    assert not reader_of(directory).is_replaced()


# Answers to a cursor.


def test_every_token_ever_issued_resumes_just_after_its_event(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 40)
    reader = reader_of(directory)
    for place in appended:
        assert resolve(reader, place.token) == place.position
        assert seqs_after(reader, place.token)[:1] == list(range(place.position.seq + 1, 41))[:1]
    assert resolve(reader, reader.token_at(reader.floor())) == reader.floor()
    log.close()
    log = open_log(directory, platform_of(seed=2))
    append_many(log, 10)
    log.close()
    reader = reader_of(directory)
    for place in appended:
        assert seqs_after(reader, place.token) == list(range(place.position.seq + 1, 51))


def test_resolving_reads_little_whatever_the_size_of_the_log(directory: Path):
    log = open_log(directory, options=LogOptions(segment_bytes=1 << 20))
    appended = append_many(log, 3000, 200)
    log.close()
    files = FailingFiles()
    reader = reader_of(directory, files)
    for place in (appended[0], appended[1500], appended[-1]):
        files.forget_calls()
        resolve(reader, place.token)
        assert files.count("pread") <= 3


def test_a_changed_token_is_malformed(directory: Path):
    log = open_log(directory)
    token = log.append(body("a")).token.decode()
    log.close()
    for at in range(len(token)):
        with pytest.raises(CursorMalformedError):
            decode_token(token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :])


def test_a_token_of_another_directory_is_foreign(directory: Path, tmp_path: Path):
    log = open_log(directory)
    append_many(log, 3)
    other = open_log(tmp_path / "other", platform_of(seed=2))
    token = append_many(other, 3)[1].token
    with pytest.raises(CursorForeignError) as caught:
        resolve(reader_of(directory), token)
    assert (caught.value.cursor_log_id, caught.value.log_id) == (other.log_id, log.log_id)
    assert caught.value.token == token.decode()
    log.close()
    other.close()


def test_a_wiped_directory_makes_every_token_foreign(directory: Path):
    log = open_log(directory)
    token = append_many(log, 3)[1].token
    log.close()
    shutil.rmtree(directory)
    log = open_log(directory, platform_of(seed=2))
    append_many(log, 5)
    log.close()
    with pytest.raises(CursorForeignError):
        resolve(reader_of(directory), token)


def test_a_token_expires_when_an_event_after_it_is_rotated_out_and_not_before(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 50)
    reader = reader_of(directory)
    start = reader.token_at(reader.floor())
    gone_seq = log.sealed[1].last_seq
    log.rotate_out(2)
    reader.relist()
    floor = reader.token_at(reader.floor())
    for place in appended:
        if place.position.seq < gone_seq:
            with pytest.raises(CursorExpiredError) as caught:
                resolve(reader, place.token)
            assert caught.value.floor == floor
        else:
            # The last event that was rotated out is the point before the floor: nothing after it is missing.
            assert seqs_after(reader, place.token) == list(range(place.position.seq + 1, 51))
    assert resolve(reader, appended[gone_seq - 1].token) == reader.floor()
    with pytest.raises(CursorExpiredError):
        resolve(reader, start)
    log.close()


def test_a_token_expires_under_a_reader_that_has_not_looked_since(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 60)
    for rotated in (1, 2):
        # With headers known and files open, with neither, and with the first alone.
        fresh, used, half = reader_of(directory), reader_of(directory), reader_of(directory)
        read_all(used)
        half.floor()
        gone = log.sealed[rotated - 1].last_seq
        log.rotate_out(rotated)
        for reader in (fresh, used, half):
            for place in appended[:45]:
                try:
                    position = resolve(reader, place.token)
                except CursorExpiredError:
                    assert place.position.seq < gone
                    continue
                # A reader that still holds the file may go on in it: nothing is lost by that.
                assert position.seq == place.position.seq
            reader.close()
    log.close()


def test_empty_segments_between_do_not_make_a_token_expire(directory: Path):
    log = open_log(directory)
    token = append_many(log, 3)[-1].token
    for _ in range(3):
        log.roll()
    append_many(log, 2)
    log.rotate_out(3)
    reader = reader_of(directory)
    assert resolve(reader, token) == reader.floor()
    assert seqs_after(reader, token) == [4, 5]
    log.close()


def test_a_lost_tail_is_ahead_also_when_others_have_taken_its_numbers(directory: Path):
    log = open_log(directory)
    kept = append_many(log, 3)
    lost = append_many(log, 5, commit=False)
    log._writer_lock.release()
    damage(directory / segment_name(1), lambda data: data.__delitem__(slice(kept[-1].position.offset, None)))
    before_recovery = reader_of(directory)
    for place in lost:
        with pytest.raises(CursorAheadError):
            resolve(before_recovery, place.token)
    log = open_log(directory, platform_of(seed=2))
    again = append_many(log, 8)
    assert again[4].position.seq == lost[4].position.seq
    reader = reader_of(directory)
    for place in lost:
        with pytest.raises(CursorAheadError):
            resolve(reader, place.token)
    for place in (*kept, *again):
        assert seqs_after(reader, place.token) == list(range(place.position.seq + 1, 12))
    log.close()


def test_a_lost_tail_is_not_taken_for_a_good_place_after_its_segment_is_rotated_out(directory: Path):
    log = open_log(directory)
    kept = append_many(log, 3)
    lost = append_many(log, 8, commit=False)
    log._writer_lock.release()
    damage(directory / segment_name(1), lambda data: data.__delitem__(slice(kept[-1].position.offset, None)))
    log = open_log(directory, platform_of(seed=2))
    append_many(log, 3)
    log.roll()
    append_many(log, 3)
    log.rotate_out(1)
    reader = reader_of(directory)
    # The floor is seq 3. The lost events had seqs 4 to 11, and others bear those now.
    assert reader.floor().seq == 3
    for place in lost:
        with pytest.raises(CursorUnknownError):
            resolve(reader, place.token)
    assert resolve(reader, kept[-1].token) == reader.floor()
    log.rotate_out(1)
    reader.relist()
    assert reader.floor().seq == 6
    for place in lost:
        with pytest.raises(CursorExpiredError if place.position.seq < 6 else CursorUnknownError):
            resolve(reader, place.token)
    log.close()


def test_the_same_number_and_seq_in_another_segment_before_the_floor_is_unknown(directory: Path, tmp_path: Path):
    # Two histories of one log: a copy was taken, both went on, and the copy came back.
    log = open_log(directory)
    append_many(log, 3)
    log.close()
    shutil.copytree(directory, tmp_path / "copy")
    log = open_log(directory, platform_of(seed=2))
    mine = append_many(log, 4)
    log.close()
    log = open_log(tmp_path / "copy", platform_of(seed=3))
    append_many(log, 4)
    log.roll()
    append_many(log, 2)
    log.rotate_out(2)
    reader = reader_of(tmp_path / "copy")
    assert reader.floor()[0::3] == (3, 7) == (3, mine[-1].position.seq)
    with pytest.raises(CursorUnknownError):
        resolve(reader, mine[-1].token)
    log.close()


def test_an_offset_inside_a_record_or_a_wrong_seq_is_unknown(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 30)
    reader = reader_of(directory)
    middle, sealed_end, active = appended[2], appended[9], appended[-2]
    assert sealed_end.position.segment == 1
    places = 0
    for place in (middle, active):
        cursor = decode_token(place.token.decode())
        for shift in [*range(-300, 0), *range(1, 100)]:
            changed = cursor._replace(offset=cursor.offset + shift)
            if (changed.offset, changed.segment) in [(a.position.offset, a.position.segment) for a in appended]:
                continue
            with pytest.raises(CursorUnknownError):
                reader.resolve(changed)
            places += 1
        for seq in (0, cursor.seq - 1, cursor.seq + 1, 2**50):
            with pytest.raises(CursorUnknownError):
                reader.resolve(cursor._replace(seq=seq))
    for offset in (0, 1, 100):
        with pytest.raises(CursorUnknownError):
            reader.resolve(decode_token(middle.token.decode())._replace(offset=offset, seq=0))
    assert places > 700
    log.close()


def test_beyond_the_end_is_ahead(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 30)
    reader = reader_of(directory)
    last = decode_token(appended[-1].token.decode())
    sealed = decode_token(appended[3].token.decode())
    for cursor in (
        last._replace(offset=last.offset + 1),
        last._replace(offset=2**40 - 1),
        last._replace(segment=last.segment + 1),
        last._replace(segment=2**40 - 1),
        sealed._replace(offset=log.sealed[0].size_bytes + 1),
        sealed._replace(offset=2**40 - 1),
    ):
        with pytest.raises(CursorAheadError):
            reader.resolve(cursor)
    log.close()


def test_another_nonce_is_unknown_and_says_so_before_it_looks_at_offsets(directory: Path):
    log = open_log(directory)
    cursor = decode_token(append_many(log, 30)[2].token.decode())
    reader = reader_of(directory)
    for changed in (
        cursor._replace(nonce_prefix=cursor.nonce_prefix ^ 1),
        cursor._replace(nonce_prefix=0, offset=2**39),
    ):
        with pytest.raises(CursorUnknownError, match="another one of that number"):
            reader.resolve(changed)
    log.close()


def test_a_restored_copy_answers_every_token_of_the_other_history(directory: Path, tmp_path: Path):
    log = open_log(directory)
    common = append_many(log, 30)
    log.close()
    shutil.copytree(directory, tmp_path / "backup")
    log = open_log(directory, platform_of(seed=2))
    old = append_many(log, 100)
    log.close()
    shutil.rmtree(directory)
    shutil.copytree(tmp_path / "backup", directory)
    log = open_log(directory, platform_of(seed=3))
    new = append_many(log, 100)
    log.close()
    reader = reader_of(directory)
    refused = 0
    for place in old:
        with pytest.raises((CursorUnknownError, CursorAheadError)):
            resolve(reader, place.token)
        refused += 1
    assert refused == 100
    for place in (*common, *new):
        assert seqs_after(reader, place.token) == list(range(place.position.seq + 1, 131))


def test_what_is_appended_and_not_committed_is_unavailable_for_a_moment(directory: Path):
    log = open_log(directory)
    reader = reader_of(directory)
    appended = append_many(log, 3, commit=False)
    for place in appended:
        with pytest.raises(LogUnavailableError):
            resolve(reader, place.token)
    log.commit_once()
    for place in appended:
        assert resolve(reader, place.token) == place.position
    log.close()


def test_a_reader_that_has_not_looked_for_long_knows_the_newest_token(directory: Path):
    log = open_log(directory)
    reader = reader_of(directory)
    for _ in range(4):
        place = append_many(log, 30)[-1]
        assert resolve(reader, place.token) == place.position
    log.close()


def test_until_a_writer_has_opened_the_log_after_a_power_cut_newer_places_are_unavailable():
    # The slot on the disk may be older than what was shown: sync makes records durable, not the slot.
    files, home = MemoryFiles(), Path("/log")
    log = open_log(home, platform_of(files))
    early = append_many(log, 5)
    outdated = files.read_bytes(home / COMMITTED)
    late = append_many(log, 60)
    assert late[-1].position.segment > 3
    files.kill()
    files.write_bytes(home / COMMITTED, outdated)
    reader = LogReader(home, platform_of(files))
    assert reader.end == early[-1].position
    for place in early:
        assert resolve(reader, place.token) == place.position
    for place in late:
        with pytest.raises(LogUnavailableError):
            resolve(reader, place.token)
    beyond = decode_token(late[-1].token.decode())
    with pytest.raises(CursorAheadError):
        reader.resolve(beyond._replace(offset=beyond.offset + 1))
    with pytest.raises(CursorAheadError):
        reader.resolve(beyond._replace(segment=beyond.segment + 1))
    with pytest.raises(CursorUnknownError):
        reader.resolve(beyond._replace(nonce_prefix=beyond.nonce_prefix ^ 1))
    log = open_log(home, platform_of(files, seed=2, boot="boot-2"))
    append_many(log, 2)
    reader = LogReader(home, platform_of(files))
    for place in (*early, *late):
        assert seqs_after(reader, place.token) == list(range(place.position.seq + 1, 68))
    log.close()


def test_a_token_into_a_segment_that_cannot_be_read_at_all_is_unknown(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 50)
    log.close()
    damage(directory / segment_name(2), lambda data: data.__setitem__(30, 0))
    (directory / segment_name(4)).unlink()
    reader = reader_of(directory)
    counts = {"unknown": 0, "good": 0}
    for place in appended:
        if place.position.segment in (2, 4):
            with pytest.raises(CursorUnknownError):
                resolve(reader, place.token)
            counts["unknown"] += 1
        else:
            assert resolve(reader, place.token) == place.position
            counts["good"] += 1
    assert min(counts.values()) > 15


def test_the_scope_of_a_token_does_not_matter_to_its_place(directory: Path):
    log = open_log(directory)
    place = log.append(body("a"), worker_tag("w1"), 5)
    log.commit_once()
    reader = reader_of(directory)
    assert resolve(reader, place.token) == resolve(reader, reader.token_at(place.position)) == place.position
    log.close()


# Event ids.


def test_an_event_id_leads_to_the_place_after_its_event(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 40)
    reader = reader_of(directory)
    ids = [json.loads(line)["envelope"]["event_id"] for line in read_all(reader).lines]
    assert len(set(ids)) == 40
    for event_id, place in zip(ids, appended, strict=True):
        assert reader.find_event(event_id) == place.position
    log.append(body("not committed"))
    nonce = ids[-1].rpartition("-")[0]
    for unknown in (f"{nonce}-29", f"{nonce}-fffffff", f"{nonce}-1", f"AAAAAAAAAAA-{1:x}"):
        with pytest.raises(CursorUnknownError):
            reader.find_event(unknown)
    for malformed in ("", "x", ids[0].upper() + "!", ids[0] + "\n", f"{nonce}-", f"{nonce}-{2**60:x}", "snapshot:wo1"):
        with pytest.raises(CursorMalformedError):
            reader.find_event(malformed)
    log.rotate_out(1)
    reader.relist()
    with pytest.raises(CursorUnknownError):
        reader.find_event(ids[0])
    log.close()


def test_an_event_behind_damage_is_found_and_a_damaged_one_is_unknown(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 40)
    log.close()
    ids = [json.loads(line)["envelope"]["event_id"] for line in read_all(reader_of(directory)).lines]
    damage(directory / segment_name(1), lambda data: data.__setitem__(appended[3].position.offset - 50, 0))
    reader = reader_of(directory)
    with pytest.raises(CursorUnknownError):
        reader.find_event(ids[3])
    assert reader.find_event(ids[5]) == appended[5].position
    assert reader.find_event(ids[2]) == appended[2].position


def test_an_event_id_whose_segment_was_rotated_out_under_the_reader_is_unknown(directory: Path):
    log = open_log(directory)
    append_many(log, 40)
    for used in (False, True):
        reader = reader_of(directory)
        event_id = json.loads(read_all(reader).lines[0])["envelope"]["event_id"]
        if not used:
            reader = reader_of(directory)
            reader.floor()
        log.rotate_out(1)
        try:
            reader.find_event(event_id)
        except CursorUnknownError:
            continue
        assert used, "only one that still holds the file may find it"
    log.close()


# Damage. The tables of shapes are in test_corruption.


def test_damage_is_announced_with_its_place_and_the_way_on(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 30)
    log.close()
    bad = appended[4].position
    damage(directory / segment_name(1), lambda data: data.__setitem__(bad.offset - 20, data[bad.offset - 20] ^ 1))
    reader = reader_of(directory)
    before = appended[3].position
    with pytest.raises(RecordCorruptError) as caught:
        reader.read(before, 4096)
    error = caught.value
    assert (error.segment, error.offset, error.seq) == (1, before.offset, 5)
    assert error.file == directory / segment_name(1)
    assert (error.resume_segment, error.resume_offset, error.resume_seq) == (1, bad.offset, 5)
    assert reader.after_damage(error) == bad
    found = read_all(reader)
    assert found.seqs == [*range(1, 5), *range(6, 31)]
    assert found.lost == [5]


def test_after_damage_in_a_segment_that_was_rotated_out_meanwhile_the_reader_is_told(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 30)
    bad = appended[4].position
    damage(directory / segment_name(1), lambda data: data.__setitem__(bad.offset - 20, 0))
    reader = reader_of(directory)
    with pytest.raises(RecordCorruptError) as caught:
        reader.read(appended[3].position, 4096)
    log.rotate_out(1)
    reader.relist()
    with pytest.raises(SegmentGoneError):
        reader.after_damage(caught.value)
    log.close()


def test_nothing_is_kept_between_two_reads_so_a_splice_cannot_happen(directory: Path):
    # The reader meets half a record, the writer takes it back and writes another one: the second one is what comes.
    log = open_log(directory)
    append_many(log, 2)
    reader = reader_of(directory)
    path = directory / segment_name(1)
    end = log.end.offset
    old = log.append(body("delete nothing", 50))
    half = (old.position.offset - end) // 2
    whole = path.read_bytes()
    path.write_bytes(whole[: end + half])
    reader.refresh()
    assert reader.read(reader.end, 1 << 20) is None
    path.write_bytes(whole)
    log.commit_once()
    reader.refresh()
    assert read_all(reader).seqs == [1, 2, 3]
    log.close()


def test_a_cursor_is_compared_by_its_text(directory: Path):
    log = open_log(directory)
    place = append_many(log, 1)[0]
    reader = reader_of(directory)
    assert reader.token_at(place.position) == place.token.decode() == CursorToken(place.token.decode())
    assert encode_token(decode_token(place.token.decode())) == reader.token_at(place.position)
    assert isinstance(decode_token(place.token.decode()), Cursor)
    log.close()

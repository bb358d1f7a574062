"""Reading: every record once, in order, from any place, whatever the writer does meanwhile."""

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
from tests.segment_log.sample_log import (
    SMALL,
    append_many,
    body,
    damage,
    open_log,
    platform_of,
    read_all,
    resolve,
)
from tests.support.deadline import wait_until
from yoi_runtime.errors import (
    CursorExpiredError,
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
def test_a_call_that_fails_costs_a_retry_and_no_record(directory: Path, error: int, exercised):
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
    exercised("reader calls failed", injected)
    assert injected > 30


def test_opening_and_resuming_list_no_directory_and_read_two_headers(directory: Path):
    log = open_log(directory)
    places = append_many(log, 60)
    log.close()
    assert len(log.sealed) > 3
    for place in (places[0], places[30]):
        files = FailingFiles()
        reader = LogReader(directory, platform_of(files))
        assert resolve(reader, place.token) == place.position
        assert files.count("list_directory") == 0
        assert files.count("open_read") == 4, "COMMITTED, the header of the segment and of the next, the record"
        reader.close()


def test_a_segment_that_went_between_opening_and_resuming_is_not_resumed_in(directory: Path):
    log = open_log(directory)
    places = append_many(log, 60)
    readers = [LogReader(directory, platform_of()) for _ in range(3)]
    assert resolve(readers[1], places[0].token) == places[0].position
    assert readers[2].segment_numbers()[0] == 1
    log.rotate_out(2)
    for reader in readers:
        reader.relist()
        with pytest.raises(CursorExpiredError):
            resolve(reader, places[0].token)
        assert resolve(reader, places[-1].token) == places[-1].position
        reader.close()
    late = LogReader(directory, platform_of())
    with pytest.raises(CursorExpiredError):
        resolve(late, places[0].token)
    late.close()
    log.close()


def test_a_reader_that_cannot_be_opened_leaves_no_descriptor(directory: Path):
    log = open_log(directory)
    append_many(log, 3)
    log.close()
    for at in range(1, 3):
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


def test_what_moves_below_the_watermark_is_not_shown_before_its_time(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 4)
    append_many(log, 3, commit=False)
    # A whole record is taken out of the file: what lies behind it moves to the front.
    first, last = appended[0].position.offset, appended[1].position.offset
    damage(directory / segment_name(1), lambda data: data.__delitem__(slice(first, last)))
    reader = reader_of(directory)
    found = read_all(reader)
    assert (found.seqs, found.lost) == ([1, 3, 4], [2])
    assert reader.read(found.end, 1 << 20) is None
    log.commit_once()
    reader.refresh()
    assert read_all(reader, found.end).seqs == [5, 6, 7]
    log.close()


def test_damage_is_not_announced_for_what_is_not_shown_yet(directory: Path):
    log = open_log(directory)
    appended = [*append_many(log, 1), *append_many(log, 1, 900), *append_many(log, 2)]
    appended += append_many(log, 4, 10, commit=False)
    ends = [place.position.offset for place in appended]

    def spoil(data: bytearray) -> None:
        data[ends[3] - 30] ^= 1
        data[ends[4] - 30] ^= 1
        del data[ends[0] : ends[1]]

    damage(directory / segment_name(1), spoil)
    reader = reader_of(directory)
    assert ends[5] - (ends[1] - ends[0]) < reader.end.offset, "seq 6 lies below the watermark's offset now"
    found = read_all(reader)
    assert (found.seqs, found.lost, found.end) == ([1, 3], [2, 4], reader.end)
    log.close()


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

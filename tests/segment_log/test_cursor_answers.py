"""Answers to a cursor and to an event id, each from a situation that really comes about."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.failing_files import FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.segment_log.conftest import Exercised
from tests.segment_log.sample_log import (
    append_many,
    body,
    damage,
    open_log,
    platform_of,
    read_all,
    resolve,
)
from yoi_runtime.errors import (
    CursorAheadError,
    CursorExpiredError,
    CursorForeignError,
    CursorMalformedError,
    CursorUnknownError,
    LogUnavailableError,
)
from yoi_runtime.segment_log.cursor import decode_token, worker_tag
from yoi_runtime.segment_log.platform import FileOps, RealFileOps
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.segment import MAX_HEADER_BYTES, segment_name
from yoi_runtime.segment_log.watermark import COMMITTED
from yoi_runtime.segment_log.writer import LogOptions


def reader_of(directory: Path, files: FileOps | None = None) -> LogReader:
    return LogReader(directory, platform_of(files))


def seqs_after(reader: LogReader, token: bytes | str) -> list[int]:
    """Return the seqs that a subscriber gets who resumes at ``token``."""
    return read_all(reader, resolve(reader, token)).seqs


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "log"


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


def test_a_reader_whose_every_segment_was_rotated_out_finds_the_new_ones(directory: Path):
    log = open_log(directory)
    first = append_many(log, 1)[0]
    reader = reader_of(directory)
    append_many(log, 40)
    gone = log.sealed[-1].last_seq
    log.rotate_out(len(log.sealed))
    with pytest.raises(CursorExpiredError):
        resolve(reader, first.token)
    assert reader_of(directory).floor() == reader.floor()
    assert reader.floor().seq == gone
    log.close()


def test_a_token_with_empty_segments_between_it_and_the_floor_is_unknown(directory: Path):
    """Its segment is gone, and only of the last one that went is it known how it ended: it may be of a lost tail."""
    log = open_log(directory)
    token = append_many(log, 3)[-1].token
    for _ in range(3):
        log.roll()
    append_many(log, 2)
    log.rotate_out(3)
    reader = reader_of(directory)
    with pytest.raises(CursorUnknownError):
        resolve(reader, token)
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


def test_a_lost_tail_is_not_taken_for_a_good_place_behind_empty_segments(directory: Path):
    log = open_log(directory)
    kept = append_many(log, 3)
    lost = append_many(log, 5, commit=False)
    log._writer_lock.release()
    damage(directory / segment_name(1), lambda data: data.__delitem__(slice(kept[-1].position.offset, None)))
    log = open_log(directory, platform_of(seed=2))
    log.roll()
    append_many(log, 10)
    log.rotate_out(2)
    reader = reader_of(directory)
    assert reader.floor()[0::3] == (3, 3)
    for place in [kept[-1], *lost]:
        with pytest.raises(CursorUnknownError):
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
        place = append_many(log, 30)[-1]
        event_id = json.loads(read_all(reader_of(directory)).lines[-1])["envelope"]["event_id"]
        assert reader.find_event(event_id) == place.position
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


class MeasuredFiles(RealFileOps):
    """Real files that count the bytes read of each."""

    def __init__(self) -> None:
        self.read: Counter[str] = Counter()
        self._names: dict[int, str] = {}

    def open_read(self, path: Path) -> int:
        fd = super().open_read(path)
        self._names[fd] = path.name
        return fd

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        data = super().pread(fd, size, offset)
        self.read[self._names[fd]] += len(data)
        return data


@pytest.mark.parametrize("segment_bytes", [4096, 64 << 10])
def test_an_event_is_found_by_reading_its_segment_and_few_headers(
    directory: Path, segment_bytes: int, exercised: Exercised
):
    """Also of an event id that the log does not have: then no segment at all."""
    log = open_log(directory, options=LogOptions(segment_bytes=segment_bytes))
    count = 100 * segment_bytes // 550
    appended = append_many(log, count, size=100)
    log.close()
    segments = log.end.segment
    assert segments > 50
    ids = [json.loads(line)["envelope"]["event_id"] for line in read_all(reader_of(directory)).lines]
    headers = segments.bit_length() + 1
    for index in [*range(0, count, count // 40), count - 1]:
        files = MeasuredFiles()
        reader = reader_of(directory, files)
        assert reader.find_event(ids[index]) == appended[index].position
        reader.close()
        own = segment_name(appended[index].position.segment)
        marks = files.read.pop(COMMITTED)
        assert files.read.pop(own) <= (directory / own).stat().st_size + MAX_HEADER_BYTES
        assert sum(files.read.values()) <= headers * MAX_HEADER_BYTES
        assert max(files.read.values(), default=0) <= MAX_HEADER_BYTES
        assert marks < 16 << 10
    files = MeasuredFiles()
    reader = reader_of(directory, files)
    with pytest.raises(CursorUnknownError):
        reader.find_event("AAAAAAAAAAA-" + ids[count // 2].rpartition("-")[2])
    reader.close()
    files.read.pop(COMMITTED)
    assert sum(files.read.values()) <= headers * MAX_HEADER_BYTES
    exercised("events found by their id", 41)


def test_an_event_is_found_past_a_header_that_cannot_be_read(directory: Path):
    log = open_log(directory)
    appended = append_many(log, 100)
    log.close()
    ids = [json.loads(line)["envelope"]["event_id"] for line in read_all(reader_of(directory)).lines]
    middle = (log.end.segment + 1) // 2
    damage(directory / segment_name(middle), lambda data: data.__setitem__(10, 0))
    reader = reader_of(directory)
    for event_id, place in zip(ids, appended, strict=True):
        if place.position.segment == middle:
            with pytest.raises(CursorUnknownError):
                reader.find_event(event_id)
        else:
            assert reader.find_event(event_id) == place.position
    reader.close()


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

"""Several records in one write: the same records as one by one, in the log together or not at all."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.failing_files import Call, FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.segment_log.sample_log import SMALL, all_seqs, append_many, body, open_log, platform_of, read_all, resolve
from tests.segment_log.test_interrupts import InterruptedFiles
from yoi_runtime.errors import LogBrokenError, LogBusyError, LogClosedError, LogFullError, RecordTooLargeError
from yoi_runtime.segment_log.cursor import NO_WORKER, decode_token, worker_tag
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

TAG = worker_tag("w")
BIG = LogOptions(segment_bytes=1 << 20)


def bodies(first: int, last: int, size: int = 100) -> list[tuple[str, bytes]]:
    """Return bodies that say their own number; half of each in its head."""
    return [(f'"head":{number},', body(number, size)) for number in range(first, last + 1)]


def append_run(log: LogWriter, run: Sequence[tuple[str, bytes]], worker_seq: int | None = 1) -> list[bytes]:
    with log.lock:
        heads, tails = [head for head, _ in run], [tail for _, tail in run]
        return log.append_run_held(heads, tails, TAG if worker_seq is not None else NO_WORKER, worker_seq)


@pytest.mark.parametrize("worker_seq", [7, None], ids=["of a Worker", "of the Runtime"])
def test_a_run_is_the_same_bytes_as_its_records_one_by_one(tmp_path: Path, worker_seq: int | None):
    together, singly = open_log(tmp_path / "a", options=BIG), open_log(tmp_path / "b", options=BIG)
    tokens = append_run(together, bodies(1, 20), worker_seq)
    expected = []
    for number, (head, tail) in enumerate(bodies(1, 20)):
        of = (NO_WORKER, 0) if worker_seq is None else (TAG, worker_seq + number)
        expected.append(singly.append(head.encode() + tail, *of).token)
    assert tokens == expected
    assert together.end == singly.end
    for log in (together, singly):
        log.close()
    name = segment_name(1)
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_run_takes_one_write_and_ends_with_its_segment(tmp_path: Path):
    files = FailingFiles()
    log = open_log(tmp_path / "log", platform_of(files))
    rest, taken = bodies(1, 60), list[bytes]()
    while rest:
        before = len(files.calls)
        tokens = append_run(log, rest, len(taken) + 1)
        assert files.calls[before:].count(Call("pwrite", segment_name(log.active_number))) == 1
        rest = rest[len(tokens) :]
        taken += tokens
    assert len(taken) == 60
    assert log.active_number > 4
    log.close()
    assert all_seqs(tmp_path / "log") == list(range(1, 61))
    reader = LogReader(tmp_path / "log")
    assert [resolve(reader, token).seq for token in taken] == list(range(1, 61))
    assert [decode_token(token.decode()).worker_seq for token in taken] == list(range(1, 61))


def test_a_record_that_is_too_large_ends_a_run_and_is_refused_alone(tmp_path: Path):
    log = open_log(tmp_path / "log", options=LogOptions(segment_bytes=1 << 20, max_record_bytes=2000))
    run = [*bodies(1, 3), ("", body("large", 3000)), *bodies(5, 6)]
    assert len(append_run(log, run)) == 3
    with pytest.raises(RecordTooLargeError):
        append_run(log, run[3:])
    assert log.end.seq == 3
    assert len(append_run(log, run[4:])) == 2
    log.close()
    assert all_seqs(tmp_path / "log") == [1, 2, 3, 4, 5]


def test_a_run_stays_below_the_bound_on_unsynced_bytes(tmp_path: Path):
    options = LogOptions(segment_bytes=1 << 20, max_unsynced_bytes=2000, append_deadline_seconds=0.01)
    log = open_log(tmp_path / "log", options=options)
    start = log.end.offset
    taken = len(append_run(log, bodies(1, 50)))
    assert 2 <= taken < 10
    assert log.end.offset - start <= 2000
    append_run(log, bodies(1, 1, 1500))
    with pytest.raises(LogBusyError):
        append_run(log, bodies(1, 50))
    log.commit_once()
    assert len(append_run(log, bodies(1, 50))) == taken
    log.close()


def test_a_run_is_bounded_in_bytes(tmp_path: Path):
    log = open_log(tmp_path / "log", options=BIG)
    start = log.end.offset
    taken = len(append_run(log, bodies(1, 100, 10_000)))
    assert 20 < taken < 30
    assert log.end.offset - start <= 256 << 10
    log.close()


def test_a_disk_that_fills_at_any_byte_of_a_run_has_none_of_it(tmp_path: Path, exercised):
    directory, files = tmp_path / "log", FailingFiles()
    log = open_log(directory, platform_of(files), BIG)
    append_run(log, bodies(1, 3, 10))
    size = log.end.offset - log.active_start.offset
    log.commit_once()
    accepted = 3
    for cut in range(size):
        before = log.end
        files.write_short(cut, name=segment_name(1))
        files.fail(errno.ENOSPC, "pwrite", name=segment_name(1), at=2)
        with pytest.raises(LogFullError) as caught:
            append_run(log, [(head, tail.replace(b'"w"', b'"n"')) for head, tail in bodies(1, 3, 10)])
        assert (caught.value.seq, caught.value.offset) == (before.seq + 1, before.offset)
        assert log.end == before
        assert (directory / segment_name(1)).stat().st_size == before.offset
        if cut % 40 == 0:
            accepted += len(append_run(log, bodies(1, 3, 10)))
    exercised("bytes at which the disk filled in a run", size)
    assert size > 700
    assert files.struck == 2 * size
    log.close()
    assert all_seqs(directory) == list(range(1, accepted + 1))
    assert b'"n"' not in (directory / segment_name(1)).read_bytes()


def test_a_run_written_in_small_pieces_is_finished(tmp_path: Path):
    files = FailingFiles()
    log = open_log(tmp_path / "log", platform_of(files), BIG)
    files.write_short(7, name=segment_name(1), for_ever=True)
    assert len(append_run(log, bodies(1, 4))) == 4
    log.close()
    assert all_seqs(tmp_path / "log") == [1, 2, 3, 4]


def test_a_run_that_cannot_be_taken_back_ends_the_writer(tmp_path: Path):
    files = FailingFiles()
    log = open_log(tmp_path / "log", platform_of(files), BIG)
    append_many(log, 2)
    files.write_short(700, name=segment_name(1))
    files.fail(errno.EIO, "pwrite", name=segment_name(1), at=2)
    files.fail(errno.EIO, "ftruncate")
    with pytest.raises(LogBrokenError, match="could not be taken back"):
        append_run(log, bodies(1, 4))
    with pytest.raises(LogBrokenError):
        append_run(log, bodies(1, 4))
    with pytest.raises(LogBrokenError):
        log.close()
    log = open_log(tmp_path / "log")
    assert log.recovery is not None
    assert log.recovery.kept_records >= 2, "whole records of the run that the disk kept are records"
    log.close()


def test_a_closed_log_takes_no_run(tmp_path: Path):
    log = open_log(tmp_path / "log")
    log.close()
    with pytest.raises(LogClosedError):
        append_run(log, bodies(1, 3))


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_ctrl_c_in_a_run_is_mended(after: bool, exercised):
    home, at = Path("/log"), 0
    while True:
        at += 1
        memory = MemoryFiles()
        files = InterruptedFiles(memory, after=after)
        log = open_log(home, platform_of(files), SMALL)
        files.interrupt_in = at
        taken: list[bytes] = []
        try:
            while len(taken) < 40:
                taken += append_run(log, bodies(1, 6))
        except KeyboardInterrupt:
            try:
                log.mend()
                taken += append_run(log, bodies(1, 6))
                log.close()
            except LogBrokenError:
                with pytest.raises(LogBrokenError):
                    log.close()
        else:
            files.interrupt_in = 0
            log.close()
            exercised("calls interrupted among runs", at - 1)
            break
        files.interrupt_in = 0
        open_log(home, platform_of(files, seed=3)).close()
        found = read_all(LogReader(home, platform_of(memory)))
        assert found.gaps == []
        assert found.seqs == list(range(1, len(found.seqs) + 1))
        assert set(taken) <= {line[38:101] for line in found.lines}, f"call {at}"
        assert len(found.seqs) <= len(taken) + 6
    assert at > 20

"""What a writer finds when it opens a log, and when it refuses to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.segment_log.sample_log import SMALL, append_many, body, open_log, platform_of, read_all
from yoi_runtime.errors import LogBrokenError, LogClosedError, LogFormatError, LogPlacementError
from yoi_runtime.segment_log.opening import list_sealed, log_id_of, newest_time_us
from yoi_runtime.segment_log.options import LogOptions
from yoi_runtime.segment_log.platform import RealFileOps
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.record import seal_object
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.writer import LogWriter


class _OnNfs(RealFileOps):
    def filesystem_type(self, path: Path) -> str:
        return "nfs4"


def test_a_log_on_a_network_file_system_is_refused_and_nothing_is_made(tmp_path: Path):
    with pytest.raises(LogPlacementError, match="nfs4 is not safe") as caught:
        open_log(tmp_path / "log", platform_of(_OnNfs()))
    assert caught.value.filesystem == "nfs4"
    assert not (tmp_path / "log").exists()


def test_a_log_on_a_network_file_system_opens_when_that_is_allowed(tmp_path: Path):
    options = LogOptions(segment_bytes=4096, allow_network_filesystem=True)
    log = open_log(tmp_path / "log", platform_of(_OnNfs()), options)
    append_many(log, 3)
    log.close()
    assert len(read_all(LogReader(tmp_path / "log")).lines) == 3


def test_what_a_killed_writer_left_under_temporary_names_is_removed(tmp_path: Path):
    open_log(tmp_path / "log").close()
    (tmp_path / "log" / "00000000000000000009.tmp").write_bytes(b"half a head")
    open_log(tmp_path / "log").close()
    assert not list((tmp_path / "log").glob("*.tmp"))


def test_a_log_of_a_later_format_is_refused_before_anything_is_changed(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 5)
    log.close()
    segment = tmp_path / "log" / segment_name(1)
    head, _, rest = segment.read_bytes().partition(b"\n")
    fields = {**json.loads(head), "format": 2}
    del fields["crc"]
    segment.write_bytes(seal_object(json.dumps(fields, separators=(",", ":")).encode()) + b"\n" + rest)
    (tmp_path / "log" / "stray.tmp").touch()
    before = {path.name: path.read_bytes() for path in (tmp_path / "log").iterdir() if path.name != "LOCK"}
    with pytest.raises(LogFormatError, match="format version 2"):
        open_log(tmp_path / "log")
    assert {path.name: path.read_bytes() for path in (tmp_path / "log").iterdir() if path.name != "LOCK"} == before


def test_the_log_id_is_the_directorys_for_life(tmp_path: Path):
    first = open_log(tmp_path / "log")
    first.close()
    second = open_log(tmp_path / "log", platform_of(seed=2))
    second.close()
    shutil.rmtree(tmp_path / "log")
    third = open_log(tmp_path / "log", platform_of(seed=3))
    third.close()
    assert first.log_id == second.log_id != third.log_id


def test_numbering_goes_on_when_every_segment_was_deleted(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 40)
    end = log.end
    log.close()
    for segment in (tmp_path / "log").glob("*.jsonl"):
        segment.unlink()
    log = open_log(tmp_path / "log", platform_of(seed=2))
    assert (log.end.segment, log.end.seq) == (end.segment + 1, end.seq)
    assert log.append(body("on")).position.seq == end.seq + 1
    assert log.recovery is not None
    assert log.recovery.corrupt_reason == "the segment file is missing"
    log.close()


def test_readers_are_told_when_the_last_segments_were_deleted(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 60)
    log.close()
    last = sorted((tmp_path / "log").glob("*.jsonl"))[-1]
    kept = LogReader(tmp_path / "log").start_of(int(last.stem)).seq
    last.unlink()
    log = open_log(tmp_path / "log", platform_of(seed=2))
    append_many(log, 5)
    log.close()
    got = read_all(LogReader(tmp_path / "log"))
    assert [(gap.seq, gap.resume_seq) for gap in got.gaps] == [(kept + 1, 60)]
    assert got.seqs == [*range(1, kept + 1), *range(61, 66)]


def test_sealed_segments_are_described_by_their_neighbours_when_a_header_is_damaged(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 60)
    log.close()
    segment = tmp_path / "log" / segment_name(2)
    segment.write_bytes(b"#" + segment.read_bytes()[1:])
    log = open_log(tmp_path / "log")
    spans = [(segment.number, segment.first_seq, segment.last_seq) for segment in log.sealed]
    log.close()
    assert [number for number, _, _ in spans] == list(range(1, len(spans) + 1))
    assert spans[2][1] == spans[1][2] + 1 or spans[1][1] == spans[2][1]
    assert spans[-1][2] == 60


def test_the_directory_removed_under_the_writer_puts_it_out_of_service(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 3)
    shutil.rmtree(tmp_path / "log")
    with pytest.raises(LogBrokenError, match="removed or replaced"):
        log.roll()
    with pytest.raises(LogBrokenError):
        log.append(body("no"))


def test_another_log_in_the_place_of_the_writers_is_not_written_to(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 3)
    (tmp_path / "log").rename(tmp_path / "old")
    other = open_log(tmp_path / "log", platform_of(seed=2))
    with pytest.raises(LogBrokenError, match="removed or replaced"):
        log.check_place()
    append_many(other, 4)
    other.close()
    assert read_all(LogReader(tmp_path / "log")).seqs == [1, 2, 3, 4]


def test_a_forked_child_holds_no_lock_and_cannot_append(tmp_path: Path):
    """In a process of its own: a fork in the test runner would copy its threads' locks."""
    script = """
import os, sys
from pathlib import Path
from yoi_runtime.errors import LogClosedError
from yoi_runtime.segment_log.writer import LogWriter
log = LogWriter.open(Path(sys.argv[1]))
log.append(b'"a":1')
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    try:
        log.append(b'"a":2')
    except LogClosedError:
        os.write(writer, b"closed")
    os.close(writer)
    import signal; os.closerange(1, 3)
    signal.pause()
os.close(writer)
print(os.read(reader, 100).decode(), child, flush=True)
log.append(b'"a":3')
log.close()
print(log.end.seq, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "log")], capture_output=True, text=True, timeout=30, check=True
    )
    (said, child), (last,) = (line.split() for line in done.stdout.splitlines())
    try:
        assert (said, last) == ("closed", "2")
        open_log(tmp_path / "log").close()
    finally:
        os.kill(int(child), 9)


def test_a_closed_log_says_so(tmp_path: Path):
    log = open_log(tmp_path / "log")
    log.close()
    with pytest.raises(LogClosedError):
        log.append(body())


def test_an_empty_directory_has_neither_id_nor_time_nor_segments(tmp_path: Path):
    log = LogWriter(tmp_path / "log", SMALL, platform_of(), background=False)
    segments = log._segments
    assert log_id_of(segments, [], None, platform_of(seed=9)) == platform_of(seed=9).random_bytes(8).hex()
    assert newest_time_us(segments, []) is None
    assert list_sealed(segments, [], None, 0) == []
    log.close()

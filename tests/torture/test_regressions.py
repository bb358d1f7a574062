"""What the suites found once, as short as it can be told."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from random import Random
from typing import TypeVar

import pytest
from tornado.ioloop import IOLoop

from tests.faults.clocks import ManualClock
from tests.faults.failing_files import FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.torture.judge import read_out
from tests.torture.rig import DATA, KEEP_ALL, LOG, SMALL, Rig, platform_with
from tests.torture.witness import copy_of, parse_record
from yoi_runtime.errors import CursorUnknownError, LogFormatError
from yoi_runtime.segment_log.cursor import CursorToken, decode_token
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.record import seal_object
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.starting_place import Place, StreamExpiredError, place_of_cursor

_T = TypeVar("_T")
TWO_SEGMENTS = RetentionPolicy(None, None, 2)


class NothingUnsynced(Random):
    """Lets a power cut leave what was synced, and no more."""

    def choice(self, seq: Sequence[_T]) -> _T:  # type: ignore[override]
        return seq[0]


def rig_on(memory: MemoryFiles, life: object, retention: RetentionPolicy = KEEP_ALL) -> Rig:
    return Rig(platform_with(memory, life, ManualClock()), SMALL, retention)


def reader_of(memory: MemoryFiles) -> LogReader:
    return LogReader(LOG, platform_with(memory, 0))


def place_on_server(io_loop: IOLoop, memory: MemoryFiles, scope: str | None, token: CursorToken) -> Place:
    async def ask() -> Place:
        view = LogView(DATA, LOG, platform_with(memory, 0))
        await view.start()
        try:
            return await place_of_cursor(view, scope, token)
        finally:
            await view.close()

    return io_loop.run_sync(ask)


def test_books_saved_by_a_retention_pass_know_of_nothing_that_a_power_cut_takes():
    memory = MemoryFiles()
    rig = rig_on(memory, 1)
    for _ in range(3):
        rig.append("x", "a", 10)
        rig.log.roll()
    rig.close()
    memory.kill()
    rig = rig_on(memory, 2, TWO_SEGMENTS)
    rig.append("not synced yet", "a", 10)
    rig.log.maintain()
    assert rig.catalog.ledger.rotated_out.events == 3
    survivor = memory.cut_power(NothingUnsynced())
    rig = rig_on(survivor, 3, TWO_SEGMENTS)
    assert rig.catalog.last_worker_seq("a") == rig.writer.end.seq == 4


def test_a_half_done_rename_does_not_let_a_catalog_be_written_over_in_place():
    memory = MemoryFiles()
    rig_on(memory, 1).close()
    memory.kill()
    whole = memory.read_bytes(DATA / "catalog.json")
    # What a power cut may leave of a rename: the new name, and the old one still.
    memory._directory(DATA).bind("catalog.json.tmp", memory._file(DATA / "catalog.json"))
    files = FailingFiles(memory)
    rig = Rig(platform_with(files, 2), SMALL, KEEP_ALL)
    files.fail(errno.EIO, "pwrite", name="catalog.json.tmp")
    with pytest.raises(OSError):
        rig.catalog.save()
    assert memory.read_bytes(DATA / "catalog.json") == whole


def test_a_record_that_recovery_gave_up_vouches_for_no_place_when_the_next_segment_is_missing():
    memory = MemoryFiles()
    rig = rig_on(memory, 1)
    for _ in range(4):
        rig.append("x", "a", 10)
    memory.kill()
    path = LOG / segment_name(1)
    lines = memory.read_bytes(path).splitlines(keepends=True)
    lost = parse_record(lines[4])
    assert lost is not None
    # A hole, a whole record after it, and a last one that is not whole but has its newline.
    for number in (2, 4):
        lines[number] = lines[number].replace(b'"time"', b'"tide"')
    memory.write_bytes(path, b"".join(lines))
    rig = rig_on(memory, 2)
    rig.append("another bears its number", "a", 10)
    rig.writer.commit_once()
    assert (rig.writer.sealed[0].last_seq, rig.writer.end.seq) == (3, 4)
    memory.kill()
    memory.unlink(LOG / segment_name(2))
    reader = reader_of(memory)
    with pytest.raises(CursorUnknownError):
        reader.resolve(decode_token(lost.token))
    # The record before it is whole, and so is its place.
    whole = parse_record(lines[3])
    assert whole is not None
    assert reader.resolve(decode_token(whole.token)).seq == 3


def test_a_reader_whose_files_do_not_close_lets_go_of_all_of_them():
    memory = MemoryFiles()
    rig = rig_on(memory, 1)
    for _ in range(3):
        rig.append("x", "a", 10)
        rig.log.roll()
    rig.close()
    files = FailingFiles(memory)
    reader = LogReader(LOG, platform_with(files, 0))
    read_out(reader)
    assert len(files.open_files) > 2
    files.fail(errno.EIO, "close", for_ever=True)
    with pytest.raises(OSError):
        reader.close()
    assert files.open_files == []
    reader.close()


def test_a_segment_of_another_log_does_not_make_this_one_that_log():
    memory, other = MemoryFiles(), MemoryFiles()
    for files, life in ((memory, 1), (other, 2)):
        rig = rig_on(files, life)
        for number in range(3):
            rig.append(f"of log {life}", "a", 10)
            if number < 2:
                rig.log.roll()
        rig.writer.commit_once()
        files.kill()
    whole = read_out(reader_of(memory))
    last = LOG / segment_name(3)
    memory.write_bytes(last, other.read_bytes(last))
    found = read_out(reader_of(memory))
    assert (found.seqs, found.lost) == ([1, 2], [3])
    rig = rig_on(memory, 3)
    assert rig.log.log_id == decode_token(whole.records[0].token).log_id
    rig.append("goes on", "a", 10)
    rig.writer.commit_once()
    found = read_out(reader_of(memory))
    assert (found.seqs, found.lost) == ([1, 2, 4], [3])
    assert not any(b"of log 2" in record.line for record in found.records)


@pytest.mark.parametrize(
    ("member", "value"),
    [("first_seq", float("inf")), ("first_seq", 0), ("log_id", "z" * 16), ("nonce", "f" * 17), ("segment", -1)],
)
def test_a_sealed_header_that_says_nonsense_is_a_damaged_one(member: str, value: object):
    memory = MemoryFiles()
    rig = rig_on(memory, 1)
    rig.append("x", "a", 10)
    rig.close()
    memory.kill()
    path = LOG / segment_name(1)
    header, _, rest = memory.read_bytes(path).partition(b"\n")
    fields = json.loads(header)
    del fields["crc"]
    fields[member] = value
    memory.write_bytes(path, seal_object(json.dumps(fields, separators=(",", ":")).encode()) + b"\n" + rest)
    with pytest.raises(LogFormatError):
        reader_of(memory).start_of(1)
    rig = rig_on(memory, 2)
    assert rig.writer.end.seq == 1
    assert rig.writer.recovery is not None
    assert rig.writer.recovery.corrupt_reason is not None


def test_a_sealed_catalog_that_says_nonsense_is_a_lost_one():
    memory = MemoryFiles()
    rig = rig_on(memory, 1)
    rig.append("x", "a", 10)
    rig.close()
    memory.kill()
    path = DATA / "catalog.json"
    for change in ({"unaccounted_seq": float("inf")}, {"unaccounted_seq": -1}, {"workers": [{"worker_id": "\ud800"}]}):
        fields = {**json.loads(memory.read_bytes(path)), **change}
        del fields["crc"]
        damaged = copy_of(memory)
        damaged.write_bytes(path, seal_object(json.dumps(fields, separators=(",", ":")).encode()) + b"\n")
        assert rig_on(damaged, 2).catalog.last_worker_seq("a") == 1
    memory.write_bytes(path, seal_object(b"[" * 100_000 + b"}") + b"\n")
    assert rig_on(memory, 3).catalog.last_worker_seq("a") == 1


def lost_tail(worker_id: str) -> tuple[MemoryFiles, CursorToken]:
    """Return a log whose event 1, of ``worker_id``, was lost and is another one now, all rotated out; and its cursor."""
    memory = MemoryFiles()
    rig = rig_on(memory, 1)
    lost = rig.append("lost", worker_id, 10)
    memory = memory.cut_power(NothingUnsynced())
    rig = rig_on(memory, 2)
    rig.append("another one", "a", 10)
    rig.close()
    memory.kill()
    # A segment without records stands between this one and the floor.
    rig_on(memory, 3).close()
    memory.kill()
    rig = rig_on(memory, 4, TWO_SEGMENTS)
    rig.log.roll()
    return memory, lost


def test_a_cursor_of_a_lost_tail_is_not_good_at_the_floor():
    memory, lost = lost_tail("a")
    reader = reader_of(memory)
    assert reader.floor().seq == decode_token(lost).seq == 1
    with pytest.raises(CursorUnknownError):
        reader.resolve(decode_token(lost))


def test_a_workers_cursor_of_a_lost_tail_does_not_go_on_at_the_floor(io_loop: IOLoop):
    memory, lost = lost_tail("b")
    # The floor rises above the cursor, and nothing of b was ever rotated out: its number says that it had an event.
    memory.kill()
    rig = rig_on(memory, 5, TWO_SEGMENTS)
    for _ in range(3):
        rig.append("x", "a", 10)
        rig.log.roll()
    assert rig.writer.sealed[0].first_seq > 2
    with pytest.raises(CursorUnknownError):
        place_on_server(io_loop, memory, "b", lost)


def test_a_receipt_across_a_lost_catalog_is_not_negative_and_not_called_exact(io_loop: IOLoop):
    memory = MemoryFiles()
    rig = rig_on(memory, 1)
    rig.append("x", "a", 10)
    last = rig.append("x", "a", 10)
    rig.close()
    memory.kill()
    rig_on(memory, 2).close()
    memory.kill()
    rig = rig_on(memory, 3, TWO_SEGMENTS)
    rig.log.maintain()
    memory.kill()
    memory.unlink(DATA / "catalog.json")
    rig = rig_on(memory, 4, TWO_SEGMENTS)
    # Nobody knows a any more: its numbers begin anew.
    rig.append("x", "a", 10)
    for _ in range(3):
        rig.log.roll()
    rig.writer.commit_once()
    with pytest.raises(StreamExpiredError) as caught:
        place_on_server(io_loop, memory, "a", last)
    assert caught.value.lost.events >= 1
    assert not caught.value.lost.exact

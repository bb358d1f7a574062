"""The log against a plain list: random appends, commits, rolls, rotations, crashes, refusals and resumes.

The model is what a careful listener would write down: every record that was appended in the history that is still
going on, and every token that was ever handed out, also those of records that a power cut took.
"""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.faults.failing_files import FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.segment_log.sample_log import Read, body, open_log, platform_of, read_all
from yoi_runtime.errors import (
    CursorAheadError,
    CursorExpiredError,
    CursorUnknownError,
    LogBrokenError,
    LogFullError,
    LogUnavailableError,
    RecordCorruptError,
    SegmentGoneError,
)
from yoi_runtime.segment_log.commit import Durability
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.writer import Appended, LogOptions

HOME = Path("/log")
_TOKEN = slice(38, 101)
# How often each thing happened in all examples together: a model that never lost a record proves little.
COUNTS: dict[str, int] = {}


def count(what: str, number: int = 1) -> None:
    COUNTS[what] = COUNTS.get(what, 0) + number


class LogMachine(RuleBasedStateMachine):
    @initialize(durability=st.sampled_from(["synced", "synced", "written"]))
    def begin(self, durability: Durability) -> None:
        self.options = LogOptions(segment_bytes=4096, durability=durability)
        self.seed = 0
        self.memory = MemoryFiles()
        # The list: seq -> line of this history; seqs in between that are announced as unreadable.
        self.lines: dict[int, bytes] = {}
        self.holes: set[int] = set()
        self.issued: list[Appended] = []
        self.last_seq = 0
        self.open()
        self.begin_tail()

    def open(self) -> None:
        self.seed += 1
        self.failing = FailingFiles(self.memory)
        self.log = open_log(HOME, platform_of(self.failing, seed=self.seed), self.options)

    def begin_tail(self) -> None:
        self.tail = LogReader(HOME, platform_of(self.memory))
        self.position = self.tail.floor()

    # What the log is asked to do.

    @rule(number=st.integers(1, 8), size=st.sampled_from([0, 1, 50, 300, 900]))
    def append(self, number: int, size: int) -> None:
        for _ in range(number):
            appended = self.log.append(body(f"é {self.seed}-{self.log.end.seq + 1}", size))
            end = appended.position
            assert end.seq == self.last_seq + 1
            self.note(appended)
        count("appended", number)

    def note(self, appended: Appended) -> None:
        end = appended.position
        data = self.memory.read_bytes(HOME / segment_name(end.segment))[: end.offset]
        line = data[data.rfind(b"\n", 0, -1) + 1 :]
        assert line[_TOKEN] == appended.token
        self.lines[end.seq] = line
        self.last_seq = end.seq
        self.issued.append(appended)

    @rule()
    def append_more_than_a_segment(self) -> None:
        self.append(1, 9000)

    @rule(short=st.integers(0, 250), error=st.sampled_from([errno.ENOSPC, errno.EIO]))
    def append_and_be_refused(self, short: int, error: int) -> None:
        before = self.log.end
        self.failing.write_short(short, name=segment_name(before.segment))
        self.failing.fail(error, "pwrite", name=segment_name(before.segment), at=2)
        try:
            appended = self.log.append(body("refused", 300))
        except LogFullError:
            assert self.log.end.seq == before.seq
            count("refused")
        except OSError as caught:
            assert caught.errno == error  # noqa: PT017  any of three outcomes is right
            count("refused")
        else:
            # It rolled first: the fault was for the segment before.
            assert appended.position.segment > before.segment
            self.note(appended)
        self.failing.heal()

    @rule()
    def commit(self) -> None:
        self.log.commit_once()
        assert self.log.shown == self.log.synced == self.log.end

    @rule()
    def roll(self) -> None:
        self.log.roll()
        count("rolled")

    @precondition(lambda self: self.log.sealed)
    @rule(data=st.data())
    def rotate_out(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, len(self.log.sealed)), "segments")
        last_seq = self.log.sealed[number - 1].last_seq
        self.log.rotate_out(number)
        self.lines = {seq: line for seq, line in self.lines.items() if seq > last_seq}
        self.holes = {seq for seq in self.holes if seq > last_seq}
        count("rotated out", number)

    # What happens to it.

    @rule()
    def close_and_reopen(self) -> None:
        self.log.close()
        self.open()
        assert self.log.recovery is None
        count("closed")

    @rule()
    def kill_and_reopen(self) -> None:
        self.log._writer_lock.release()
        self.open()
        count("killed")

    @rule(lost_pages=st.booleans())
    def fail_to_sync_and_reopen(self, lost_pages: bool) -> None:
        self.append(1, 0)
        active = HOME / segment_name(self.log.end.segment)
        self.failing.fail(errno.EIO, "fdatasync", name=active.name)
        assert not self.log.commit_once()
        if lost_pages:
            self.memory.lose_unsynced_pages(active)
        try:
            self.log.close()
        except LogBrokenError:
            pass
        self.open()
        count("failed to sync")

    @rule(seed=st.integers(0, 2**32))
    def lose_power_and_reopen(self, seed: int) -> None:
        promised = self.log.synced
        shown = self.log.shown
        cursor = self.tail.token_at(self.position)
        self.memory = self.memory.cut_power(Random(seed))
        self.open()
        found = read_all(LogReader(HOME, platform_of(self.memory)))
        for seq, line in zip(found.seqs, found.lines, strict=True):
            assert self.lines[seq] == line
        kept = {*found.seqs, *found.lost}
        for seq in self.lines:
            assert seq in found.seqs or seq > promised.seq or seq in self.holes, f"seq {seq} was promised"
        assert not set(found.lost) - self.holes - set(range(promised.seq + 1, self.log.end.seq + 1))
        count("lost to a power cut", len(set(self.lines) - kept))
        self.lines = {seq: self.lines[seq] for seq in found.seqs}
        self.holes = set(found.lost)
        self.last_seq = self.log.end.seq
        # The listener lost its reader with the machine, not its cursor.
        self.tail = LogReader(HOME, platform_of(self.memory))
        floor = self.tail.floor()
        try:
            self.position = self.tail.resolve(decode_token(cursor))
        except CursorExpiredError:
            assert self.position.seq < floor.seq
            self.position = floor
        except (CursorAheadError, CursorUnknownError):
            # Lost with what was shown and not yet synced; or nothing was lost, and nothing vouches for the place.
            lost = self.options.durability == "written" and shown > promised
            assert lost or (self.position.segment < floor.segment and self.position.seq == floor.seq)
            self.position = floor
        count("power cuts")

    # What a subscriber sees.

    @rule(max_bytes=st.sampled_from([1, 100, 700, 5000]), reads=st.integers(1, 30))
    def tail_on(self, max_bytes: int, reads: int) -> None:
        self.tail.refresh()
        for _ in range(reads):
            try:
                chunk = self.tail.read(self.position, max_bytes)
            except SegmentGoneError:
                assert self.tail.floor().segment > self.position.segment
                self.position = self.tail.floor()
                continue
            except RecordCorruptError as error:
                self.position = Read().go_around(error, self.position, self.tail)
                gap = set(range(error.seq, error.resume_seq + 1))
                assert gap <= self.holes | set(range(self.floor()))
                continue
            if chunk is None:
                assert self.position.seq == self.tail.end.seq
                break
            assert chunk.start.seq == self.position.seq
            for seq, line in enumerate(chunk.data.splitlines(keepends=True), chunk.start.seq + 1):
                # What was rotated out may still be read from an open file.
                assert self.lines.get(seq, line) == line
            assert chunk.end <= self.log.shown
            self.position = chunk.end
            count("tailed", chunk.records)

    @precondition(lambda self: self.issued)
    @rule(data=st.data())
    def resume_with_any_token(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(self.issued), "token")
        reader = data.draw(st.sampled_from([self.tail, None]), "reader") or LogReader(HOME, platform_of(self.memory))
        self.check_resume(reader, place)

    @precondition(lambda self: self.issued)
    @rule()
    def resume_with_the_first_and_the_last_tokens(self) -> None:
        for place in [*self.issued[:2], *self.issued[-3:]]:
            self.check_resume(LogReader(HOME, platform_of(self.memory)), place)

    def check_resume(self, reader: LogReader, place: Appended) -> None:
        seq = place.position.seq
        line = self.lines.get(seq)
        ours = line is not None and line[_TOKEN] == place.token
        try:
            position = reader.resolve(decode_token(place.token.decode()))
        except CursorExpiredError:
            assert seq < self.floor()
            count("answered expired")
        except CursorAheadError:
            assert not ours
            count("answered ahead")
        except CursorUnknownError:
            # Ours too, when its segment and an empty one behind it are gone: then nothing says any more that it was.
            assert not ours or place.position.segment < self.log_floor_segment()
            count("answered unknown")
        except LogUnavailableError:
            assert ours
            assert place.position > self.log.shown
            count("answered unavailable")
        else:
            assert position.seq == seq
            # Good are: a record of this history; the last one before the floor; one that is announced as unreadable;
            # and, for a reader that has not looked since, a file that it still holds open.
            assert ours or seq == self.floor() or seq in self.holes or position.segment < self.log_floor_segment()
            count("resumed")
            reader.refresh()
            try:
                chunk = reader.read(position, 1)
            except RecordCorruptError as error:
                assert error.seq == seq + 1  # noqa: PT017  announced is as good as read
                return
            except SegmentGoneError:
                assert position.segment < self.log_floor_segment()
                return
            if chunk is not None:
                assert chunk.start.seq == seq
                assert self.lines.get(seq + 1, chunk.data) == chunk.data
            else:
                assert seq == self.log.shown.seq

    def floor(self) -> int:
        return LogReader(HOME, platform_of(self.memory)).floor().seq

    def log_floor_segment(self) -> int:
        return LogReader(HOME, platform_of(self.memory)).floor().segment

    @invariant()
    def a_new_reader_reads_the_list(self) -> None:
        reader = LogReader(HOME, platform_of(self.memory))
        found = read_all(reader, max_bytes=3000)
        shown = self.log.shown.seq
        assert found.end.seq == reader.end.seq == shown
        assert found.lines == [line for seq, line in sorted(self.lines.items()) if seq <= shown]
        assert set(found.lost) == {seq for seq in self.holes if seq <= shown}
        assert Position(*reader.end) == self.log.shown

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.close()


def test_the_log_behaves_as_a_list(exercised):
    COUNTS.clear()
    run_state_machine_as_test(LogMachine, settings=settings(max_examples=90, stateful_step_count=40))
    for what, number in sorted(COUNTS.items()):
        exercised(what, number)
    for what in ("power cuts", "lost to a power cut", "killed", "rotated out", "refused", "resumed", "tailed"):
        assert COUNTS.get(what, 0) > 0, f"{what}: {COUNTS}"
    for answer in ("expired", "ahead", "unavailable"):
        assert COUNTS.get(f"answered {answer}", 0) > 0, f"{answer}: {COUNTS}"

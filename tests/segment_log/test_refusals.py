"""The life of a log with every single file call failing, once and for ever, in each way a disk can refuse.

The caller does what a Runtime does: it tries again after a refusal and opens the log anew when the writer is out of
service. Whatever was accepted is there in the end, whatever was refused is not, and no seq is missing.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.faults.failing_files import FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.segment_log.sample_log import SMALL, body, open_log, platform_of, read_all
from yoi_runtime.errors import LogBrokenError, LogError, LogFullError
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.writer import Appended, LogWriter

HOME = Path("/log")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EINTR, errno.EMFILE, errno.EROFS)


class Life:
    """Appends, commits, rolls, rotates out, closes and opens again on files that fail."""

    def __init__(self, files: FailingFiles) -> None:
        self.files = files
        self.accepted: list[Appended] = []
        self.refused = self.broken = 0
        self.rotated_seq = 0
        self.log: LogWriter | None = None
        self._seed = 0

    def live(self) -> None:
        for step in range(3):
            self.append(4, 100)
            self.attempt(LogWriter.commit_once)
            self.append(4, 500)
            self.attempt(LogWriter.roll)
            self.append(2, 10)
            self.attempt(LogWriter.sync)
            if step:
                self.attempt(self.rotate_out_one)
            if step == 1:
                self.attempt(LogWriter.close)
        self.append(2, 10)
        self.attempt(LogWriter.close)

    def open(self) -> None:
        self._seed += 1
        try:
            self.log = open_log(HOME, platform_of(self.files, seed=self._seed), SMALL)
        except OSError:
            self.refused += 1
            self.log = None

    def append(self, count: int, size: int) -> None:
        for _ in range(count):
            self.attempt(lambda log: self.accepted.append(log.append(body("accepted", size))))

    def rotate_out_one(self, log: LogWriter) -> None:
        if log.sealed:
            self.rotated_seq = max(self.rotated_seq, log.sealed[0].last_seq)
            log.rotate_out(1)

    def attempt(self, call: Callable[[LogWriter], object]) -> None:
        if self.log is None:
            self.open()
        if self.log is None:
            return
        before = self.log.end
        try:
            call(self.log)
        except LogBrokenError:
            self.broken += 1
            try:
                self.log.close()
            except (LogBrokenError, OSError):
                pass
            self.open()
        except LogFullError:
            self.refused += 1
            assert self.log.end.seq == before.seq
        except OSError:
            self.refused += 1
            if self.log.closed:
                self.open()
        except LogError as error:
            raise AssertionError(f"not an answer to a failing disk: {error!r}") from error
        else:
            if self.log.closed:
                self.log = None


def check(memory: MemoryFiles, life: Life, what: str) -> None:
    if life.log is not None and not life.log.closed:
        try:
            life.log.close()
        except (LogBrokenError, OSError):
            pass
    assert life.files.open_files == [], what
    assert memory.open_files == 0, what
    log = open_log(HOME, platform_of(memory, seed=99))
    life.accepted.append(log.append(body("last")))
    log.close()
    reader = LogReader(HOME, platform_of(memory))
    found = read_all(reader)
    assert found.gaps == [], what
    floor = reader.floor().seq
    assert floor <= life.rotated_seq, what
    kept = [place for place in life.accepted if place.position.seq > floor]
    assert [line[38:101] for line in found.lines] == [place.token for place in kept], what
    assert found.seqs == list(range(floor + 1, floor + 1 + len(kept))), what
    for place in kept:
        assert reader.resolve(decode_token(place.token.decode())) == place.position, what
    reader.close()


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("shift", [0, 1])
def test_every_call_of_a_writers_life_may_fail(for_ever: bool, shift: int, exercised):
    at = struck = refused = broken = 0
    while True:
        at += 1
        error = ERRORS[(at + shift) % len(ERRORS)]
        memory = MemoryFiles()
        files = FailingFiles(memory)
        life = Life(files)
        # "For ever" ends before the last look: a disk that never works again holds no log.
        files.fail(error, at=at, for_ever=for_ever)
        life.live()
        injected = files.struck
        files.heal()
        check(memory, life, f"{errno.errorcode[error]} at call {at}")
        refused += life.refused
        broken += life.broken
        struck += injected
        if not injected:
            break
    exercised("calls failed", struck)
    exercised("refusals", refused)
    exercised("writers out of service", broken)
    assert at > 150
    assert refused > at / 3
    assert broken > 10


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
def test_every_write_of_a_writers_life_may_be_short(for_ever: bool, exercised):
    at = struck = 0
    rng = Random(3)
    while True:
        at += 1
        memory = MemoryFiles()
        files = FailingFiles(memory)
        life = Life(files)
        files.write_short(rng.choice((0, 1, 20, 100, 200)), at=at, for_ever=for_ever)
        life.live()
        injected = files.struck
        files.heal()
        check(memory, life, f"write {at}")
        struck += injected
        if not injected:
            break
    exercised("writes cut short", struck)
    assert at > 40


class FullTable(FailingFiles):
    """Counts, and fails, nothing but what takes a descriptor: this is how a process without one to spare fares."""

    TAKING = frozenset({"open_read", "open_write", "create", "list_directory", "make_directory", "sync_directory"})

    def _enter(self, method: str, name: str) -> int | None:
        return super()._enter(method, name) if method in self.TAKING else None


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize(
    "length", [1, 2, 5, None], ids=lambda length: "for ever" if length is None else f"{length} times"
)
def test_whatever_is_opened_without_a_descriptor_to_spare_no_writer_goes_out_of_service(
    error: int, length: int | None, exercised
):
    at = struck = refused = 0
    while True:
        at += 1
        memory = MemoryFiles()
        files = FullTable(memory)
        life = Life(files)
        for number in range(length or 1):
            files.fail(error, at=at + number, for_ever=length is None)
        life.live()
        injected = files.struck
        files.heal()
        assert life.broken == 0, f"call {at}: {files.calls[at - 1]}"
        check(memory, life, f"call {at}")
        refused += life.refused
        struck += injected
        if not injected:
            break
    exercised("calls without a descriptor", struck)
    exercised("refusals", refused)
    assert at > 40
    # The others keep something back for a full disk, which is done without.
    assert refused > at - 10

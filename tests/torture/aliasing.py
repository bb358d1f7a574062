"""Cursors into a past that the log has lost: never a silent wrong place.

Random histories: append, commit, roll, rotate out, be killed, lose power, and what people do to a directory: cut off
its newest bytes, delete its newest segment or its watermark, put an older copy of it back. Then other events are
appended where the old ones stood, and somebody resumes with every cursor that was ever handed out. A cursor whose
event is in the log resumes just after it; any other gets an answer that says why not.
"""

from __future__ import annotations

from random import Random

from tests.faults.memory_files import MemoryFiles
from tests.segment_log.sample_log import body
from tests.torture.judge import adopt, check_tokens, read_out
from tests.torture.report import Budget, Goal, Report
from tests.torture.rig import DATA, LOG, platform_with
from tests.torture.witness import Record, Witness, copy_of, names_in, segment_files
from yoi_runtime.errors import LogError
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

__all__ = ["run"]

_GOAL = Goal(short=500, small=20_000, large=100_000, per_second=40)
_MOST_CURSORS = 40


class _History:
    """One life of one directory, however often it is lost and put back."""

    def __init__(self, name: str, rng: Random, report: Report) -> None:
        self._name = name
        self._rng = rng
        self._report = report
        self._lives = 0
        self._options = LogOptions(segment_bytes=4096, durability=rng.choice(("synced", "written")))
        self.memory = MemoryFiles()
        for directory in (DATA, LOG):
            self.memory.make_directory(directory)
        self.witness = Witness(LOG)
        self._copies: list[tuple[MemoryFiles, Witness]] = []
        self.log = self._open()

    def _open(self) -> LogWriter:
        self._lives += 1
        return LogWriter(
            LOG, self._options, platform_with(self.memory, f"{self._name}-{self._lives}"), background=False
        )

    def step(self) -> None:
        """Let one thing happen."""
        happening = self._rng.choice(
            (
                *(self._append,) * 6,
                *(self._commit,) * 3,
                self._roll,
                self._rotate_out,
                self._close,
                self._kill,
                self._lose_power,
                self._lose_suffix,
                self._lose_segment,
                self._lose_watermark,
                self._copy,
                self._put_copy_back,
            )
        )
        happening()
        self.witness.look(self.memory)

    def _append(self) -> None:
        for _ in range(self._rng.randrange(1, 4)):
            self.log.append(body("", self._rng.choice((0, 100, 600))))
        self.witness.look(self.memory)

    def _commit(self) -> None:
        self.log.commit_once()

    def _roll(self) -> None:
        self.log.roll()

    def _rotate_out(self) -> None:
        if self.log.sealed:
            self.log.rotate_out(self._rng.randrange(1, len(self.log.sealed) + 1))
            self._report.count("rotated out")

    def _copy(self) -> None:
        """Keep a copy, as a backup does, of a directory in use."""
        self._copies.append((copy_of(self.memory), self.witness.fork()))

    # What ends the life of a process.

    def _close(self) -> None:
        self.log.close()
        self._reopen("closed")

    def _kill(self) -> None:
        self._reopen("killed")

    def _lose_power(self) -> None:
        self.memory = self.memory.cut_power(self._rng)
        self._reopen("power lost")

    def _lose_suffix(self) -> None:
        """Cut the newest segment file somewhere, as a repair of the file system may."""
        if self._rng.random() < 0.5:
            self.log.close()
        path = LOG / segment_files(names_in(self.memory, LOG))[-1]
        data = self.memory.read_bytes(path)
        self.memory.write_bytes(path, data[: self._rng.randrange(len(data) + 1)])
        self._reopen("suffix cut off")

    def _lose_segment(self) -> None:
        self.memory.unlink(LOG / segment_files(names_in(self.memory, LOG))[-1])
        self._reopen("newest segment deleted")

    def _lose_watermark(self) -> None:
        self.memory.unlink(LOG / "COMMITTED")
        self._reopen("watermark deleted")

    def _put_copy_back(self) -> None:
        if not self._copies:
            return
        memory, witness = self._rng.choice(self._copies)
        self.memory = copy_of(memory)
        ever = self.witness.ever
        self.witness = witness.fork()
        self.witness.ever = ever
        self._reopen("older copy put back")

    def _reopen(self, why: str) -> None:
        """Resume before a writer comes, then open the log again, append something else, and resume once more."""
        self._report.count(why)
        self.memory.kill()
        self.witness.look(self.memory)
        self.resume(opened=False)
        self.log = self._open()
        self.resume(opened=True)
        if self._rng.random() < 0.7:
            self._append()
            self._append()
            self._commit()
            self.resume(opened=True)

    def resume(self, *, opened: bool) -> None:
        """Resume with every cursor that was ever handed out, or some when there are many."""
        try:
            reader = LogReader(LOG, platform_with(self.memory, 0))
        except LogError:
            assert not opened
            self._report.count("not readable before a writer came")
            return
        witness = self.witness if opened else self.witness.fork()
        try:
            lost = adopt(read_out(reader), witness)
            self._report.count("records lost", len(lost) if opened else 0)
            records: list[Record] = list(witness.ever.values())
            if len(records) > _MOST_CURSORS:
                records = [*self._rng.sample(records, _MOST_CURSORS - 5), *records[-5:]]
            for answer, times in check_tokens(reader, witness, records).items():
                self._report.count(f"cursors: {answer}", times)
        except LogError:
            assert not opened
            self._report.count("not readable before a writer came")
        finally:
            reader.close()
        if opened:
            witness.skip(self.memory)


def run(seed: int, budget: Budget) -> Report:
    """Live random histories; each is a seed of its own, so that one that fails can be lived again alone."""
    report = Report("aliasing", seed, budget)
    for number in report.until("histories", _GOAL):
        name = f"aliasing-{seed}-{number}"
        with report.case(f"history {number}"):
            history = _History(name, Random(name), report)
            for _ in range(8):
                history.step()
            history.log.commit_once()
            history.resume(opened=True)
        report.count("histories")
    report.require_share("records lost", 0.5)
    for answer in ("expired", "CursorAheadError", "CursorUnknownError"):
        report.require_share(f"cursors: {answer}", 0.25)
    report.require_share("cursors: resumed", 5)
    return report

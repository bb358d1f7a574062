"""Power loss at every file operation, with many ways in which the disk may have survived each.

A script runs once; before each of its file calls, several states are drawn that a power cut there may leave
(``MemoryFiles.cut_power``: torn, reordered, zeroed, half-named). Each state is recovered by a new writer and
judged: what the watermark called synced is there, unaltered, under its old cursors; the rest is there, or gone, or
announced; the log appends, reads and closes. For a sample, power fails again at every call of the recovery.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from tests.faults.clocks import ManualClock
from tests.faults.failing_files import READING, FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.torture.judge import Found, adopt, check_books, check_kept, check_tokens, read_out
from tests.torture.report import Budget, Report
from tests.torture.rig import DATA, LOG, Rig, make_script, platform_with
from tests.torture.witness import Mark, Record, Witness, live_mark, names_in
from yoi_runtime.segment_log.platform import FileOps, Platform
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

__all__ = ["run"]

# Small enough that every script has cuts during rolls and rotations, large enough for several segments.
_SAMPLES_PER_CALL = 6
_AGAIN_EVERY = 150


@dataclass
class _Moment:
    """A state that a power cut left, and what the watermark had promised when it struck."""

    files: MemoryFiles
    witness: Witness
    promised: Mark
    before: str


class _Watched(FailingFiles):
    """Lets the power fail before each call, in as many ways as there are samples, and keeps what each leaves."""

    def __init__(self, inner: MemoryFiles, witness: Witness, rng: Random, samples: int, promised: Mark) -> None:
        super().__init__(inner)
        self.moments: list[_Moment] = []
        self.points = 0
        # A call that only reads leaves the disk as the call before it did.
        self._is_new = True
        self._memory = inner
        self._witness = witness
        self._rng = rng
        self._samples = samples
        self._promised = promised
        # While a log is recovered its files hold what the witness knows already, and it is not known yet what of it.
        self._found_generation = live_mark(inner, LOG).generation
        self._unjudged: list[_Moment] | None = []

    def recovered(self) -> None:
        """Take note that the witness knows what was recovered: the new writer has promised that, since its first mark."""
        assert self._unjudged is not None
        for moment in self._unjudged:
            moment.witness = self._witness.fork()
        self._unjudged = None

    def _enter(self, method: str, name: str) -> int | None:
        if self._is_new:
            self.cut_power(f"{method} {name}")
        self._is_new = method not in READING
        return super()._enter(method, name)

    def cut_power(self, before: str) -> None:
        mark = live_mark(self._memory, LOG)
        self.points += 1
        if self._unjudged is None:
            self._witness.look(self._memory)
        if self._unjudged is None or mark.generation > self._found_generation:
            # A promise holds, also when the slot that made it is lost.
            self._promised = max(self._promised, mark, key=lambda mark: (mark.synced, mark.generation))
        for _ in range(self._samples):
            survivor = self._memory.cut_power(self._rng)
            moment = _Moment(survivor, self._witness.fork(), self._promised, before)
            self.moments.append(moment)
            if self._unjudged is not None and mark.generation > self._found_generation:
                self._unjudged.append(moment)


class _Power:
    def __init__(self, seed: int, budget: Budget) -> None:
        self.report = Report("power", seed, budget)
        self._rng = Random(f"power-{seed}")
        self._lives = 0
        self._judged: set[bytes] = set()

    def _platform(self, files: FileOps, clock: ManualClock | None = None) -> Platform:
        self._lives += 1
        return platform_with(files, f"{self.report.seed}-{self._lives}", clock)

    def script(self) -> None:
        """Run one script, and judge what power cuts at each of its calls leave."""
        rng, count = self._rng, self.report.count
        synced = rng.random() < 0.7
        options = LogOptions(segment_bytes=4096, durability="synced" if synced else "written")
        retention = RetentionPolicy(None, rng.choice((None, 50.0)), rng.choice((None, 2, 3)))
        steps = make_script(
            rng, appends=rng.randrange(8, 40), rolls=rng.randrange(3), passes=rng.randrange(3), largest=800
        )
        memory, clock = MemoryFiles(), ManualClock()
        memory.make_directory(DATA)
        memory.make_directory(LOG)
        files = _Watched(memory, Witness(LOG), rng, _SAMPLES_PER_CALL, Mark())
        files.recovered()
        third = len(steps) // 3
        for part in (steps[:third], steps[third : 2 * third], steps[2 * third :]):
            rig = Rig(self._platform(files, clock), options, retention)
            for step in part:
                rig.do(step, clock)
            if rng.random() < 0.3:
                rig.close()
            else:
                # What the next life finds in the page cache is not on the disk yet.
                rig.append("not committed", "a", rng.randrange(2, 400))
                count("lives that were killed")
            memory.kill()
        files.cut_power("the end")
        count("scripts")
        count("calls at which the power failed", files.points)
        for number, moment in enumerate(files.moments):
            with self.report.case(f"script {self.report.counts['scripts']}, state {number} (before {moment.before})"):
                assert not synced or moment.promised.shown == moment.promised.synced, "shown before it was synced"
                self._judge(moment, options, retention, again=number % _AGAIN_EVERY == 0)

    def _judge(self, moment: _Moment, options: LogOptions, retention: RetentionPolicy, *, again: bool) -> None:
        """Recover the log from one state, and judge it; ``again``: with the power failing at each call of that too."""
        count, witness, memory = self.report.count, moment.witness, moment.files
        count("states drawn")
        state = _digest(moment)
        if state in self._judged:
            return
        self._judged.add(state)
        count("distinct states recovered")
        # Every third with catalog and event log, appends and a close; of the others, what the log holds.
        if not again and self.report.counts["distinct states recovered"] % 3:
            log = LogWriter(LOG, options, self._platform(memory), background=False)
            self._judge_records(log, moment)
            return
        watched = _Watched(memory, witness, self._rng, 2, moment.promised)
        rig = Rig(self._platform(watched if again else memory), options, retention)
        reader, found, lost = self._judge_records(rig.writer, moment)
        witness.skip(memory)
        watched.recovered()
        if None not in witness.present.values():
            check_books(rig, witness)
        before, last_seq = set(witness.ever), witness.last_seq
        for size, worker_id in enumerate(("a", "quiet", None)):
            rig.append("after the cut", worker_id, size * 300)
        rig.writer.commit_once()
        witness.look(memory)
        new = [record for seq, record in witness.present.items() if record is not None and seq > last_seq]
        assert len(new) == 3
        assert not before & {record.event_id for record in new}, "an event id was given again"
        after = read_out(reader)
        # Retention may have gone on; what is above it stays, announced holes too.
        check_kept(after, witness, witness.last_seq)
        assert [seq for seq in found.lost if seq > after.floor.seq] == after.lost
        self._check_cursors(reader, witness, [*found.records[-1:], *lost, *new])
        reader.close()
        rig.close()
        count("distinct states that were written to again")
        if again:
            count("calls of a recovery at which the power failed", watched.points)
            for number, second in enumerate(watched.moments):
                with self.report.case(f"power cut {number} of the recovery (before {second.before})"):
                    count("states after a second power cut")
                    self._judge(second, options, retention, again=False)

    def _judge_records(self, log: LogWriter, moment: _Moment) -> tuple[LogReader, Found, list[Record]]:
        """Judge what a recovered log holds; returns a reader, what that found, and the records that are lost."""
        reader = LogReader(LOG, self._platform(moment.files))
        found = read_out(reader)
        check_kept(found, moment.witness, moment.promised.synced)
        assert found.end == log.end
        lost = adopt(found, moment.witness)
        report = log.recovery
        self.report.count("states with a torn tail", report is not None and report.dropped_bytes > 0)
        self.report.count("states that lost records not synced", bool(lost))
        self.report.count("states with announced holes", bool(found.lost))
        kept = [*self._rng.sample(found.records, min(len(found.records), 2)), *found.records[-1:]]
        self._check_cursors(reader, moment.witness, [*kept, *lost])
        return reader, found, lost

    def _check_cursors(self, reader: LogReader, witness: Witness, records: list[Record]) -> None:
        for answer, times in check_tokens(reader, witness, records).items():
            self.report.count(f"cursors: {answer}", times)


def _digest(moment: _Moment) -> bytes:
    """Return what tells one state from another: every name, every byte, and what was promised."""
    digest = blake2b(repr((moment.promised, moment.witness.last_seq, moment.witness.floor_seq)).encode())
    for directory in (DATA, LOG):
        for name in sorted(names_in(moment.files, directory)):
            if directory / name != LOG:
                digest.update(b"%s %d " % (name.encode(), len(data := moment.files.read_bytes(directory / name))))
                digest.update(data)
    return digest.digest()


def run(seed: int, budget: Budget) -> Report:
    """Let the power fail at every call of random scripts."""
    power = _Power(seed, budget)
    report = power.report
    for _ in budget.rounds(small=4):
        power.script()
    report.require("states drawn", 4000, 100)
    report.require("distinct states recovered", 2000, 50)
    report.require("states after a second power cut", 500, 10)
    report.require("states that lost records not synced", 200, 4)
    report.require("states with a torn tail", 50, 1)
    return report.finish()

"""Power loss at every file operation, with many ways in which the disk may have survived each.

A script runs once; before each of its file calls, states are drawn that a power cut there may leave
(``MemoryFiles.cuts``: torn, reordered, zeroed, half-named). Each distinct one is recovered by a new writer, and what
the watermark called synced has to be there, unaltered and in its place, and all else there, or gone, or announced.

Many states come out of recovery the same. Each outcome is judged in full once: everything is read, old cursors are
tried, the books compared; the log is appended to, read again and closed. Of the others it is seen that what was
promised when their power failed is in it. For a sample, power fails again at every call of recovery, appends and close.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import NamedTuple

from tests.faults.clocks import ManualClock
from tests.faults.failing_files import READING, FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.torture.judge import Found, adopt, check_books, check_kept, check_tokens, read_out
from tests.torture.report import Budget, Goal, Report
from tests.torture.rig import DATA, LOG, Rig, make_script, platform_with
from tests.torture.witness import Mark, Record, Witness, copy_of, live_mark, names_in, segment_files
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

__all__ = ["run"]

_GOAL = Goal(short=4000, small=200_000, large=10_000_000, per_second=200)
# So many states are drawn at a call, unless several in a row were there before: then there are few.
_MOST_DRAWS = 24
_MOST_REPEATS = 4
# Of so many distinct states, one has the power fail again.
_AGAIN_EVERY = 400


class _Cut(NamedTuple):
    """A moment at which the power failed, and what the log held and had promised then. ``witness`` is not to be changed."""

    before: str
    promised: Mark
    witness: Witness
    last_seq: int


class _Outcome(NamedTuple):
    """How a log stands after recovery. ``broken_at``: the first seq above the floor that does not bear its record."""

    found: Found
    broken_at: int


@dataclass
class _Line:
    """One history that power cuts end, and what they left of it so far: how each state, and each outcome, was judged."""

    name: str
    options: LogOptions
    retention: RetentionPolicy
    is_second: bool = False
    states: dict[int, _Outcome] = field(default_factory=dict)
    outcomes: dict[int, _Outcome] = field(default_factory=dict)


class _Watched(FailingFiles):
    """Before each call that follows a change, lets ``judge`` see what is left when the power fails there."""

    def __init__(
        self, inner: MemoryFiles, witness: Witness, promised: Mark, judge: Callable[[_Cut, MemoryFiles], None]
    ) -> None:
        super().__init__(inner)
        self.points = 0
        self.last_cut: _Cut | None = None
        # A call that only reads leaves the disk as the call before it did.
        self._is_new = True
        self._memory = inner
        self._witness = witness
        self._promised = promised
        self._judge = judge
        # While a log is recovered nothing is appended, and what its files hold is what the witness knows, or less.
        self._found_generation: int | None = None

    def recovering(self) -> None:
        """Look at no record until ``recovered``; no promise counts but those of the writer that recovers."""
        self._found_generation = live_mark(self._memory, LOG).generation

    def recovered(self) -> None:
        self._witness.skip(self._memory)
        self._found_generation = None

    def _enter(self, method: str, name: str) -> int | None:
        if self._is_new:
            # Not again from a handler of what the judge says.
            self._is_new = False
            self.cut_power(f"{method} {name}")
        self._is_new = method not in READING
        return super()._enter(method, name)

    def cut_power(self, before: str) -> None:
        """Let the power fail now."""
        self.points += 1
        mark = live_mark(self._memory, LOG)
        if self._found_generation is None:
            self._witness.look(self._memory)
        if self._found_generation is None or mark.generation > self._found_generation:
            # A promise holds, also when the slot that made it is lost.
            self._promised = max(self._promised, mark, key=lambda mark: (mark.synced, mark.generation))
        self._judge(_Cut(before, self._promised, self._witness.fork(), self._witness.last_seq), self._memory)


class _Power:
    def __init__(self, seed: int, budget: Budget) -> None:
        self.report = Report("power", seed, budget)
        self._rng = Random()
        # Without a segment, the states of all scripts are alike.
        self._without_log: set[int] = set()

    def script(self, number: int) -> None:
        """Run one script, and judge what power cuts at each of its calls leave."""
        # Its own: a script that finds something can be run again alone.
        rng = self._rng = Random(f"power-{self.report.seed}-{number}")
        count = self.report.count
        synced = rng.random() < 0.7
        options = LogOptions(segment_bytes=4096, durability="synced" if synced else "written")
        retention = RetentionPolicy(None, rng.choice((None, 50.0)), rng.choice((None, 2, 3)))
        steps = make_script(
            rng, appends=rng.randrange(8, 40), rolls=rng.randrange(3), passes=rng.randrange(3), largest=800
        )
        memory, clock = MemoryFiles(), ManualClock()
        memory.make_directory(DATA)
        memory.make_directory(LOG)
        line = _Line(f"{self.report.seed}-{number}", options, retention)
        files = _Watched(memory, Witness(LOG), Mark(), partial(self._cut, line))
        third = len(steps) // 3
        with self.report.case(f"script {number}"):
            for life, part in enumerate((steps[:third], steps[third : 2 * third], steps[2 * third :])):
                rig = Rig(platform_with(files, f"{line.name}-life-{life}", clock), options, retention)
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

    def _cut(self, line: _Line, cut: _Cut, memory: MemoryFiles) -> None:
        """Draw what is left when the power fails now, and judge each state that is new."""
        if line.options.durability == "synced":
            assert cut.promised.shown == cut.promised.synced, "shown before it was synced"
        repeats = 0
        for draw, survivor in enumerate(itertools.islice(memory.cuts(self._rng), _MOST_DRAWS)):
            self.report.count("states drawn")
            state = hash((survivor.image(DATA), survivor.image(LOG)))
            with self.report.case(f"the power fails before {cut.before}, draw {draw}"):
                outcome = line.states.get(state)
                if outcome is None:
                    outcome = line.states[state] = self._recover(line, cut, survivor, state)
                    repeats = 0
                else:
                    repeats += 1
                # Also of a state that was there before: more may have been promised since.
                assert cut.promised.synced < outcome.broken_at, f"record {outcome.broken_at} was promised, and is lost"
                assert outcome.found.floor.seq <= cut.witness.floor_seq, "more is gone than was rotated out"
            if repeats == _MOST_REPEATS:
                break

    def _recover(self, line: _Line, cut: _Cut, memory: MemoryFiles, state: int) -> _Outcome:
        """Let a writer recover one state, and see what came of it."""
        count = self.report.count
        if not segment_files(names_in(memory, LOG)):
            count("distinct states recovered", state not in self._without_log)
            self._without_log.add(state)
        else:
            count("distinct states recovered")
        count("distinct states after a second power cut", line.is_second)
        # Of the second cuts' states none has a third.
        again = not line.is_second and len(line.states) % _AGAIN_EVERY == _AGAIN_EVERY - 1
        before = copy_of(memory) if again else None
        platform = platform_with(memory, f"{line.name}-recovery")
        log = LogWriter(LOG, line.options, platform, background=False)
        count("states with a torn tail", log.recovery is not None and log.recovery.dropped_bytes > 0)
        count("states that lost records not synced", log.end.seq < cut.last_seq)
        mark = live_mark(memory, LOG)
        files = [file for file in memory.image(LOG) if file[0] not in ("COMMITTED", "RESERVE", "LOCK")]
        # All that a reader goes by, and a catalog. Of the watermark: what the newest slot says, not in which turn. What the
        # log says of its sealed segments it reads from these files, too.
        key = hash((memory.image(DATA), *files, mark.shown, mark.synced, log.end, log.shown))
        outcome = line.outcomes.get(key)
        if outcome is None:
            outcome = line.outcomes[key] = self._judge(line, cut, memory, log)
        if before is not None:
            self._cut_again(line, cut, before, state, outcome.found)
        return outcome

    def _judge(self, line: _Line, cut: _Cut, memory: MemoryFiles, log: LogWriter) -> _Outcome:
        """Judge an outcome in full, and go on in that log."""
        count, witness = self.report.count, _private(cut.witness)
        platform = platform_with(memory, f"{line.name}-recovery")
        reader = LogReader(LOG, platform)
        found = read_out(reader)
        check_kept(found, witness, cut.promised.synced)
        assert found.end == log.end
        broken_at = _first_broken(found, witness)
        lost = adopt(found, witness)
        kept = [*self._rng.sample(found.records, min(len(found.records), 2)), *found.records[-1:]]
        self._check_cursors(reader, witness, [*kept, *lost])
        rig = Rig(platform, line.options, line.retention, writer=log)
        witness.skip(memory)
        if None not in witness.present.values():
            check_books(rig, witness)
        before, last_seq = set(witness.ever), witness.last_seq
        _go_on(rig)
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
        count("distinct outcomes, judged in full and written to again")
        count("outcomes with announced holes", bool(found.lost))
        return _Outcome(found, broken_at)

    def _cut_again(self, line: _Line, cut: _Cut, memory: MemoryFiles, state: int, found: Found) -> None:
        """Recover a state once more, and let the power fail again at each call of that, of appends, and of the close."""
        witness = _private(cut.witness)
        adopt(found, witness)
        second = _Line(f"{line.name}-again", line.options, line.retention, is_second=True)
        # It is the first that is drawn, and was recovered already.
        second.states[state] = _Outcome(found, _first_broken(found, witness))
        watched = _Watched(memory, witness, cut.promised, partial(self._cut, second))
        watched.recovering()
        rig = Rig(platform_with(watched, f"{line.name}-recovery"), line.options, line.retention)
        watched.recovered()
        _go_on(rig)
        rig.close()
        watched.cut_power("the end")
        self.report.count("calls of a recovery at which the power failed", watched.points)

    def _check_cursors(self, reader: LogReader, witness: Witness, records: list[Record]) -> None:
        for answer, times in check_tokens(reader, witness, records).items():
            self.report.count(f"cursors: {answer}", times)


def _go_on(rig: Rig) -> None:
    for size, worker_id in enumerate(("a", "quiet", None)):
        rig.append("after the cut", worker_id, size * 300)
    rig.writer.commit_once()


def _private(witness: Witness) -> Witness:
    """Return a witness that shares nothing: of several futures, each may give its events the same ids."""
    own = witness.fork()
    own.ever, own.before = dict(own.ever), dict(own.before)
    return own


def _first_broken(found: Found, witness: Witness) -> int:
    """Return the first seq above the floor that does not bear the record that was there; what was a hole may be one."""
    by_seq = {record.seq: record.event_id for record in found.records}
    for seq in range(found.floor.seq + 1, max(found.end.seq, witness.last_seq) + 1):
        known = witness.present.get(seq)
        if known is not None and by_seq.get(seq) != known.event_id:
            return seq
    return max(found.end.seq, witness.last_seq) + 1


def run(seed: int, budget: Budget) -> Report:
    """Let the power fail at every call of random scripts."""
    power = _Power(seed, budget)
    report = power.report
    for number in report.until("distinct states recovered", _GOAL):
        power.script(number)
    report.require_share("distinct states after a second power cut", 0.05)
    report.require_share("distinct outcomes, judged in full and written to again", 0.01)
    report.require_share("states that lost records not synced", 0.05)
    report.require_share("states with a torn tail", 0.01)
    return report

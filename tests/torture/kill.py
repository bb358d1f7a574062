"""SIGKILL at every file operation of a long script, and again at every operation of the recovery after it.

In this process the k-th call raises what no handler catches, and so does every later one: that is as far as a killed
process comes. And real processes on real files are killed with SIGKILL, right before and right after the k-th call.
A kill loses nothing: every record that was whole in a file is there afterwards, in place; every cursor that an
append returned is good; the catalog's numbers are the log's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple, Self, cast

import pytest

from tests.faults.memory_files import MemoryFiles, PowerCutError
from tests.torture.judge import adopt, check_books, check_kept, check_tokens, read_out
from tests.torture.report import Budget, Goal, Report, Size
from tests.torture.rig import DATA, LOG, Rig, platform_with
from tests.torture.victim import ACKNOWLEDGED, Answer, Order, retention_of, work
from tests.torture.witness import Witness, names_in
from yoi_runtime.segment_log.platform import FileOps
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.writer import LogOptions

__all__ = ["load", "run"]

_ROOT = Path(__file__).absolute().parents[2]
_SEGMENT_BYTES = 16 << 10
# A kill takes nothing from the page cache, so nothing of it has to be on a disk: a sync costs nothing here.
_IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# After so many kills of the script, each call of the recovery is the last one once.
_RECOVERIES = 20


def load(data_dir: Path) -> MemoryFiles:
    """Return a copy in memory, as ``/data``, of a data directory on the disk."""
    memory = MemoryFiles()
    for source, target in ((data_dir, DATA), (data_dir / "log", LOG)):
        memory.make_directory(target)
        for path in source.iterdir() if source.is_dir() else ():
            if path.is_file():
                memory.close(memory.create(target / path.name))
                memory.write_bytes(target / path.name, path.read_bytes())
    return memory


class _Kill:
    def __init__(self, seed: int, budget: Budget) -> None:
        self.report = Report("kill", seed, budget)
        self.rng = Random(f"kill-{seed}")
        self.appends = 120 if budget.is_short else 300
        # One run that nobody kills: a killed one writes the same bytes, as far as it comes.
        self.whole = Witness(LOG)
        memory = MemoryFiles()
        rig = work(cast(FileOps, _Looking(memory, self.whole)), self.order(DATA), lambda token: None)
        self.whole.look(memory)
        self.calls = memory.calls
        if budget.part == 0:
            rolls = len({record.segment for record in self.whole.ever.values()}) - 1
            self.report.count("appends in the script", len(self.whole.ever))
            self.report.count("rolls in the script", rolls)
            self.report.count("passes of retention in the script", 2)
            self.report.count("records rotated out in the script", self.whole.floor_seq)
            self.report.count("file calls in the script", self.calls)
        assert rig.log.directory == LOG

    def order(self, directory: Path, *, life: int = 0, kill_at: int = 0, after: bool = False) -> Order:
        """Return the order for the script (life 0), or for opening the log that it left (other lives)."""
        return Order(
            directory=str(directory),
            seed=self.report.seed,
            life=life,
            appends=self.appends if life == 0 else 0,
            rolls=6,
            passes=2,
            segment_bytes=_SEGMENT_BYTES,
            kill_at=kill_at,
            after=after,
        )

    def witness_of(self, memory: MemoryFiles, acknowledged: list[str]) -> Witness:
        """Return a witness of a killed run: what stands in its files is what the whole run wrote, up to some record."""
        here = Witness(LOG)
        if DATA.name in names_in(memory, Path("/")) and LOG.name in names_in(memory, DATA):
            here.look(memory)
        for record in here.ever.values():
            assert self.whole.ever[record.event_id].line == record.line, "a killed run wrote other bytes"
        last_seq = max(here.last_seq, here.floor_seq)
        assert last_seq - len(acknowledged) in (0, 1), "an acknowledged record is not in the files"
        witness = self.whole.fork()
        witness.ever = dict(self.whole.ever)
        witness.present = {seq: record for seq, record in witness.present.items() if seq <= last_seq}
        witness.floor_seq = here.floor_seq
        for seq, token in enumerate(acknowledged, 1):
            present = witness.present[seq]
            assert present is not None
            assert present.token == token
        return witness

    def judge(self, memory: MemoryFiles, witness: Witness, life: int) -> None:
        """Open the log for writing, in memory, and judge it."""
        last_seq = witness.last_seq
        order = self.order(DATA, life=life)
        options = LogOptions(segment_bytes=_SEGMENT_BYTES)
        platform = platform_with(memory, f"{order['seed']}-judge-{life}")
        rig = Rig(platform, options, retention_of(order))
        reader = LogReader(LOG, platform)
        found = read_out(reader, 32 << 10)
        check_kept(found, witness, last_seq)
        assert not found.lost
        assert not adopt(found, witness)
        assert found.end.seq == last_seq
        check_books(rig, witness)
        witness.skip(memory)
        rig.append("after the kill", "a", 10)
        rig.writer.commit_once()
        witness.look(memory)
        records = [record for record in witness.present.values() if record is not None]
        answers = check_tokens(reader, witness, [*self.rng.sample(records, min(20, len(records))), *records[-3:]])
        self.report.count("cursors tried", answers.total())
        assert set(answers) <= {"resumed", "expired"}
        reader.close()
        rig.close()

    # In this process.

    def calls_of_recovery(self) -> int:
        """Return how many calls it takes to recover the log that a kill in the middle of the script leaves, and to close it."""
        memory = MemoryFiles()
        memory.cut_power_at(self.calls // 2)
        with pytest.raises(PowerCutError):
            work(memory, self.order(DATA), lambda token: None)
        memory.kill()
        before = memory.calls
        work(memory, self.order(DATA, life=1), lambda token: None)
        return memory.calls - before

    def in_process(self, kill_at: int, recovery_kills: Sequence[int]) -> None:
        """Kill the script before call ``kill_at``, and each recovery after it before the call that is listed."""
        memory = MemoryFiles()
        acknowledged: list[str] = []
        memory.cut_power_at(kill_at)
        try:
            work(memory, self.order(DATA), acknowledged.append)
        except PowerCutError:
            self.report.count("kills in this process")
        memory.kill()
        witness = self.witness_of(memory, acknowledged)
        for life, at in enumerate(recovery_kills, 1):
            memory.cut_power_at(memory.calls + at)
            try:
                work(memory, self.order(DATA, life=life), acknowledged.append)
            except PowerCutError:
                self.report.count("kills of a recovery in this process")
            memory.kill()
        self.judge(memory, witness, len(recovery_kills) + 1)

    # Real processes.

    def real(self, victims: _Victims, kill_at: int, recovery_kills: Sequence[int], *, after: bool) -> None:
        """Do the same with processes: SIGKILL, real files, the page cache of this machine."""
        with tempfile.TemporaryDirectory(prefix="yoi-kill-", dir=_IN_MEMORY) as name:
            directory = Path(name) / "data"
            answer = victims.send(self.order(directory, kill_at=kill_at, after=after))
            assert answer["status"] == (-9 if kill_at <= self.calls else 0)
            self.report.count("processes killed", answer["status"] == -9)
            notes = directory / ACKNOWLEDGED
            witness = self.witness_of(load(directory), notes.read_text().split())
            for life, at in enumerate(recovery_kills, 1):
                answer = victims.send(self.order(directory, life=life, kill_at=at, after=after))
                assert answer["status"] in (-9, 0)
                self.report.count("processes killed in recovery", answer["status"] == -9)
            answer = victims.send(self.order(directory, life=len(recovery_kills) + 1))
            assert answer["status"] == 0
            self.judge(load(directory), witness, 1000)


class _Looking:
    """Files whose calls a witness looks after, so that it sees every segment before it is deleted."""

    def __init__(self, inner: MemoryFiles, witness: Witness) -> None:
        self.inner = inner
        self.witness = witness

    def __getattr__(self, name: str) -> object:
        if name == "unlink":
            self.witness.look(self.inner)
        return getattr(self.inner, name)


class _Victims:
    """The server of children to kill."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.torture.victim"]
        self.process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def send(self, order: Order) -> Answer:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(order) + "\n")
        line = stdout.readline()
        assert line, "the server of victims ended"
        answer: Answer = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()
        self.process.wait()


class _Case(NamedTuple):
    """The script is killed before (or after) call ``at``, and the recoveries that follow at theirs."""

    at: int
    recovery_kills: tuple[int, ...]
    is_real: bool
    after: bool = False


def _cases(rng: Random, calls: int, calls_of_recovery: int, size: Size | None) -> list[_Case]:
    """Return a kill at every call of the script and, after some of them, at every call of the recovery as well.

    Of a process, before and after each call; in the small size one of the two, for after a call is before the next.
    """
    cases = []
    for at in range(1, calls + 2):
        # Over and over through the calls of a recovery, and every other time through those of the one after it.
        again = (1 + at % calls_of_recovery, *([rng.randrange(1, calls_of_recovery)] if at % 2 else []))
        cases += [_Case(at, (), is_real=False), _Case(at, again, is_real=False)]
        if at <= calls:
            both = (at % 2 == 0,) if size == "small" else (False, True)
            cases += [_Case(at, again, is_real=True, after=after) for after in both]
    for at in rng.sample(range(1, calls + 1), _RECOVERIES):
        cases += [_Case(at, (again,), is_real=False) for again in range(1, calls_of_recovery + 1)]
    return cases


def run(seed: int, budget: Budget) -> Report:
    """Kill the script at every one of its calls, in this process and as a process of its own, and recoveries at theirs."""
    kill = _Kill(seed, budget)
    report, calls = kill.report, kill.calls
    rng = Random(f"kill-{seed}")
    cases = _cases(rng, calls, kill.calls_of_recovery(), budget.size)
    with _Victims() as victims:

        def do(case: _Case) -> None:
            at, again, is_real, after = case
            how = f"{'a process' if is_real else 'in this process'}, {'after' if after else 'before'} call {at}"
            with report.case(f"{how}, recoveries at {again}"):
                if is_real:
                    kill.real(victims, at, again, after=after)
                else:
                    kill.in_process(at, again)

        for case in report.each("kills at a call", cases, rng, short=400, per_second=10):
            do(case)
        for number in report.until("kills at a call", Goal(short=400, small=len(cases), large=50_000, per_second=10)):
            rng = Random(f"kill-{seed}-{number}")
            again = tuple(rng.randrange(1, 80) for _ in range(3))
            do(_Case(rng.randrange(1, calls + 1), again, is_real=rng.random() < 0.5, after=rng.random() < 0.5))
            report.count("kills at a call")
    report.require("appends in the script", kill.appends)
    report.require("rolls in the script", 6)
    report.require("passes of retention in the script", 2)
    report.require("records rotated out in the script", 20)
    for what in ("kills in this process", "kills of a recovery in this process"):
        report.require_share(what, 0.25)
    for what in ("processes killed", "processes killed in recovery"):
        report.require_share(what, 0.15)
    return report

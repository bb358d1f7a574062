"""The k-th file call fails, for every k, in every way, once and for ever: in the writer, retention, recovery and reader.

After each failure the caller goes on as a caller would: it tries again, or opens the log anew. What comes out of
the engine is a typed error or, of anything but an append, the ``OSError`` itself. A failing disk is never taken for a damaged log: nothing that
was shown or acknowledged is lost or announced as lost, and what was refused is not there. After a failed sync the
kernel may have dropped the pages (``MemoryFiles.lose_unsynced_pages``): then a power cut follows, too.
"""

# ruff: noqa: PT017  which error may come depends on what was done before

from __future__ import annotations

import errno
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

from tests.faults.clocks import ManualClock
from tests.faults.failing_files import FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.torture.judge import adopt, check_books, check_kept, check_tokens, read_out
from tests.torture.report import Budget, Goal, Report
from tests.torture.rig import DATA, LOG, SMALL, Rig, Step, make_script, platform_with
from tests.torture.witness import Witness, copy_of, live_mark, names_in, parse_record, segment_files
from yoi_runtime.errors import LogBrokenError, LogError, LogFullError
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.retention import RetentionPolicy

__all__ = ["run"]

_T = TypeVar("_T")
_RETENTION = RetentionPolicy(None, 50.0, None)


class _Fault(NamedTuple):
    """``error`` None: writes write ``short`` bytes and say so."""

    name: str
    error: int | None
    short: int
    for_ever: bool

    def __str__(self) -> str:
        return f"{self.name}{' for ever' if self.for_ever else ''}"

    def plan(self, files: FailingFiles, at: int) -> None:
        """Have this fault strike at call ``at``, of those that it can strike."""
        if self.error is not None:
            files.fail(self.error, at=at, for_ever=self.for_ever)
        else:
            files.write_short(self.short, at=at, for_ever=self.for_ever)


_ERRORS = {name: getattr(errno, name) for name in ("ENOSPC", "EIO", "EINTR", "EMFILE", "EROFS")}
_FAULTS = [
    *(_Fault(name, number, 0, for_ever) for name, number in _ERRORS.items() for for_ever in (False, True)),
    *(_Fault(f"write of {size}", None, size, for_ever) for size in (0, 1, 150) for for_ever in (False, True)),
]


_READ_FAULTS = [fault for fault in _FAULTS if fault.error is not None]
# What is wrong with a log whose writer was killed, besides that.
_DAMAGES = ("", "torn tail", "damaged record", "damaged header", "no catalog", "no watermark")


class _FaultyFiles(FailingFiles):
    """Failing files in memory: a witness sees each segment before it is deleted, a failed sync loses its pages."""

    def __init__(self, memory: MemoryFiles, witness: Witness) -> None:
        super().__init__(memory)
        self._memory = memory
        self._witness = witness
        self.lost_pages = False

    def unlink(self, path: Path) -> None:
        self._witness.look(self._memory)
        super().unlink(path)

    def fdatasync(self, fd: int) -> None:
        try:
            super().fdatasync(fd)
        except OSError:
            name = self._name(fd)
            self._memory.lose_unsynced_pages((LOG if name in names_in(self._memory, LOG) else DATA) / name)
            self.lost_pages = True
            raise


class _Caller:
    """Runs a script against a failing disk and goes on after errors, as a Runtime and those who restart it do."""

    def __init__(self, report: Report, life: object, fault: _Fault | None) -> None:
        self.report = report
        self.memory = MemoryFiles()
        for directory in (DATA, LOG):
            self.memory.make_directory(directory)
        self.witness = Witness(LOG)
        self.files = _FaultyFiles(self.memory, self.witness)
        self.fault = fault
        self.clock = ManualClock()
        self.rig: Rig | None = None
        self.acknowledged: dict[str, str] = {}
        # Texts that were refused, by Worker; those of a writer that broke may stand in the log or not.
        self.refused: dict[str, str | None] = {}
        self.uncertain: set[str] = set()
        self.reopened = 0
        self.durable_seq = 0
        self._life = life
        self._texts = itertools.count(1)

    def open(self) -> Rig:
        self.reopened += 1
        return Rig(platform_with(self.files, f"{self._life}-{self.reopened}", self.clock), SMALL, _RETENTION)

    def run(self, steps: list[Step], fail_at: int) -> None:
        """Run the script with the fault at call ``fail_at``, then once more without one."""
        if self.fault is not None:
            self.fault.plan(self.files, fail_at)
        for step in steps:
            self._try(step)
        self.files.heal()
        calls = len(self.files.calls)
        refused = len(self.refused)
        for step in (Step("append", "a", 9), Step("append", "quiet", 9), Step("commit")):
            self._try(step)
            self._try(step) if self.rig is None else None
        assert len(self.refused) == refused or self.reopened > 1, "a healthy disk, and an append was refused"
        assert self.rig is not None, "a healthy disk, and the log does not open"
        # Those of the script, for whoever wants to know which there are to fail.
        del self.files.calls[calls:]

    def _try(self, step: Step) -> None:
        """Do one step; what comes out of it is a typed error, or that of the disk."""
        text = f"t{next(self._texts)};"
        try:
            if self.rig is None:
                self.rig = self.open()
            if step.do == "append":
                token = self.rig.append(text, step.worker_id, max(step.size, 2))
                self.acknowledged[text] = token
            else:
                self.rig.do(step, self.clock)
        except (LogError, OSError) as error:
            self._take(error, step, text)
        self.witness.look(self.memory)
        mark = live_mark(self.memory, LOG)
        assert mark.shown == mark.synced
        self.durable_seq = max(self.durable_seq, mark.synced)

    def _take(self, error: LogError | OSError, step: Step, text: str) -> None:
        self.report.count(f"errors: {type(error).__name__}")
        if self.rig is None:
            assert self.memory.open_files == 0, "an open that failed left descriptors open"
            return
        if step.do == "append":
            assert isinstance(error, LogError), f"an append does not say where it failed: {error!r}"
            if isinstance(error, LogFullError | OSError):
                self.refused[text] = step.worker_id
            else:
                self.uncertain.add(text)
        if isinstance(error, LogBrokenError):
            try:
                self.rig.close()
            except (LogError, OSError) as second:
                self.report.count(f"errors at close: {type(second).__name__}")
            assert self.memory.open_files == 0, "a writer that was closed left descriptors open"
            self.rig = None


def _texts_of(witness: Witness) -> tuple[dict[str, str], Counter[str]]:
    """Return the texts in the log with the token of each, and how many lost events were told of each Worker."""
    texts: dict[str, str] = {}
    told: Counter[str] = Counter()
    for record in witness.present.values():
        if record is None:
            continue
        payload = json.loads(record.line)["envelope"]["payload"]
        data = payload.get("data", {})
        text = data.get("text", data.get("version"))
        if text is not None:
            name = text.partition(";")[0] + ";"
            assert name not in texts, f"{name} stands in the log twice"
            texts[name] = record.token
        elif payload["event"] == "events_lost":
            told[record.worker_id or ""] += data["count"]
    return texts, told


class _Errors:
    def __init__(self, seed: int, budget: Budget) -> None:
        self.report = Report("errors", seed, budget)
        self.rng = Random(seed)
        self.name = ""
        self.lives = 0

    def _life(self) -> str:
        self.lives += 1
        return f"{self.name}-{self.lives}"

    def _count_fault(self, fault: _Fault | None) -> None:
        if fault is not None:
            self.report.count(f"runs with {fault}")

    # The writer, retention, and opening after an error.

    def writer(self, steps: list[Step], fault: _Fault | None, at: int) -> FailingFiles:
        """Fail call ``at`` of a script; returns the files that did."""
        caller = _Caller(self.report, self._life(), fault)
        caller.run(steps, at)
        self.report.count("runs of writer and retention", fault is not None)
        self._count_fault(fault)
        broke = bool(caller.uncertain) or caller.reopened > 1
        if caller.files.lost_pages or self.rng.random() < 0.1:
            for _ in range(3):
                self._power_cut(caller)
        survivor = caller.memory
        survivor.kill()
        rig = self.open(survivor)
        self._judge(rig, survivor, caller.witness, caller.witness.last_seq)
        texts, told = _texts_of(caller.witness)
        for text, token in caller.acknowledged.items():
            assert texts.get(text) == token, f"{text} was acknowledged, and is not in the log"
        refused = texts.keys() & caller.refused.keys()
        assert not refused, f"{refused} were refused, and are in the log"
        assert texts.keys() <= caller.acknowledged.keys() | caller.uncertain
        owed = Counter(worker_id for worker_id in caller.refused.values() if worker_id is not None)
        if broke:
            assert all(told[worker_id] <= owed[worker_id] for worker_id in told), "more losses told than there were"
        else:
            assert told == owed, f"losses told: {told}, refused: {owed}"
            self.report.count("losses told exactly", told.total())
        rig.close()
        return caller.files

    # Recovery.

    def unclean(self, damage: str) -> MemoryFiles:
        """Return what a killed writer left, with its tail torn or more than that wrong with it."""
        rng, memory = self.rng, MemoryFiles()
        clock = ManualClock()
        rig = Rig(platform_with(memory, self._life(), clock), SMALL, _RETENTION)
        for step in make_script(rng, appends=24, rolls=1, passes=1):
            rig.do(step, clock)
        memory.kill()
        path = LOG / segment_files(names_in(memory, LOG))[-1]
        data = bytearray(memory.read_bytes(path))
        if damage == "torn tail":
            data += b'{"kind":"event","envelope":{"cur'
        elif damage == "damaged record":
            data[data.index(b"\n") + 90] ^= 1
        elif damage == "damaged header":
            data[20] ^= 1
        memory.write_bytes(path, bytes(data))
        if damage == "no catalog":
            memory.unlink(DATA / "catalog.json")
        if damage == "no watermark":
            memory.write_bytes(LOG / "COMMITTED", bytes(1024))
        return memory

    def recovery(self, unclean: MemoryFiles, fault: _Fault | None, at: int) -> FailingFiles:
        """Fail call ``at`` of opening a log; the next opening then finds what this one would have found."""
        memory = copy_of(unclean)
        files = FailingFiles(memory)
        if fault is not None:
            fault.plan(files, at)
        try:
            Rig(platform_with(files, self._life()), SMALL, _RETENTION)
        except (LogError, OSError) as error:
            self.report.count(f"errors of recovery: {type(error).__name__}")
            assert memory.open_files == 0, "an open that failed left descriptors open"
        self.report.count("runs of recovery", fault is not None)
        self._count_fault(fault)
        memory.kill()
        left = [
            self._outcome(survivor) for survivor in (memory, memory.cut_power(self.rng), memory.cut_power(self.rng))
        ]
        assert left == [self._outcome(copy_of(unclean))] * 3, "a recovery that failed changed what the next one finds"
        return files

    def _outcome(self, memory: MemoryFiles) -> tuple[object, ...]:
        rig = self.open(memory)
        reader = LogReader(LOG, rig.platform)
        found = read_out(reader)
        reader.close()
        ledger = rig.catalog.ledger
        numbers = {worker_id: state.worker_seq for worker_id, state in ledger.workers.items()}
        return (
            found.floor,
            found.end.seq,
            found.records,
            found.lost,
            numbers,
            ledger.rotated_out,
            ledger.unaccounted_seq,
        )

    # The reader.

    def reader(self, memory: MemoryFiles, fault: _Fault | None, at: int) -> FailingFiles:
        """Fail call ``at`` of one who reads everything: he gets the error of the disk, tries again, and gets all."""
        files = FailingFiles(memory)
        platform = platform_with(files, 0)
        if fault is not None:
            fault.plan(files, at)
        reader = self._insist(files, fault, lambda: LogReader(LOG, platform))
        position = self._insist(files, fault, reader.floor)
        lines: list[bytes] = []
        while (chunk := self._insist(files, fault, partial(reader.read, position, 700))) is not None:
            lines += chunk.data.splitlines(keepends=True)
            position = chunk.end
            self._insist(files, fault, reader.refresh)
        assert position.seq == reader.end.seq
        records = [record for line in lines if (record := parse_record(line)) is not None]
        assert [record.seq for record in records] == list(range(records[0].seq, reader.end.seq + 1))
        for record in records[:: len(records) // 3]:
            resolved = self._insist(files, fault, partial(reader.resolve, decode_token(record.token)))
            found = self._insist(files, fault, partial(reader.find_event, record.event_id))
            assert resolved.seq == found.seq == record.seq
        self._insist(files, fault, reader.relist)
        assert not self._insist(files, fault, reader.is_replaced)
        for number in reader.segment_numbers():
            self._insist(files, fault, partial(reader.segment_size, number))
        self._insist(files, fault, reader.close)
        if fault is None or not fault.for_ever:
            assert not files.open_files
        self.report.count("runs of the reader", fault is not None)
        self._count_fault(fault)
        return files

    def _insist(self, files: FailingFiles, fault: _Fault | None, question: Callable[[], _T]) -> _T:
        """Ask until there is an answer. On a disk that fails, the error is the disk's: no cursor is bad, no record damaged."""
        for _ in range(3):
            try:
                return question()
            except OSError as error:
                self.report.count(f"errors of the reader: {type(error).__name__}")
                assert fault is not None
                assert error.errno == fault.error
                if fault.for_ever:
                    files.heal()
        raise AssertionError("one failure, and the reader fails three times")

    # Judging.

    def _power_cut(self, caller: _Caller) -> None:
        survivor = caller.memory.cut_power(self.rng)
        rig = self.open(survivor)
        witness = caller.witness.fork()
        witness.ever = dict(witness.ever)
        self._judge(rig, survivor, witness, caller.durable_seq)
        self.report.count("power cuts after an error")

    def open(self, memory: MemoryFiles) -> Rig:
        return Rig(platform_with(memory, self._life()), SMALL, _RETENTION)

    def _judge(self, rig: Rig, memory: MemoryFiles, witness: Witness, durable_seq: int) -> None:
        reader = LogReader(LOG, rig.platform)
        found = read_out(reader)
        check_kept(found, witness, durable_seq)
        lost = adopt(found, witness)
        if durable_seq >= witness.last_seq:
            assert not found.lost
            assert not lost
        if None not in witness.present.values():
            check_books(rig, witness)
        records = [*found.records, *lost]
        check_tokens(reader, witness, self.rng.sample(records, min(8, len(records))))
        reader.close()


class _Case(NamedTuple):
    """Call ``at`` fails, of the writer, the reader, or the recovery of a log with some damage."""

    whom: str
    fault: _Fault
    at: int


def _cases(whom: str, files: FailingFiles, faults: list[_Fault]) -> Iterator[_Case]:
    """Yield every fault at every call that it can strike, of a run that went without."""
    for fault in faults:
        calls = len(files.calls) if fault.error is not None else files.count("pwrite")
        yield from (_Case(whom, fault, at) for at in range(1, calls + 1))


class _Round:
    """A script and what it leaves, and everything that can fail in it."""

    def __init__(self, errors: _Errors, name: str) -> None:
        self.errors = errors
        self.name = name
        # The same for every part of a run.
        rng = Random(name)
        errors.rng, errors.name, errors.lives = rng, name, 0
        self.steps = make_script(rng, appends=24, rolls=2, passes=2)
        self.left = {damage: errors.unclean(damage) for damage in _DAMAGES}
        errors.open(whole := errors.unclean("")).close()
        self.whole = whole
        cases = [_cases("writer", errors.writer(self.steps, None, 0), _FAULTS)]
        cases += [_cases(damage, errors.recovery(left, None, 0), _FAULTS) for damage, left in self.left.items()]
        cases.append(_cases("reader", errors.reader(whole, None, 0), _READ_FAULTS))
        self.cases = list(itertools.chain.from_iterable(cases))

    def do(self, case: _Case) -> None:
        whom, fault, at = case
        with self.errors.report.case(f"{self.name}: {whom}, {fault}, call {at}"):
            match whom:
                case "writer":
                    files = self.errors.writer(self.steps, fault, at)
                case "reader":
                    files = self.errors.reader(self.whole, fault, at)
                case _:
                    files = self.errors.recovery(self.left[whom], fault, at)
            assert files.struck


def run(seed: int, budget: Budget) -> Report:
    """Fail every call of a script, of recoveries and of a reader in every way; then those of more scripts."""
    errors = _Errors(seed, budget)
    report = errors.report
    first = _Round(errors, f"errors-{seed}")
    for case in report.each("failing calls", first.cases, Random(first.name), short=600, per_second=40):
        first.do(case)
    for number in report.until("failing calls", Goal(short=600, small=len(first.cases), large=100_000, per_second=40)):
        another = _Round(errors, f"errors-{seed}-{number}")
        for case in Random(another.name).sample(another.cases, 500):
            another.do(case)
            report.count("failing calls")
    for what, share in (("writer and retention", 0.05), ("recovery", 0.2), ("the reader", 0.03)):
        report.require_share(f"runs of {what}", share)
    for fault in _FAULTS:
        report.require_share(f"runs with {fault}", 0.02 if fault.error is not None else 0.002)
    return report

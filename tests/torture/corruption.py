"""Damage of every kind to a log of three segments: each record is delivered whole, or announced with exact bounds.

Truncated at every byte, every bit flipped, runs of zeros and of garbage, segments swapped, missing, duplicated,
replaced by those of another log; in segments, watermark, catalog and indexes; of a log closed in order and of one
whose writer was killed. First it is read as it is; then opened for writing, appended to, killed and opened again:
nothing that could be read is lost by that.

One thing cannot be told: a flip in the very last record, when it was never committed, looks like a torn tail. That
record is then dropped, as a torn tail is.
"""

# ruff: noqa: PT017  which error may come depends on what was done before

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.faults.memory_files import MemoryFiles
from tests.torture.judge import Found, check_books, read_out
from tests.torture.report import Budget, Goal, Report
from tests.torture.rig import DATA, LOG, Rig, platform_with
from tests.torture.witness import Record, Witness, copy_of, names_in, segment_files
from yoi_runtime.errors import CursorError, LogError, LogUnavailableError
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.reader import LogReader

__all__ = ["run"]

_SEGMENTS = 3
_RECORDS_EACH = 3


class _Base:
    """A whole log of three segments, which copies are damaged of."""

    def __init__(self, name: str, seed: object, *, clean: bool) -> None:
        self.name = name
        self.memory = MemoryFiles()
        rig = Rig(platform_with(self.memory, seed))
        for segment in range(_SEGMENTS):
            for number in range(_RECORDS_EACH):
                rig.append(f"record {segment} {number}", ("a", "b", None)[number % 3], 20 + 30 * number)
            if segment < _SEGMENTS - 1:
                rig.log.roll()
        rig.writer.commit_once()
        if clean:
            rig.close()
        else:
            rig.append("never committed", "b", 50)
            self.memory.kill()
        self.witness = Witness(LOG)
        self.records = self.witness.look(self.memory)
        # What cannot be told from a torn tail.
        self.uncommitted = set() if clean else {self.records[-1].seq}
        self.segments = segment_files(names_in(self.memory, LOG))
        assert len(self.segments) == _SEGMENTS

    def size(self, path: Path) -> int:
        return len(self.memory.read_bytes(path))

    def cost(self, name: str) -> frozenset[int]:
        """Return the seqs of the records in a segment."""
        return frozenset(record.seq for record in self.records if record.segment == int(name[:20]))

    def touched(self, name: str, start: int, end: int) -> set[int]:
        """Return the seqs that damage to the bytes from ``start`` to ``end`` of a segment may cost."""
        inside = [record for record in self.records if record.segment == int(name[:20])]
        if start < inside[0].offset - len(inside[0].line):
            return {record.seq for record in inside}
        hit: set[int] = set()
        for record in inside:
            if start < record.offset and end > record.offset - len(record.line):
                hit.add(record.seq)
                if end >= record.offset:
                    # Without its newline a record runs into the next one.
                    hit.add(record.seq + 1)
        return hit & self.cost(name)


@dataclass(frozen=True)
class _Damage:
    """One thing to do to a copy; ``may_cost`` are the seqs that may be announced as lost, of which the others may not."""

    name: str
    kind: str
    do: Callable[[MemoryFiles], object]
    may_cost: frozenset[int]


def _overwrite(path: Path, start: int, new: bytes) -> Callable[[MemoryFiles], None]:
    def do(memory: MemoryFiles) -> None:
        data = bytearray(memory.read_bytes(path))
        data[start : start + len(new)] = new
        memory.write_bytes(path, bytes(data))

    return do


def _flips(base: _Base) -> Iterator[_Damage]:
    """Every bit of every file that holds something."""
    for directory in (DATA, LOG):
        for name in names_in(base.memory, directory):
            path = directory / name
            if path == LOG or name in ("RESERVE", "LOCK"):
                continue
            data = base.memory.read_bytes(path)
            for at in range(len(data)):
                cost = frozenset(base.touched(name, at, at + 1)) if name in base.segments else frozenset[int]()
                for bit in range(8):
                    new = bytes([data[at] ^ 1 << bit])
                    yield _Damage(
                        f"{name}, byte {at}, bit {bit}", f"flips in {_kind(name)}", _overwrite(path, at, new), cost
                    )


def _kind(name: str) -> str:
    if name.endswith(".index.json"):
        return "an index"
    return "a segment" if name.endswith(".jsonl") else name


def _truncations(base: _Base) -> Iterator[_Damage]:
    """Every shorter length of every file that holds something."""
    for directory in (DATA, LOG):
        for name in names_in(base.memory, directory):
            path = directory / name
            if path == LOG or name in ("RESERVE", "LOCK"):
                continue
            data = base.memory.read_bytes(path)
            for length in range(len(data)):
                cost = frozenset(base.touched(name, length, len(data))) if name in base.segments else frozenset[int]()
                cut = partial(_rewrite, path, data[:length])
                yield _Damage(f"{name} cut to {length} bytes", f"truncations of {_kind(name)}", cut, cost)


def _rewrite(path: Path, data: bytes, memory: MemoryFiles) -> None:
    """Let ``path`` hold ``data``, whether it was there or not."""
    memory.close(memory.create(path))
    memory.write_bytes(path, data)


def _delete(path: Path, memory: MemoryFiles) -> None:
    memory.unlink(path)


def _runs(base: _Base, rng: Random) -> Iterator[_Damage]:
    """Zeros and garbage of any length anywhere in segments and watermark, without end."""
    while True:
        name = rng.choice((*base.segments, "COMMITTED"))
        size = base.size(LOG / name)
        start = rng.randrange(size)
        length = min(rng.choice((2, 8, 64, 512, 1024)), size - start)
        if rng.random() < 0.5:
            kind, new = "runs of zeros", bytes(length)
        else:
            # Newlines and what looks like the beginning of a record among it.
            kind, new = "runs of garbage", rng.choice((rng.randbytes(length), (b'{"kind":"event"}\n' * 64)[:length]))
        cost = frozenset(base.touched(name, start, start + length)) if name in base.segments else frozenset[int]()
        yield _Damage(f"{name}, {kind}, {start} to {start + length}", kind, _overwrite(LOG / name, start, new), cost)


def _moves(base: _Base, other: _Base) -> Iterator[_Damage]:
    """Segments swapped, missing, duplicated, and those of another log."""
    for left, right in itertools.combinations(base.segments, 2):
        swap = partial(_swap, LOG / left, LOG / right)
        yield _Damage(f"{left} and {right} swapped", "segments swapped", swap, base.cost(left) | base.cost(right))
    for name in base.segments:
        yield _Damage(f"{name} missing", "segments missing", partial(_delete, LOG / name), base.cost(name))
        foreign = partial(_rewrite, LOG / name, other.memory.read_bytes(LOG / name))
        yield _Damage(f"{name} of another log", "segments of another log", foreign, base.cost(name))
        for number in (*range(1, _SEGMENTS + 3), 9):
            target = f"{number:020}.jsonl"
            if target != name:
                copy = partial(_rewrite, LOG / target, base.memory.read_bytes(LOG / name))
                yield _Damage(f"{name} copied to {target}", "segments duplicated", copy, base.cost(target))
    for name in ("COMMITTED", "LOCK", "RESERVE", "00000000000000000001.index.json"):
        yield _Damage(f"{name} missing", "other files missing", partial(_delete, LOG / name), frozenset())


def _swap(left: Path, right: Path, memory: MemoryFiles) -> None:
    one, two = memory.read_bytes(left), memory.read_bytes(right)
    memory.write_bytes(left, two)
    memory.write_bytes(right, one)


class _Corruption:
    def __init__(self, seed: int, budget: Budget) -> None:
        self.report = Report("corruption", seed, budget)
        self.rng = Random(f"corruption-{seed}-{budget.part}")
        self.lives = 0
        self.bases = [
            _Base("a log closed in order", f"{seed}-clean", clean=True),
            _Base("a log whose writer was killed", f"{seed}-killed", clean=False),
        ]

    def open(self, memory: MemoryFiles) -> Rig:
        self.lives += 1
        return Rig(platform_with(memory, f"{self.report.seed}-life-{self.lives}"))

    def judge(self, base: _Base, damages: list[_Damage], *, opens: bool) -> None:
        """Do damage to a copy of the log, read it, and go on writing it and reading it, at times twice."""
        may_cost = frozenset[int]().union(*(damage.may_cost for damage in damages))
        memory = copy_of(base.memory)
        for damage in damages:
            damage.do(memory)
        known = dict(base.witness.ever)
        must_stay: set[str] = set()
        try:
            found = self.check(base, known, memory, may_cost, must_stay, opened=False)
        except LogError as error:
            # Only the watermark is needed to begin with, and one segment whose header can be read.
            is_all_lost = may_cost >= {record.seq for record in base.records}
            assert is_all_lost or any("COMMITTED" in damage.name for damage in damages), error
            self.report.count(f"not readable before a writer came: {type(error).__name__}")
        else:
            must_stay |= {record.event_id for record in found.records}
        openings = (2 if self.rng.random() < 0.25 else 1) if opens else 0
        for opening in range(openings):
            rig = self.open(memory)
            found = self.check(base, known, memory, may_cost, must_stay, opened=True)
            if not may_cost and opening == 0:
                check_books(rig, base.witness)
            rig.append(f"after {opening}", "a", 20)
            rig.append(f"after {opening}", None, 20)
            rig.writer.commit_once()
            witness = Witness(LOG)
            witness.look(memory)
            new = {name: record for name, record in witness.ever.items() if b"after %d" % opening in record.line}
            assert len(new) == 2
            assert not known.keys() & new.keys(), "an event id was given again"
            known |= new
            must_stay |= {record.event_id for record in found.records} | new.keys()
            self.check(base, known, memory, may_cost, must_stay, opened=True)
            memory.kill()
            self.report.count("openings for writing")

    def check(
        self,
        base: _Base,
        known: dict[str, Record],
        memory: MemoryFiles,
        may_cost: frozenset[int],
        must_stay: set[str],
        *,
        opened: bool,
    ) -> Found:
        """Read the log: what the damage did not touch is delivered, what is not delivered is announced."""
        reader = LogReader(LOG, platform_with(memory, 0))
        found = read_out(reader)
        by_id = {record.event_id: record for record in found.records}
        for name, record in by_id.items():
            assert name in known, f"event {name} was never appended"
            assert record.line == known[name].line, f"event {name} was altered"
        assert must_stay <= by_id.keys(), "what could be read, no longer can"
        assert set(found.lost) <= may_cost, f"{set(found.lost) - may_cost} are announced as lost, and are whole"
        for record in base.records:
            if record.event_id in by_id:
                continue
            if opened:
                assert record.seq in may_cost | base.uncommitted, f"record {record.seq} is lost, and was not damaged"
            else:
                # Without its newest slot the watermark shows a little less, until a writer comes.
                assert record.seq in may_cost or record.seq > found.end.seq
        self.report.count("records delivered", len(found.records))
        self.report.count("records announced as lost", len(found.lost))
        self.resume(reader, base, by_id, may_cost)
        reader.close()
        return found

    def resume(self, reader: LogReader, base: _Base, by_id: dict[str, Record], may_cost: frozenset[int]) -> None:
        """Resume after each record: at its place, or with an answer that says why not."""
        for record in base.records:
            try:
                position = reader.resolve(decode_token(record.token))
            except (CursorError, LogUnavailableError) as error:
                # The seq of the next record, if it can be read, is part of the proof that a place is right.
                good = record.event_id in by_id and record.seq + 1 not in may_cost
                assert not good, f"the cursor of record {record.seq} is good, and got {error}"
            else:
                assert position.seq == record.seq
                assert (position.segment, position.offset) == (
                    record.segment,
                    record.offset,
                ) or position == reader.floor()
                here = next((other for other in by_id.values() if other.seq == record.seq), None)
                assert here is None or here.event_id == record.event_id, "silently at a wrong place"


class _Case(NamedTuple):
    """Something that is done to one of the logs; ``is_opened``: that log is then also opened for writing, and goes on."""

    base: _Base
    damage: _Damage
    is_opened: bool


def run(seed: int, budget: Budget) -> Report:
    """Damage a log in every way that there is for one place, then in several places at once."""
    corruption = _Corruption(seed, budget)
    report, bases = corruption.report, corruption.bases
    # The same in every part of a run.
    rng = Random(f"corruption-{seed}")
    places = [*map(_truncations, bases), *map(_flips, bases)]
    moves = [_moves(base, bases[base is bases[0]]) for base in bases]
    # Opening takes five times as long as reading.
    share = 1.0 if budget.size == "large" else 0.0625
    at_places = [
        _Case(base, damage, rng.random() < share)
        for base, damages in zip(itertools.cycle(bases), places, strict=False)
        for damage in damages
    ]
    of_files = [_Case(base, damage, True) for base, damages in zip(bases, moves, strict=True) for damage in damages]

    def judge(case: _Case, *others: _Damage) -> None:
        damages = [case.damage, *others]
        for damage in damages:
            report.count(damage.kind)
        with report.case(f"{case.base.name}: {', '.join(damage.name for damage in damages)}"):
            corruption.judge(case.base, damages, opens=case.is_opened)

    for case in report.each("files moved, deleted and put in", of_files, rng, short=len(of_files), per_second=1):
        judge(case)

    def judge_several() -> None:
        base = corruption.rng.choice(bases)
        runs = _runs(base, corruption.rng)
        judge(_Case(base, next(runs), True), *itertools.islice(runs, corruption.rng.randrange(3)))
        report.count("damages in several places")

    for number, case in enumerate(
        report.each("bits flipped and bytes cut off", at_places, rng, short=600, per_second=100)
    ):
        judge(case)
        # Now and then, so that a run in time comes to these too.
        if number % 25 == 0:
            judge_several()
    for _ in report.until("damages in several places", Goal(short=100, small=4000, large=200_000, per_second=2)):
        judge_several()
    report.require("openings for writing", report.floors["bits flipped and bytes cut off"] // 20)
    report.require("records announced as lost", report.floors["bits flipped and bytes cut off"] // 10)
    if budget.seconds is None:
        for kind, floor in (("swapped", 6), ("missing", 6), ("of another log", 6), ("duplicated", 30)):
            report.require(f"segments {kind}", floor)
    return report

"""The whole engine against a plain list, under anything that may happen to it, in any order (Hypothesis).

The list is what a careful listener would write down: who said what, in which order. Appends of several Workers,
refused and oversized ones, commits, rolls, rest with retention, clocks that jump, closes, kills, power cuts (in
recoveries too), copies put back, a lost catalog; after each of them the log must be the list, and every cursor ever
handed out must be answered rightly, by the reader and by the server's rule for each scope.
"""

# ruff: noqa: PT017  which error may come depends on what was done before

from __future__ import annotations

import asyncio
import errno
import functools
import json
from collections.abc import Callable
from random import Random
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.faults.clocks import ManualClock
from tests.faults.failing_files import FailingFiles
from tests.faults.memory_files import MemoryFiles, PowerCutError
from tests.torture.judge import adopt, check_books, check_kept, check_tokens, read_out
from tests.torture.report import Budget, Goal, Report
from tests.torture.rig import DATA, LOG, WORKERS, Rig, platform_with
from tests.torture.witness import Record, Witness, copy_of, live_mark
from yoi_runtime.errors import CursorError, LogBusyError, LogFullError, LogUnavailableError
from yoi_runtime.segment_log.commit import Durability
from yoi_runtime.segment_log.cursor import CursorToken
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.writer import LogOptions
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.starting_place import Place, StreamExpiredError, place_of_cursor

__all__ = ["run"]

_TEN_YEARS_SECONDS = 3652 * 86_400.0
_MOST_RECORD_BYTES = 3000
_SCOPES = (*WORKERS, None)
_SEEDS = st.integers(0, 2**32)
_GOAL = Goal(short=40, small=600, large=100_000, per_second=3)
# Hypothesis draws so many examples under one seed.
_EXAMPLES = 40
_FEWEST_RULES = 12
_RULES: list[str] = []
_PHASES = (Phase.generate, Phase.shrink)


_Rule = Callable[..., None]


def _happening(**drawn: st.SearchStrategy[Any]) -> Callable[[_Rule], _Rule]:
    """Make a method a rule, and count how often it happens."""

    def decorate(method: _Rule) -> _Rule:
        @functools.wraps(method)
        def counted(machine: _Machine, **values: Any) -> None:
            machine.count(f"times {method.__name__}")
            method(machine, **values)

        _RULES.append(method.__name__)
        # Its overloads know no arguments that come as a dict.
        made: _Rule = rule(**drawn)(counted)  # type: ignore[call-overload]
        return made

    return decorate


class _Machine(RuleBasedStateMachine):
    """``report`` is set by ``run``: how often each thing happened in all examples together."""

    report: Report
    lives = 0

    @initialize(
        durability=st.sampled_from(["synced", "written"]),
        retain_segments=st.sampled_from([None, 2, 4]),
        retain_age_seconds=st.sampled_from([None, 50.0]),
    )
    def begin(self, durability: Durability, retain_segments: int | None, retain_age_seconds: float | None) -> None:
        self.options = LogOptions(4096, durability, max_record_bytes=_MOST_RECORD_BYTES)
        self.retention = RetentionPolicy(None, retain_age_seconds, retain_segments)
        self.memory = MemoryFiles()
        self.memory.make_directory(LOG)
        self.clock = ManualClock()
        self.witness = Witness(LOG)
        # The list: seq - 1 -> who said what; None where a power cut made a hole that is announced.
        self.said: list[tuple[str | None, str] | None] = []
        self.texts = 0
        self.untold: dict[str, int] = {}
        self.copies: list[tuple[MemoryFiles, Witness, list[tuple[str | None, str] | None], bool]] = []
        self.counted = True
        self.follower: LogReader | None = None
        self.open()

    def open(self) -> None:
        type(self).lives += 1
        self.files = FailingFiles(self.memory)
        platform = platform_with(self.files, f"{self.report.seed}-{self.lives}", self.clock)
        self.rig = Rig(platform, self.options, self.retention)

    def count(self, what: str, number: int = 1) -> None:
        self.report.count(what, number)

    # Saying something.

    def say(self, worker_id: str | None, size: int, act: Callable[[str], Any]) -> None:
        """Append; what stands in the log then is what was said, after what has to be told before it."""
        self.texts += 1
        text = f"t{self.texts};"
        act(text)
        self.expect([*self.to_be_told(), (worker_id, text)])

    def to_be_told(self) -> list[tuple[str | None, str]]:
        """Return what the log has told of refused events by now."""
        told: list[tuple[str | None, str]] = [(name, f"lost {count}") for name, count in self.untold.items()]
        self.untold.clear()
        return told

    def expect(self, said: list[tuple[str | None, str]]) -> None:
        new = self.witness.look(self.memory)
        assert [_said(record) for record in new] == said
        assert [record.seq for record in new] == list(range(len(self.said) + 1, len(self.said) + 1 + len(new)))
        self.said += said
        self.count("events appended", len(new))

    @_happening(worker_id=st.sampled_from(_SCOPES), size=st.sampled_from([5, 60, 500, 2000]))
    def append(self, worker_id: str | None, size: int) -> None:
        self.say(worker_id, size, lambda text: self.rig.append(text, worker_id, size))

    @_happening(worker_id=st.sampled_from(WORKERS), times=st.integers(2, 6))
    def append_several(self, worker_id: str, times: int) -> None:
        for _ in range(times):
            self.say(worker_id, 60, lambda text: self.rig.append(text, worker_id, 60))

    @_happening(worker_id=st.sampled_from(WORKERS), size=st.sampled_from([3000, 9000]))
    def append_too_much(self, worker_id: str, size: int) -> None:
        """What is too large for a record is cut, and an alert says so."""
        self.texts += 1
        self.rig.append(text := f"t{self.texts};", worker_id, size)
        self.expect([*self.to_be_told(), (worker_id, text), (worker_id, "alert")])
        self.count("events cut to fit")

    @_happening(worker_id=st.sampled_from(WORKERS), short=st.sampled_from([0, 1, 100]))
    def append_on_a_full_disk(self, worker_id: str, short: int) -> None:
        """The disk refuses the record, what is told before it, or a new segment: nothing is written, and it is told later."""
        active = self.rig.writer.end.segment
        self.files.write_short(short, name=f"{active:020}.jsonl")
        for name, at in ((f"{active:020}.jsonl", 2), (f"{active + 1:020}.tmp", 1)):
            self.files.fail(errno.ENOSPC, "pwrite", name=name, at=at, for_ever=True)
        try:
            self.rig.append(f"t{self.texts};", worker_id, 60)
        except LogFullError:
            self.untold[worker_id] = self.untold.get(worker_id, 0) + 1
        else:
            raise AssertionError("the disk was full, and an append succeeded")
        finally:
            self.files.heal()
        assert not self.witness.look(self.memory)
        self.count("events refused")

    # What a Runtime does.

    @_happening()
    def commit(self) -> None:
        self.rig.writer.commit_once()

    @_happening()
    def roll(self) -> None:
        self.rig.log.roll()
        self.count("rolls")

    @_happening(seconds=st.sampled_from([1, 20, 60, 86_400]))
    def rest(self, seconds: int) -> None:
        """Time goes by, and the log is maintained."""
        self.clock.pass_seconds(seconds)
        sealed = len(self.rig.writer.sealed)
        self.rig.log.maintain()
        self.expect(self.to_be_told())
        most = self.retention.retain_segments
        # A roll at the end of maintenance is followed by a pass of its own.
        assert most is None or len(self.rig.writer.sealed) + 1 <= most
        self.count("passes of retention that deleted something", len(self.rig.writer.sealed) < sealed)

    @_happening(seconds=st.sampled_from([-_TEN_YEARS_SECONDS, -3600.0, -1.0, 1.0, 3600.0, _TEN_YEARS_SECONDS]))
    def jump_wall_clock(self, seconds: float) -> None:
        """The wall clock is set: nothing is rotated out for that before the log is opened again."""
        # What a jump before the last opening made old enough goes now.
        self.rig.log._rotation.rotate_out()
        before = len(self.rig.writer.sealed)
        self.clock.jump_wall(seconds)
        self.rig.log._rotation.rotate_out()
        assert len(self.rig.writer.sealed) == before
        # A jump of ten years is not believed at the next opening either; an hour may have gone by.
        if abs(seconds) > 3600:
            self.close_and_open()
            self.rig.log._rotation.rotate_out()
            kept = {segment.number for segment in self.rig.writer.sealed}
            assert len(kept) >= before or self.retention.retain_segments is not None
        self.count("clock jumps")

    @_happening()
    def wait_durable(self) -> None:
        """Whoever waits for the newest event is told of it if, and only if, it survives a power cut."""
        newest = next((record for record in reversed(self.witness.present.values()) if record is not None), None)
        if newest is None:
            return
        is_synced = newest.seq <= live_mark(self.memory, LOG).synced
        try:
            self.rig.log.wait_durable(CursorToken(newest.token), 0)
        except LogBusyError:
            assert not is_synced
        else:
            assert is_synced

    # Ends and beginnings.

    @_happening()
    def close_and_open(self) -> None:
        self.rig.close()
        self.expect(self.to_be_told())
        self.open()
        assert self.rig.writer.recovery is None
        self.after_opening(durable_seq=len(self.said))
        self.count("closes")

    @_happening()
    def kill_and_open(self) -> None:
        self.memory.kill()
        self.witness.look(self.memory)
        self.open()
        self.after_opening(durable_seq=len(self.said))
        self.count("kills")

    @_happening(seed=_SEEDS)
    def lose_power_and_open(self, seed: int) -> None:
        durable_seq = live_mark(self.memory, LOG).synced
        self.memory = self.memory.cut_power(Random(seed))
        self.open()
        self.after_opening(durable_seq)
        self.count("power cuts")

    @_happening(seed=_SEEDS, call=st.integers(1, 70))
    def lose_power_twice_and_open(self, seed: int, call: int) -> None:
        """The power fails, and again during the recovery: at any of its calls."""
        durable_seq = live_mark(self.memory, LOG).synced
        self.memory = self.memory.cut_power(Random(seed))
        self.memory.cut_power_at(call)
        try:
            self.open()
        except PowerCutError:
            self.count("power cuts in a recovery")
        self.memory = self.memory.cut_power(Random(seed + 1))
        self.open()
        self.after_opening(durable_seq)

    @_happening(garbage=st.booleans())
    def lose_catalog_and_open(self, garbage: bool) -> None:
        """The catalog is deleted or damaged: numbers go on, only what was rotated out is no longer exact."""
        self.memory.kill()
        if garbage:
            self.memory.write_bytes(DATA / "catalog.json", b'{"kind":"catalog","format":1}\n')
        else:
            self.memory.unlink(DATA / "catalog.json")
        self.witness.look(self.memory)
        self.counted = self.witness.floor_seq == 0
        self.open()
        self.after_opening(durable_seq=len(self.said))
        self.count("catalogs lost")

    @_happening()
    def copy(self) -> None:
        self.witness.look(self.memory)
        self.copies.append((copy_of(self.memory), self.witness.fork(), list(self.said), self.counted))

    @precondition(lambda self: self.copies)
    @_happening(number=st.integers(0, 100))
    def put_copy_back_and_open(self, number: int) -> None:
        """An older copy of the directory takes its place: another future begins there."""
        memory, witness, said, self.counted = self.copies[number % len(self.copies)]
        ever = self.witness.ever
        self.memory, self.witness, self.said = copy_of(memory), witness.fork(), list(said)
        self.witness.ever = ever
        self.open()
        self.after_opening(durable_seq=len(self.said))
        self.count("copies put back")

    def after_opening(self, durable_seq: int) -> None:
        """Take what is there for the list, after it was seen to be right."""
        self.untold.clear()
        self.follower = None
        reader = LogReader(LOG, platform_with(self.memory, 0))
        found = read_out(reader)
        reader.close()
        check_kept(found, self.witness, durable_seq)
        assert found.end.seq == self.rig.writer.end.seq
        lost = adopt(found, self.witness)
        self.count("records lost to power cuts", len(lost))
        self.count("records announced as lost", len(found.lost))
        self.witness.skip(self.memory)
        del self.said[found.end.seq :]
        self.said += [None] * (found.end.seq - len(self.said))
        for seq in found.lost:
            self.said[seq - 1] = None

    # Looking.

    @_happening()
    def follow(self) -> None:
        """Somebody reads on from where he was, with a reader that he keeps; what was deleted before him, he is told."""
        if self.follower is None:
            self.follower = LogReader(LOG, platform_with(self.memory, 0))
            self.place: Position = self.follower.floor()
        self.follower.refresh()
        self.follower.relist()
        self.place = max(self.place, self.follower.floor())
        lines: list[bytes] = []
        start = self.place.seq
        if None in self.said[start:]:
            return
        while (chunk := self.follower.read(self.place, 1000)) is not None:
            assert chunk.start.seq == self.place.seq
            lines += chunk.data.splitlines(keepends=True)
            self.place = chunk.end
        shown = live_mark(self.memory, LOG).shown
        expected = [self.witness.present[seq] for seq in range(start + 1, shown + 1)]
        assert lines == [record.line for record in expected if record is not None]
        self.count("records followed", len(lines))

    @_happening(seed=_SEEDS)
    def resume(self, seed: int) -> None:
        """Cursors of any age, of records that are there, gone and never were."""
        reader = LogReader(LOG, platform_with(self.memory, 0))
        for answer, times in check_tokens(reader, self.witness, self.some_records(seed, 15)).items():
            self.count(f"resumed by a reader: {answer}", times)
        reader.close()

    def some_records(self, seed: int, count: int) -> list[Record]:
        records = list(self.witness.ever.values())
        return Random(seed).sample(records, min(len(records), count))

    @_happening(seed=_SEEDS)
    def resume_on_server(self, seed: int) -> None:
        """The server's answer for each scope: exactly what of that scope was lost, or that nothing was."""
        asyncio.run(self._resume_on_server(self.some_records(seed, 10)))

    async def _resume_on_server(self, records: list[Record]) -> None:
        view = LogView(DATA, LOG, platform_with(self.memory, 0, self.clock))
        await view.start()
        try:
            for record in records:
                for scope in _SCOPES:
                    await self._judge_server(view, record, scope)
        finally:
            await view.close()

    async def _judge_server(self, view: LogView, record: Record, scope: str | None) -> None:
        present = self.witness.present
        here = present.get(record.seq)
        is_here = here is not None and here.event_id == record.event_id
        floor_seq = view.floor().seq
        between = [present[seq] for seq in range(record.seq + 1, floor_seq + 1) if seq in present]
        lost = [other for other in between if other is None or scope in (None, other.worker_id)]
        try:
            place = await place_of_cursor(view, scope, record.token)
        except StreamExpiredError as error:
            self.count("resumed on the server: expired")
            assert record.seq < floor_seq
            assert error.lost.events > 0
            if is_here and self.counted and None not in between:
                assert lost, "nothing of this scope was lost, and it is called expired"
                assert error.lost.events >= len(lost)
                own = record.worker_id == scope or scope is None
                if error.lost.exact:
                    assert error.lost.events == len(lost)
                assert error.lost.exact or not own, "the receipt could be exact"
                self.count("exact receipts", error.lost.exact)
        except LogUnavailableError:
            self.count("resumed on the server: unavailable")
            assert not is_here or record.seq > view.end.seq or view.ledger.rotated_out.last_seq > floor_seq
        except CursorError as error:
            self.count(f"resumed on the server: {type(error).__name__}")
            unproven = record.seq == floor_seq and record.segment < view.floor().segment - 1
            assert not is_here or record.seq > view.end.seq or unproven, f"seq {record.seq} is there, and got {error}"
        else:
            self.count("resumed on the server: resumed")
            assert place.position.seq >= record.seq
            self._judge_place(place, record, scope)

    def _judge_place(self, place: Place, record: Record, scope: str | None) -> None:
        """Whoever had followed this scope up to ``record`` misses nothing of it, and has heard nothing that is denied.

        Of a lost tail whose very segment number is gone, the number of a Worker is all that is left to tell: then a
        tail with as many events of this Worker as the history that took its place passes for it. So does one whose
        cursor is another Worker's. It is counted here, and documented.
        """
        ever, present = self.witness.ever, self.witness.present
        heard = self.witness.heard_by(record)
        of_scope = {event_id for event_id in heard if scope in (None, ever[event_id].worker_id)}
        there = {other.event_id for other in present.values() if other is not None}
        before = [other for seq, other in present.items() if other is not None and seq <= place.position.seq]
        missed = [other for other in before if scope in (None, other.worker_id) and other.event_id not in heard]
        lost_in_holes = set(self.witness.holes.values())
        if not missed and of_scope <= there | lost_in_holes:
            return
        own = scope is not None and record.worker_id == scope
        same_numbers = {ever[event_id].worker_seq for event_id in of_scope - there} == {
            other.worker_seq for other in missed
        }
        assert record.seq < place.position.seq, f"silently at a wrong place: seq {record.seq} is another event now"
        assert scope is not None
        assert not own or same_numbers or not self.counted, "silently at a wrong place, and the numbers tell"
        self.count("lost tails that nothing on the disk can tell")

    @invariant()
    def log_is_the_list(self) -> None:
        if not hasattr(self, "rig"):
            return
        self.count("steps")
        assert not self.witness.look(self.memory), "a record came that nobody appended"
        mark = live_mark(self.memory, LOG)
        assert mark.synced <= mark.shown <= len(self.said)
        assert self.options.durability != "synced" or mark.shown == mark.synced
        reader = LogReader(LOG, platform_with(self.memory, 0))
        found = read_out(reader)
        reader.close()
        assert found.end.seq == mark.shown
        assert self.rig.writer.end.seq == len(self.said)
        assert [_said(record) for record in found.records] == [
            said for said in self.said[found.floor.seq : mark.shown] if said is not None
        ]
        assert [record.line for record in found.records] == [
            self.witness.ever[record.event_id].line for record in found.records
        ]
        assert not [seq for seq in found.lost if self.said[seq - 1] is not None]
        if self.counted and None not in self.witness.present.values():
            check_books(self.rig, self.witness)


def _said(record: Record) -> tuple[str | None, str]:
    payload = json.loads(record.line)["envelope"]["payload"]
    data = payload["data"]
    match payload["event"]:
        case "events_lost":
            return record.worker_id, f"lost {data['count']}"
        case "alert":
            return record.worker_id, "alert"
        case _:
            return record.worker_id, (data.get("text") or data["version"]).partition(";")[0] + ";"


def run(seed: int, budget: Budget) -> Report:
    """Let Hypothesis draw examples; a failing one is shrunk and printed as a program."""
    report = Report("model", seed, budget)
    _Machine.report, _Machine.lives = report, 0
    for number in report.until("examples", _GOAL):
        drawn = settings(
            max_examples=_EXAMPLES,
            stateful_step_count=50,
            database=None,
            deadline=None,
            derandomize=False,
            phases=_PHASES,
            suppress_health_check=list(HealthCheck),
        )
        with report.case(f"round {number}"):
            run_state_machine_as_test(hypothesis.seed(seed * 1000 + number)(_Machine), settings=drawn)
        report.count("examples", _EXAMPLES)
    report.require_share("steps", 20)
    for what in (
        *("rolls", "kills", "closes", "power cuts", "power cuts in a recovery", "clock jumps"),
        *("events refused", "events cut to fit", "records lost to power cuts", "catalogs lost", "exact receipts"),
        "records followed",
    ):
        report.require_share(what, 0.25)
    # Whatever may happen did.
    assert len(_RULES) >= _FEWEST_RULES
    for name in _RULES:
        report.require_share(f"times {name}", 0.1)
    report.require_share("copies put back", 0.1)
    report.require_share("passes of retention that deleted something", 0.1)
    return report

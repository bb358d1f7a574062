"""yoi_runtime.runtime.runtime: one process, its Workers and its log, from one start to the next."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import yoi_runtime
from tests.codebase.tree import ROOT
from tests.conftest import ExpectLog
from tests.event_log.quick_files import QuickFiles
from tests.event_log.sample_event_log import TEN_YEARS_SECONDS, run_threads
from tests.event_log.written_events import by_worker, check_numbers, envelopes_in, events_of, lines_in
from tests.faults.clocks import ManualClock
from tests.faults.failing_files import FailingFiles
from tests.runtime.sample_runtime import SMALL, AtticFiles, open_runtime
from yoi_runtime.catalog.catalog import CATALOG, read_snapshot
from yoi_runtime.catalog.ledger import Ledger
from yoi_runtime.catalog.place_indexer import PlaceIndexer
from yoi_runtime.errors import (
    CursorForeignError,
    LogBrokenError,
    LogClosedError,
    LogFullError,
    LogHeldError,
    LogPlacementError,
    WorkerEndedError,
    WorkerIdInvalidError,
    WorkerRunningError,
)
from yoi_runtime.events import (
    Event,
    LogRecovered,
    RuntimeStarted,
    RuntimeStopping,
    Status,
    TextDelta,
    TextDone,
    ThinkingStart,
    ToolResult,
    UnknownEvent,
    Usage,
    WorkerCreated,
    WorkerEnded,
    WorkerStarted,
)
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import LOG_DIRECTORY, Runtime
from yoi_runtime.runtime.worker import Worker
from yoi_runtime.segment_log.cursor import CursorToken, decode_token
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.version import VERSION

KEEP_THREE = RuntimeOptions(segment_bytes=4096, retain_bytes=None, retain_age_seconds=None, retain_segments=3)


def runtime_events(data_dir: Path) -> list[Event]:
    return events_of(envelopes_in(data_dir / LOG_DIRECTORY), None)


def ledger_at(data_dir: Path) -> Ledger:
    snapshot = read_snapshot(data_dir, REAL_PLATFORM)
    assert snapshot is not None
    return snapshot.ledger


def crash(runtime: Runtime, data_dir: Path, name: str) -> Path:
    """Return a copy of the directory as a crash right now would leave it, and close the original."""
    reader = LogReader(runtime.log_directory)
    end = reader.token_at(reader.end)
    reader.close()
    runtime.wait_durable(end)
    target = data_dir.with_name(name)
    for path in (data_dir, data_dir / LOG_DIRECTORY):
        (target / path.relative_to(data_dir)).mkdir()
        for file in path.iterdir():
            if file.is_file():
                (target / file.relative_to(data_dir)).write_bytes(file.read_bytes())
    runtime.close()
    return target


# As a library.


def test_the_example_of_the_package_does_what_it_says(tmp_path: Path):
    with yoi_runtime.Runtime.open(tmp_path / "data") as runtime, runtime.create_worker("coder") as worker:
        cursor = worker.emit(TextDone(text="hello"))
        runtime.wait_durable(cursor)
        assert len(lines_in(runtime.log_directory)) == 4, "what is durable is shown"
    assert runtime.log_directory == tmp_path / "data" / "log"
    envelopes = envelopes_in(runtime.log_directory)
    check_numbers(envelopes)
    assert [envelope.payload for envelope in envelopes] == [
        RuntimeStarted(version=VERSION, pid=REAL_PLATFORM.pid()),
        WorkerCreated(worker_id="coder"),
        WorkerStarted(worker_id="coder", run=1),
        TextDone(text="hello"),
        WorkerEnded(worker_id="coder", outcome="completed"),
        RuntimeStopping(reason="closed"),
    ]


def test_the_package_offers_its_names_and_no_others():
    assert yoi_runtime.Runtime is Runtime
    assert yoi_runtime.RuntimeOptions is RuntimeOptions
    assert yoi_runtime.Worker is Worker
    assert yoi_runtime.__version__ == VERSION
    with pytest.raises(AttributeError, match="no attribute 'Backend'"):
        _ = yoi_runtime.Backend


def test_the_package_loads_the_engine_when_it_is_used_and_not_before():
    code = (
        "import sys, yoi_runtime; before = 'yoi_runtime.segment_log.writer' in sys.modules;"
        "yoi_runtime.Runtime; print(before, 'yoi_runtime.segment_log.writer' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "True"]


def test_a_directory_may_be_named_by_text_and_is_made(tmp_path: Path):
    with Runtime.open(str(tmp_path / "a" / "b")) as runtime:
        assert runtime.data_dir == tmp_path / "a" / "b"
        assert len(runtime.log_id) == 16


def test_the_log_keeps_its_id_through_restarts(tmp_path: Path):
    ids = []
    for _ in range(3):
        with open_runtime(tmp_path / "data") as runtime:
            ids.append(runtime.log_id)
    assert len(set(ids)) == 1


async def test_a_coroutine_may_wait_until_an_event_is_durable(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime, runtime.create_worker("coder") as worker:
        cursor = worker.emit(TextDone(text="hello"))
        await asyncio.wait_for(runtime.durable(cursor), 30)
        assert decode_token(cursor).seq == len(lines_in(runtime.log_directory))


def test_waiting_for_an_event_of_another_log_is_an_error_and_no_wait(tmp_path: Path):
    with open_runtime(tmp_path / "a") as one, open_runtime(tmp_path / "b") as other:
        foreign = other.create_worker("w").emit(TextDelta(text="x"))
        with pytest.raises(CursorForeignError):
            one.wait_durable(foreign)


# Who may.


def test_there_is_one_runtime_per_directory(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        with pytest.raises(LogHeldError) as held:
            open_runtime(tmp_path / "data")
        assert held.value.pid == REAL_PLATFORM.pid()
        assert held.value.directory == runtime.log_directory
        runtime.create_worker("unimpressed")
    open_runtime(tmp_path / "data").close()


@pytest.mark.parametrize("worker_id", ["", "a b", "a/b", "é", "a\n", "a" * 65, "..", 'a"'])
def test_a_worker_id_outside_of_the_grammar_is_refused(tmp_path: Path, worker_id: str):
    with open_runtime(tmp_path / "data") as runtime:
        with pytest.raises(WorkerIdInvalidError):
            runtime.create_worker(worker_id)
        assert runtime.running_workers() == []


def test_a_worker_that_runs_cannot_be_created_again(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        worker = runtime.create_worker("a" * 64)
        runtime.create_worker("b")
        with pytest.raises(WorkerRunningError) as running:
            runtime.create_worker("a" * 64)
        assert running.value.worker_id == "a" * 64
        assert runtime.running_workers() == ["a" * 64, "b"]
        worker.end()
        assert runtime.running_workers() == ["b"]
        assert runtime.create_worker("a" * 64).run == 2


def test_of_two_threads_that_create_one_worker_one_gets_it(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        for attempt in range(20):
            got: list[Worker] = []
            refused: list[WorkerRunningError] = []

            def create(_: int, attempt: int = attempt, got=got, refused=refused) -> None:
                try:
                    got.append(runtime.create_worker(f"w{attempt}"))
                except WorkerRunningError as error:
                    refused.append(error)

            run_threads(4, create)
            assert (len(got), len(refused)) == (1, 3)
    starts = [event.worker_id for event in runtime_events(runtime.data_dir) if isinstance(event, WorkerStarted)]
    assert starts == [f"w{attempt}" for attempt in range(20)]


def test_the_command_is_recorded_whatever_bytes_it_has(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        runtime.create_worker("a", command=["run", "--file", "caf\udce9", "日本"])
        runtime.create_worker("b", command=[])
        runtime.create_worker("c")
    commands = [event.command for event in runtime_events(runtime.data_dir) if isinstance(event, WorkerStarted)]
    assert commands == [("run", "--file", "caf\\udce9", "日本"), (), None]


def test_a_worker_that_could_not_be_started_does_not_run(tmp_path: Path):
    files = FailingFiles(QuickFiles())
    with open_runtime(tmp_path / "data", files=files) as runtime:
        # The first is worker_created, the second worker_started.
        files.fail(errno.ENOSPC, "pwrite", name="00000000000000000001.jsonl", at=2)
        with pytest.raises(LogFullError):
            runtime.create_worker("coder")
        assert runtime.running_workers() == []
        assert runtime.create_worker("coder").run == 1
    assert runtime_events(runtime.data_dir)[1:3] == [
        WorkerCreated(worker_id="coder"),
        WorkerStarted(worker_id="coder", run=1),
    ]


# From one start to the next.


def test_a_worker_restarted_under_its_id_continues_its_numbers(tmp_path: Path):
    for run in range(1, 4):
        with open_runtime(tmp_path / "data") as runtime, runtime.create_worker("coder") as worker:
            assert worker.run == run
            assert decode_token(worker.emit(TextDelta(text="x"))).worker_seq == run
    created = [event for event in runtime_events(tmp_path / "data") if isinstance(event, WorkerCreated)]
    assert len(created) == 1
    check_numbers(envelopes_in(tmp_path / "data" / LOG_DIRECTORY))


def test_workers_without_an_end_are_lost_at_the_next_start(tmp_path: Path):
    data_dir = tmp_path / "data"
    runtime = open_runtime(data_dir)
    for worker_id in ("runs", "ends", "again"):
        runtime.create_worker(worker_id).emit(TextDelta(text="x"))
    runtime.create_worker("ended").end()
    left = crash(runtime, data_dir, "crashed")
    again = open_runtime(left)
    assert again.create_worker("again").run == 2
    left = crash(again, left, "crashed again")
    with open_runtime(left) as third:
        pass
    ends = [event for event in runtime_events(third.data_dir) if isinstance(event, WorkerEnded)]
    assert [(event.worker_id, event.outcome) for event in ends] == [
        ("ended", "completed"),
        ("runs", "lost"),
        ("ends", "lost"),
        ("again", "lost"),
        ("again", "lost"),
    ]
    check_numbers(envelopes_in(third.log_directory))


def test_after_a_clean_close_nobody_is_lost_and_nothing_was_recovered(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        runtime.create_worker("coder").emit(TextDelta(text="x"))
    with open_runtime(tmp_path / "data") as runtime:
        pass
    assert [type(event) for event in runtime_events(runtime.data_dir)] == [
        RuntimeStarted,
        WorkerCreated,
        WorkerStarted,
        WorkerEnded,
        RuntimeStopping,
        RuntimeStarted,
        RuntimeStopping,
    ]
    ends = [event for event in runtime_events(runtime.data_dir) if isinstance(event, WorkerEnded)]
    assert ends == [WorkerEnded(worker_id="coder", outcome="cancelled")]


def test_a_torn_end_is_recovered_and_told(tmp_path: Path):
    data_dir = tmp_path / "data"
    runtime = open_runtime(data_dir)
    runtime.create_worker("coder").emit(TextDelta(text="x"))
    left = crash(runtime, data_dir, "crashed")
    with (left / "log" / "00000000000000000001.jsonl").open("ab") as file:
        file.write(b'{"kind":"event","envel')
    with open_runtime(left) as again:
        pass
    # After the close: readers see what is committed.
    found = [event for event in runtime_events(again.data_dir) if isinstance(event, LogRecovered)]
    assert found == [LogRecovered(segment=1, kept_events=4, dropped_bytes=22, reason="unclean end")]
    check_numbers(envelopes_in(again.log_directory))


def test_damage_is_told_and_numbers_go_on(tmp_path: Path):
    data_dir = tmp_path / "data"
    runtime = open_runtime(data_dir)
    worker = runtime.create_worker("coder")
    for number in range(3):
        worker.emit(TextDelta(text=f"event {number}"))
    left = crash(runtime, data_dir, "crashed")
    path = left / "log" / "00000000000000000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"event 1", b"event 7"))
    with open_runtime(left) as again:
        token = again.create_worker("coder").emit(TextDelta(text="on"))
        assert decode_token(token).worker_seq == 4
    (found,) = [
        envelope.payload
        for envelope in envelopes_in(again.log_directory, damaged=True)
        if isinstance(envelope.payload, LogRecovered)
    ]
    assert found.kept_events == 5
    assert found.reason == "damage: its checksum does not match"


def test_many_threads_through_rolls_rotation_and_restarts_leave_no_gap(tmp_path: Path):
    files = AtticFiles(tmp_path / "attic")
    log_directory = tmp_path / "data" / LOG_DIRECTORY
    for run in range(3):
        runtime = open_runtime(tmp_path / "data", KEEP_THREE, files)
        workers = [runtime.create_worker(f"w{number}") for number in range(4)]

        def emit(number: int, run: int = run, workers: list[Worker] = workers) -> None:
            for count in range(150):
                workers[number].emit(TextDelta(text=f"{run}.{count}"))

        run_threads(4, emit)
        runtime.close()
    history = files.history(log_directory)
    check_numbers(history)
    found = by_worker(history)
    for number in range(4):
        texts = [envelope.payload for envelope in found[f"w{number}"]]
        assert texts == [TextDelta(text=f"{run}.{count}") for run in range(3) for count in range(150)]
    ledger = ledger_at(tmp_path / "data")
    kept = by_worker(envelopes_in(log_directory))
    assert len(list(files.attic.iterdir())) > 50
    for worker_id, state in ledger.workers.items():
        assert state.rotated_out is not None
        assert state.rotated_out.events == state.rotated_out.last_worker_seq == 450 - len(kept.get(worker_id, []))
        assert state.worker_seq == 450


def test_ten_years_more_or_less_between_two_runs_delete_and_forget_nothing(tmp_path: Path):
    clock = ManualClock()
    for jump in (TEN_YEARS_SECONDS, -2 * TEN_YEARS_SECONDS, TEN_YEARS_SECONDS, 0.0):
        runtime = open_runtime(tmp_path / "data", RuntimeOptions(segment_bytes=4096), clock=clock)
        with runtime, runtime.create_worker("coder") as worker:
            for _ in range(20):
                worker.emit(TextDelta(text="x" * 300))
        clock.jump_wall(jump)
    envelopes = envelopes_in(tmp_path / "data" / LOG_DIRECTORY)
    check_numbers(envelopes)
    assert len(by_worker(envelopes)["coder"]) == 80


def test_a_lost_catalog_costs_no_event_and_no_number(tmp_path: Path):
    for _ in range(3):
        with open_runtime(tmp_path / "data", KEEP_THREE) as runtime, runtime.create_worker("coder") as worker:
            for _ in range(60):
                worker.emit(TextDelta(text="x" * 300))
        (tmp_path / "data" / CATALOG).unlink()
    envelopes = envelopes_in(tmp_path / "data" / LOG_DIRECTORY)
    check_numbers(envelopes, first_seq=None)
    assert by_worker(envelopes)["coder"][-1].worker_seq == 180


# Closing.


def test_a_runtime_may_be_closed_again_and_from_many_threads(tmp_path: Path):
    for attempt in range(10):
        runtime = open_runtime(tmp_path / str(attempt))
        runtime.create_worker("coder")

        def close(number: int, runtime: Runtime = runtime) -> None:
            runtime.close(f"thread {number}")

        run_threads(4, close)
        runtime.close("again")
        assert len([event for event in runtime_events(runtime.data_dir) if isinstance(event, RuntimeStopping)]) == 1


def test_whoever_closes_returns_when_the_log_is_closed(tmp_path: Path):
    class HeldFiles(QuickFiles):
        def __init__(self) -> None:
            self.holds = False
            self.reached, self.go = threading.Event(), threading.Event()

        def rename(self, source: Path, target: Path) -> None:
            if self.holds and target.name == CATALOG:
                self.reached.set()
                self.go.wait(30)
            super().rename(source, target)

    files = HeldFiles()
    runtime = open_runtime(tmp_path / "data", files=files)
    files.holds = True
    first, second = (threading.Thread(target=runtime.close) for _ in range(2))
    first.start()
    assert files.reached.wait(30)
    second.start()
    second.join(0.05)
    assert second.is_alive(), "the log is not closed yet"
    files.go.set()
    first.join()
    second.join()
    open_runtime(tmp_path / "data").close()


def test_ctrl_c_while_it_waits_for_the_place_indexer_leaves_the_log_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    runtime = open_runtime(tmp_path)

    def interrupted(indexer: PlaceIndexer) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PlaceIndexer, "stop", interrupted)
        with pytest.raises(KeyboardInterrupt):
            runtime.close()
    runtime._place_indexer.stop()
    open_runtime(tmp_path).close()


def test_a_closed_runtime_takes_nothing(tmp_path: Path):
    runtime = open_runtime(tmp_path / "data")
    worker = runtime.create_worker("coder")
    runtime.close()
    assert worker.ended
    with pytest.raises(WorkerEndedError):
        worker.emit(TextDelta(text="late"))
    with pytest.raises(LogClosedError):
        runtime.create_worker("late")
    worker.end()
    assert runtime.running_workers() == []


def test_a_runtime_on_a_full_disk_closes_and_its_workers_are_lost_at_the_next_start(
    tmp_path: Path, expect_log: ExpectLog
):
    expect_log("yoi_runtime.runtime", "the end of Worker [ab] could not be written")
    expect_log("yoi_runtime.runtime", "the end of the Runtime could not be written")
    files = FailingFiles(QuickFiles())
    runtime = open_runtime(tmp_path / "data", files=files)
    runtime.create_worker("a")
    runtime.create_worker("b").emit(TextDelta(text="kept"))
    files.fail(errno.ENOSPC, "pwrite", name="00000000000000000001.jsonl", for_ever=True)
    runtime.close()
    assert files.open_files == []
    files.heal()
    with open_runtime(tmp_path / "data", files=files) as again:
        pass
    envelopes = envelopes_in(again.log_directory)
    check_numbers(envelopes)
    assert events_of(envelopes, "b") == [TextDelta(text="kept")]
    ends = [event for event in events_of(envelopes, None) if isinstance(event, WorkerEnded)]
    assert [(event.worker_id, event.outcome) for event in ends] == [("a", "lost"), ("b", "lost")]


def test_one_end_that_is_refused_does_not_keep_the_others_from_being_written(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.runtime", "the end of Worker a could not be written")
    files = FailingFiles(QuickFiles())
    runtime = open_runtime(tmp_path / "data", files=files)
    for worker_id in "abc":
        runtime.create_worker(worker_id)
    files.fail(errno.ENOSPC, "pwrite", name="00000000000000000001.jsonl")
    runtime.close("enough")
    assert [
        event for event in runtime_events(runtime.data_dir) if not isinstance(event, WorkerCreated | WorkerStarted)
    ][1:] == [
        WorkerEnded(worker_id="b", outcome="cancelled"),
        WorkerEnded(worker_id="c", outcome="cancelled"),
        RuntimeStopping(reason="enough"),
    ]


def test_a_runtime_whose_log_is_broken_says_so_and_is_closed_all_the_same(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.runtime", "the end of (Worker coder|the Runtime) could not be written")
    files = FailingFiles(QuickFiles())
    runtime = open_runtime(tmp_path / "data", files=files)
    worker = runtime.create_worker("coder")
    runtime.wait_durable(worker.emit(TextDelta(text="kept")))
    files.fail(errno.EIO, "fdatasync")
    token = worker.emit(TextDelta(text="gone"))
    with pytest.raises(LogBrokenError):
        runtime.wait_durable(token)
    with pytest.raises(LogBrokenError):
        worker.emit(TextDelta(text="gone"))
    with pytest.raises(LogBrokenError):
        runtime.create_worker("other")
    with pytest.raises(LogBrokenError):
        runtime.close()
    runtime.close()
    assert files.open_files == []
    with open_runtime(tmp_path / "data", files=files) as again:
        pass
    envelopes = envelopes_in(again.log_directory)
    check_numbers(envelopes)
    assert TextDelta(text="kept") in events_of(envelopes, "coder")
    assert WorkerEnded(worker_id="coder", outcome="lost") in events_of(envelopes, None)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("open_write", "LOCK"),
        ("lock", "LOCK"),
        ("list_directory", LOG_DIRECTORY),
        ("open_write", "COMMITTED"),
        ("create", "00000000000000000002.tmp"),
        ("rename", "00000000000000000002.jsonl"),
        ("pwrite", "COMMITTED"),
        ("fdatasync", "COMMITTED"),
        ("open_read", CATALOG),
        ("pread", CATALOG),
        ("pwrite", "00000000000000000002.jsonl"),
    ],
)
def test_a_runtime_that_cannot_be_opened_leaves_nothing_open_and_nothing_changed(
    tmp_path: Path, method: str, name: str
):
    data_dir = tmp_path / "data"
    with open_runtime(data_dir) as runtime, runtime.create_worker("coder") as worker:
        worker.emit(TextDelta(text="x"))
    before = envelopes_in(runtime.log_directory)
    files = FailingFiles(QuickFiles())
    files.fail(errno.EIO, method, name=name)
    with pytest.raises(OSError, match="Input/output"):
        open_runtime(data_dir, files=files)
    assert files.struck == 1
    assert files.open_files == open_files_under(data_dir) == []
    open_runtime(data_dir, files=files).close()
    after = envelopes_in(runtime.log_directory)
    check_numbers(after)
    assert after[: len(before)] == before


@pytest.mark.parametrize("name", ["yoi-commit", "yoi-maintenance", "yoi-places"])
def test_a_runtime_that_gets_no_thread_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == name:
            raise RuntimeError("can't start new thread")
        start(thread)

    before = threading.active_count()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="new thread"):
            open_runtime(tmp_path)
    assert open_files_under(tmp_path) == []
    assert threading.active_count() == before
    open_runtime(tmp_path).close()


class NetworkFiles(QuickFiles):
    """Lies on a network file system."""

    def filesystem_type(self, path: Path) -> str:
        return "nfs4"


def test_on_a_network_file_system_nothing_is_made(tmp_path: Path):
    with pytest.raises(LogPlacementError, match="nfs4"):
        open_runtime(tmp_path / "some" / "data", files=NetworkFiles())
    assert list(tmp_path.iterdir()) == []
    allowed = RuntimeOptions(allow_network_filesystem=True)
    open_runtime(tmp_path / "some" / "data", allowed, NetworkFiles()).close()


def open_files_under(directory: Path) -> list[str]:
    """Return what this process holds open below ``directory``."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = link.readlink()
        except FileNotFoundError:
            continue
        if target.is_relative_to(directory):
            found.append(target.name)
    return found


# A process that is killed.


class KilledWriter:
    """A process that writes in a directory until it is killed; see ``killed_writer.py``."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.killed_writer", str(data_dir), *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def tokens(self) -> Iterator[CursorToken]:
        """Yield the token of every event that the process found durable."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):
                yield CursorToken(line.rstrip())


def check_after_kill(data_dir: Path, runtime: Runtime) -> None:
    """Check that what is left is contiguous, and what is gone is counted, for the log and for each Worker."""
    envelopes = envelopes_in(runtime.log_directory)
    check_numbers(envelopes, first_seq=None)
    ledger = ledger_at(data_dir)
    assert ledger.unaccounted_seq == 0
    assert ledger.rotated_out.events == ledger.rotated_out.last_seq == envelopes[0].seq - 1
    for worker_id, state in ledger.workers.items():
        kept = by_worker(envelopes).get(worker_id, [])
        gone = state.rotated_out.events if state.rotated_out is not None else 0
        assert gone + len(kept) == state.worker_seq
        if kept:
            assert kept[0].worker_seq == gone + 1


def test_what_was_durable_survives_kills_and_what_went_is_counted(tmp_path: Path):
    data_dir = tmp_path / "data"
    newest = ""
    for run in range(3):
        with KilledWriter(data_dir, "endless") as writer:
            for count, token in enumerate(writer.tokens()):
                newest = token
                if count >= 60 + 50 * run:
                    break
        runtime = open_runtime(data_dir, KEEP_THREE)
        runtime.close()
        durable = decode_token(newest)
        envelopes = envelopes_in(runtime.log_directory)
        assert any(envelope.cursor == newest for envelope in envelopes) or envelopes[0].seq > durable.seq
        assert LogRecovered in [type(event) for event in runtime_events(runtime.data_dir)]
        lost = [event for event in runtime_events(runtime.data_dir) if isinstance(event, WorkerEnded)][-2:]
        assert [(event.worker_id, event.outcome) for event in lost] == [("a", "lost"), ("b", "lost")]
        check_after_kill(data_dir, runtime)


def test_a_kill_between_the_count_and_the_deletion_counts_nothing_twice(tmp_path: Path):
    data_dir = tmp_path / "data"
    with KilledWriter(data_dir, "until the first deletion") as writer:
        assert list(writer.tokens())
        assert writer.process.wait(60) == -9
    counted = ledger_at(data_dir).rotated_out
    assert counted.events > 0
    assert len(list((data_dir / LOG_DIRECTORY).glob("*.jsonl"))) == 4, "counted, and still there"
    runtime = open_runtime(data_dir, KEEP_THREE)
    worker = runtime.create_worker("a")
    for _ in range(40):
        worker.emit(TextDelta(text="x" * 300))
    runtime.close()
    check_after_kill(data_dir, runtime)


# Everything at once.

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
EVENTS = st.one_of(
    st.builds(TextDelta, text=st.text(max_size=600)),
    st.builds(
        ToolResult, id=st.text(max_size=5), summary=st.text(max_size=50), output=st.none() | st.text(max_size=900)
    ),
    st.builds(Usage, input_tokens=st.none() | st.integers(0, 2**64 - 1), output_tokens=st.none()),
    st.builds(Status, status=st.sampled_from(["idle", "running", "paused"])),
    st.just(ThinkingStart()),
    st.builds(
        UnknownEvent,
        name=st.just("made_up"),
        data=LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(max_size=5), st.lists(LEAVES, max_size=2)),
    ),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("abc"), EVENTS),
        st.tuples(st.sampled_from("abc"), st.none()),
        st.just((None, None)),
    ),
    min_size=5,
    max_size=50,
)


@settings(max_examples=40)
@given(steps=STEPS, rotate=st.booleans())
def test_whatever_is_emitted_by_whom_through_ends_and_restarts_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str | None, Event | None]], rotate: bool
):
    """A step is an event of a Worker, a Worker's end (no event), or a restart (no Worker)."""
    root = tmp_path_factory.mktemp("runtime")
    files = AtticFiles(root / "attic")
    options = KEEP_THREE if rotate else SMALL
    runtime = open_runtime(root / "data", options, files)
    workers: dict[str, Worker] = {}
    emitted: list[tuple[str, str, Event]] = []
    runs: dict[str, int] = {}
    for worker_id, event in steps:
        if worker_id is None:
            runtime.close()
            workers.clear()
            runtime = open_runtime(root / "data", options, files)
        elif event is None:
            if worker_id in workers:
                workers.pop(worker_id).end()
        else:
            if worker_id not in workers:
                workers[worker_id] = runtime.create_worker(worker_id)
                runs[worker_id] = runs.get(worker_id, 0) + 1
            assert workers[worker_id].run == runs[worker_id]
            emitted.append((workers[worker_id].emit(event), worker_id, event))
    runtime.close()
    history = files.history(runtime.log_directory)
    check_numbers(history)
    said = [(one.cursor, one.worker_id, one.payload) for one in history if one.worker_id is not None]
    assert said == emitted
    left = envelopes_in(runtime.log_directory)
    assert history[len(history) - len(left) :] == left
    ledger = ledger_at(root / "data")
    assert ledger.rotated_out.events == len(history) - len(left)
    assert {worker_id: state.run for worker_id, state in ledger.workers.items()} == runs
    assert all(state.ended for state in ledger.workers.values())

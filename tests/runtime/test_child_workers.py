"""yoi_runtime.runtime.child_workers: real processes as Workers of a real Runtime."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.event_log.quick_files import QuickFiles
from tests.event_log.written_events import check_numbers, envelopes_in, events_of
from tests.faults.failing_files import FailingFiles
from tests.runtime.sample_runtime import open_runtime
from tests.support.deadline import wait_until, wait_until_async
from tests.workers.real_children import process_state, python
from yoi_runtime.errors import (
    AdapterError,
    LogBrokenError,
    LogFullError,
    WorkerEndedError,
    WorkerIdInvalidError,
    WorkerRunningError,
    WorkerStartError,
)
from yoi_runtime.events import (
    Alert,
    Event,
    EventsLost,
    Status,
    TextDelta,
    TextDone,
    WorkerCreated,
    WorkerEnded,
    WorkerStarted,
)
from yoi_runtime.runtime.child_workers import ChildWorkers
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.runtime.worker import Worker
from yoi_runtime.workers.outcome import WorkerExit
from yoi_runtime.workers.restart_policy import RestartPolicy
from yoi_runtime.workers.terminal import TerminalOptions

FIRST = "00000000000000000001.jsonl"
# Says its pid, then lives until it is told to end.
WAIT = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
# The same, and SIGTERM does not end it.
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"


class PickyFiles(QuickFiles):
    """A disk that has no room for writes that hold certain bytes."""

    def __init__(self) -> None:
        self.refused_bytes: bytes | None = None
        self.refused = 0

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        if self.refused_bytes is not None and self.refused_bytes in data:
            self.refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().pwrite(fd, data, offset)


def ends_in(runtime: Runtime) -> list[WorkerEnded]:
    return [event for event in events_of(envelopes_in(runtime.log_directory), None) if isinstance(event, WorkerEnded)]


def said_by(runtime: Runtime, worker_id: str) -> list[Event]:
    return events_of(envelopes_in(runtime.log_directory), worker_id)


def texts_of(runtime: Runtime, worker_id: str) -> list[str]:
    return [event.text for event in said_by(runtime, worker_id) if isinstance(event, TextDone)]


async def pid_of(runtime: Runtime, worker_id: str) -> int:
    """Return the pid that a child of ours has said."""
    return int((await wait_until_async(lambda: texts_of(runtime, worker_id)))[0])


async def test_a_childs_life_is_written_from_its_start_to_its_end(tmp_path: Path):
    runtime = open_runtime(tmp_path / "data")
    children = ChildWorkers(runtime)
    command = python("""print('text'); print('{"event":"text_delta","data":{"text":"delta"}}')""")
    ended = await children.start("coder", command)
    assert ended == WorkerExit("completed", 0, None)
    assert runtime.running_workers() == []
    runtime.close()
    envelopes = envelopes_in(runtime.log_directory)
    check_numbers(envelopes)
    assert [envelope.payload for envelope in envelopes][1:-1] == [
        WorkerCreated(worker_id="coder"),
        WorkerStarted(worker_id="coder", run=1, command=tuple(command)),
        Status(status="running"),
        TextDone(text="text"),
        TextDelta(text="delta"),
        Status(status="idle"),
        WorkerEnded(worker_id="coder", outcome="completed", exit_code=0),
    ]


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("raise SystemExit(3)", WorkerExit("failed", 3, None)),
        ("import os; os.kill(os.getpid(), 9)", WorkerExit("crashed", None, signal.SIGKILL)),
    ],
    ids=["an exit code", "a signal"],
)
async def test_how_a_child_ended_is_told_and_written(tmp_path: Path, code: str, ended: WorkerExit):
    with open_runtime(tmp_path / "data") as runtime:
        assert await ChildWorkers(runtime).start("coder", python(code)) == ended
    assert ends_in(runtime) == [WorkerEnded(worker_id="coder", outcome=ended.outcome, exit_code=ended.exit_code)]


async def test_directory_environment_and_adapter_reach_the_child(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        code = "import os; print(os.getcwd(), os.environ['COLOUR']); print('{\"event\":\"thinking_start\"}')"
        children = ChildWorkers(runtime)
        await children.start("coder", python(code), adapter="lines", cwd=tmp_path, env={"COLOUR": "red"})
    assert texts_of(runtime, "coder") == [f"{tmp_path} red", '{"event":"thinking_start"}']


async def test_many_children_run_at_once_and_wait_returns_when_all_have_ended(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime)
        await children.wait()
        code = "import sys; [print(sys.argv[1], n) for n in range(200)]"
        tasks = [children.start(f"w{number}", python(code, str(number))) for number in range(4)]
        assert len(runtime.running_workers()) == 4
        await children.wait()
        assert all(task.result().outcome == "completed" for task in tasks)
        assert runtime.running_workers() == []
    check_numbers(envelopes_in(runtime.log_directory))
    for number in range(4):
        assert texts_of(runtime, f"w{number}") == [f"{number} {n}" for n in range(200)]


async def test_a_child_may_be_started_again_under_its_id(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime)
        for _ in range(2):
            await children.start("coder", python("print('hi')"))
    starts = [e for e in events_of(envelopes_in(runtime.log_directory), None) if isinstance(e, WorkerStarted)]
    assert [event.run for event in starts] == [1, 2]
    check_numbers(envelopes_in(runtime.log_directory))


# Starts that fail.


async def test_a_command_that_cannot_be_started_is_a_failed_worker(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime)
        with pytest.raises(WorkerStartError) as failed:
            children.start("coder", ["/no/such/program"])
        assert failed.value.command == "/no/such/program"
        with pytest.raises(WorkerStartError):
            children.start("coder", [])
        assert runtime.running_workers() == []
        await children.wait()
        assert (await children.start("coder", python("pass"))).outcome == "completed"
    assert [event.outcome for event in ends_in(runtime)] == ["failed", "failed", "completed"]


async def test_a_failed_start_is_told_as_one_also_when_its_end_cannot_be_written(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.runtime", "the end of Worker coder could not be written")
    files = PickyFiles()
    with open_runtime(tmp_path / "data", files=files) as runtime:
        files.refused_bytes = b"worker_ended"
        with pytest.raises(WorkerStartError):
            ChildWorkers(runtime).start("coder", ["/no/such/program"])
        files.refused_bytes = None


async def test_an_id_that_is_taken_or_none_starts_nothing(tmp_path: Path):
    made = tmp_path / "made"
    command = python("import sys, pathlib; pathlib.Path(sys.argv[1]).touch()", str(made))
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime)
        with runtime.create_worker("taken"), pytest.raises(WorkerRunningError):
            children.start("taken", command)
        with pytest.raises(WorkerIdInvalidError):
            children.start("no id", command)
        with pytest.raises(AdapterError):
            children.start("coder", command, adapter="no-adapter")
        assert runtime.running_workers() == []
        files = FailingFiles(QuickFiles())
        with open_runtime(tmp_path / "full", files=files) as full:
            files.fail(errno.ENOSPC, "pwrite", name=FIRST)
            with pytest.raises(LogFullError):
                ChildWorkers(full).start("coder", command)
        await children.wait()
    assert not made.exists()


# Stops.


async def test_a_stop_ends_every_child_and_returns_when_their_ends_are_written(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime)
        await children.stop("nothing runs")
        tasks = [children.start(worker_id, python(WAIT)) for worker_id in "ab"]
        pids = [await pid_of(runtime, worker_id) for worker_id in "ab"]
        await children.stop("enough")
        assert [process_state(pid) for pid in pids] == [None, None]
        assert runtime.running_workers() == []
        for task in tasks:
            assert (task.result().outcome, task.result().stop_reason) == ("cancelled", "enough")
    assert {(event.worker_id, event.outcome) for event in ends_in(runtime)} == {("a", "cancelled"), ("b", "cancelled")}
    assert said_by(runtime, "a")[-1] == Status(status="idle")


async def test_a_child_that_does_not_listen_is_killed_after_its_grace(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime, grace_seconds=0.05)
        task = children.start("coder", python(STUBBORN))
        await pid_of(runtime, "coder")
        await children.stop("enough")
        assert task.result() == WorkerExit("cancelled", None, signal.SIGKILL, "enough")


async def test_a_cancelled_task_takes_its_child_along(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime)
        task = children.start("coder", python(STUBBORN))
        pid = await pid_of(runtime, "coder")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert process_state(pid) is None
        assert runtime.running_workers() == []
    assert ends_in(runtime) == [WorkerEnded(worker_id="coder", outcome="cancelled")]


async def test_a_runtime_that_is_closed_takes_its_children_along(tmp_path: Path):
    runtime = open_runtime(tmp_path / "data")
    children = ChildWorkers(runtime)
    code = "import itertools\nfor n in itertools.count(): print(n, flush=True)"
    task = children.start("coder", python(code))
    await wait_until_async(lambda: texts_of(runtime, "coder"))
    runtime.close()
    with pytest.raises(WorkerEndedError):
        await task
    await children.wait()
    assert ends_in(runtime) == [WorkerEnded(worker_id="coder", outcome="cancelled")]
    numbers = [int(text) for text in texts_of(runtime, "coder")]
    assert numbers == list(range(len(numbers)))


# A log that takes nothing.


async def test_while_the_disk_is_full_output_waits_and_nothing_of_it_is_lost(tmp_path: Path):
    files = FailingFiles(QuickFiles())
    with open_runtime(tmp_path / "data", RuntimeOptions(), files) as runtime:
        children = ChildWorkers(runtime)
        for refusals in range(1, 4):
            files.fail(errno.ENOSPC, "pwrite", name=FIRST, at=4 * refusals)
        files.fail(errno.ENOSPC, "pwrite", name=FIRST, at=20, for_ever=True)
        # More than a pipe holds: the child blocks in its write.
        code = "import sys\nfor n in range(3000): print(n, 'x' * 60)\nprint('after', file=sys.stderr)"
        task = children.start("coder", python(code))
        await wait_until_async(lambda: files.struck > 6)
        assert not task.done()
        files.heal()
        ended = await task
    assert ended.outcome == "completed"
    envelopes = envelopes_in(runtime.log_directory)
    check_numbers(envelopes)
    assert [int(text.split()[0]) for text in texts_of(runtime, "coder")] == list(range(3000))
    events = events_of(envelopes, "coder")
    assert not [event for event in events if isinstance(event, EventsLost)], "what is offered again is not lost"
    assert [event.message for event in events if isinstance(event, Alert)] == ["after"]
    assert ends_in(runtime) == [WorkerEnded(worker_id="coder", outcome="completed", exit_code=0)]


@pytest.mark.parametrize(
    ("error", "method", "name"),
    [
        (errno.EMFILE, "create", "00000000000000000002.tmp"),
        (errno.ENFILE, "open_read", "LOCK"),
        (errno.EMFILE, "sync_directory", "log"),
        (errno.ENFILE, "sync_directory", "log"),
        (errno.EINTR, "create", "00000000000000000002.tmp"),
        (errno.EINTR, "pwrite", FIRST),
        (errno.ENOMEM, "pwrite", FIRST),
    ],
)
async def test_while_the_system_lacks_something_for_an_append_output_waits(
    tmp_path: Path, error: int, method: str, name: str
):
    files = FailingFiles(QuickFiles())
    with open_runtime(tmp_path / "data", files=files) as runtime:
        children = ChildWorkers(runtime)
        # Created, started, running: those are no output.
        files.fail(error, method, name=name, at=4 if name == FIRST else 1, for_ever=True)
        task = children.start("coder", python("for n in range(300): print(n)"))
        await wait_until_async(lambda: files.struck > 2)
        assert not task.done()
        files.heal()
        assert (await task).outcome == "completed"
    assert [int(text) for text in texts_of(runtime, "coder")] == list(range(300))
    assert not [event for event in said_by(runtime, "coder") if isinstance(event, EventsLost)]
    assert ends_in(runtime) == [WorkerEnded(worker_id="coder", outcome="completed", exit_code=0)]


async def test_an_event_too_large_for_a_record_comes_once_also_when_its_alert_is_refused(
    tmp_path: Path, expect_log: ExpectLog
):
    expect_log("yoi_runtime.event_log", "could not be told in the log")
    files = PickyFiles()
    files.refused_bytes = b"was too large for the log"
    with open_runtime(tmp_path / "data", files=files) as runtime:
        await ChildWorkers(runtime).start("coder", python("print('x' * 400_000); print('next')"))
    big, after = texts_of(runtime, "coder")
    assert 200_000 < len(big) < 400_000
    assert after == "next"
    assert files.refused == 1
    assert [event.count for event in said_by(runtime, "coder") if isinstance(event, EventsLost)] == [1]


async def test_the_end_of_a_child_waits_for_room_as_well(tmp_path: Path):
    files = PickyFiles()
    with open_runtime(tmp_path / "data", files=files) as runtime:
        files.refused_bytes = b"worker_ended"
        task = ChildWorkers(runtime).start("coder", python("raise SystemExit(3)"))
        await wait_until_async(lambda: files.refused > 2)
        assert not task.done()
        assert runtime.running_workers() == ["coder"]
        files.refused_bytes = None
        assert (await task).outcome == "failed"
    assert ends_in(runtime) == [WorkerEnded(worker_id="coder", outcome="failed", exit_code=3)]


async def test_a_stop_on_a_full_disk_comes_to_its_end(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.runtime", "the log takes nothing: the last output of a, b is given up")
    expect_log("yoi_runtime.runtime", "the end of (Worker [ab]|the Runtime) could not be written")
    files = FailingFiles(QuickFiles())
    runtime = open_runtime(tmp_path / "data", RuntimeOptions(), files)
    children = ChildWorkers(runtime, last_output_seconds=0.1)
    code = "import itertools, os\nprint(os.getpid(), flush=True)\nfor n in itertools.count(): print(n, flush=True)"
    tasks = [children.start(worker_id, python(code)) for worker_id in "ab"]
    pids = [await pid_of(runtime, worker_id) for worker_id in "ab"]
    files.fail(errno.ENOSPC, "pwrite", name=FIRST, for_ever=True)
    struck = files.struck
    await wait_until_async(lambda: files.struck > struck + 2)
    await children.stop("enough")
    assert all(task.cancelled() for task in tasks)
    assert [process_state(pid) for pid in pids] == [None, None]
    runtime.close()
    files.heal()
    with open_runtime(tmp_path / "data", files=files) as again:
        pass
    assert [(event.worker_id, event.outcome) for event in ends_in(again)] == [("a", "lost"), ("b", "lost")]
    check_numbers(envelopes_in(again.log_directory))


async def test_a_log_out_of_service_ends_the_child_and_its_task_says_why(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.runtime", "could not be written")
    files = FailingFiles(QuickFiles())
    runtime = open_runtime(tmp_path / "data", RuntimeOptions(), files)
    children = ChildWorkers(runtime)
    code = "import itertools, os\nprint(os.getpid(), flush=True)\nfor n in itertools.count(): print(n, flush=True)"
    task = children.start("coder", python(code))
    pid = await pid_of(runtime, "coder")
    files.fail(errno.EIO, "fdatasync", name=FIRST)
    with pytest.raises(LogBrokenError):
        await task
    wait_until(lambda: process_state(pid) is None)
    await children.wait()
    with pytest.raises(LogBrokenError):
        runtime.close()


# Restarts.

# Counts its runs in a file; fails as often as it is told, then ends well.
COUNTS = """
import pathlib, sys
file, failures = pathlib.Path(sys.argv[1]), int(sys.argv[2])
runs = int(file.read_text()) + 1 if file.exists() else 1
file.write_text(str(runs))
print("run", runs, flush=True)
sys.exit(3 if runs <= failures else 0)
"""
AT_ONCE = RestartPolicy("on-failure", first_delay_seconds=0.001, max_delay_seconds=0.002)
# So long that a test which waits for it fails.
FAR_OFF = RestartPolicy("always", first_delay_seconds=3600.0, max_delay_seconds=3600.0)


def runtime_events(runtime: Runtime, *kinds: type[Event]) -> list[Event]:
    return [event for event in events_of(envelopes_in(runtime.log_directory), None) if isinstance(event, kinds)]


def lives(runtime: Runtime) -> list[tuple[object, ...]]:
    """Return the starts and ends in the log: a start's run, an end's outcome and whether another run is to follow."""
    return [
        (event.run,) if isinstance(event, WorkerStarted) else (event.outcome, bool(event.restart_pending))
        for event in runtime_events(runtime, WorkerStarted, WorkerEnded)
        if isinstance(event, WorkerStarted | WorkerEnded)
    ]


async def test_a_worker_that_fails_runs_again_until_it_ends_well(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.runtime", r"Worker coder failed \(exit code 3\): restart [123] in 0.0 s")
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime)
        command = python(COUNTS, str(tmp_path / "count"), "3")
        assert await children.start("coder", command, restart=AT_ONCE) == WorkerExit("completed", 0, None)
        await children.wait()
        assert (runtime.worker_counts.restarts, runtime.worker_counts.given_up) == (3, 0)
        assert runtime.running_workers() == []
    failed = ("failed", True)
    assert lives(runtime) == [(1,), failed, (2,), failed, (3,), failed, (4,), ("completed", False)]
    assert texts_of(runtime, "coder") == ["run 1", "run 2", "run 3", "run 4"]
    check_numbers(envelopes_in(runtime.log_directory))


async def test_it_gives_up_and_says_so_in_the_log_before_its_end(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.runtime", r"restart [12] in 0.0 s")
    reason = "gave up: it ended again after 2 restarts within 600 s (exit code 3)"
    expect_log("yoi_runtime.runtime", "Worker coder: " + reason.replace("(", r"\(").replace(")", r"\)"))
    policy = RestartPolicy("always", first_delay_seconds=0.001, max_delay_seconds=0.002, limit=2)
    with open_runtime(tmp_path / "data") as runtime:
        ended = await ChildWorkers(runtime).start("coder", python("raise SystemExit(3)"), restart=policy)
        assert ended == WorkerExit("failed", 3, None)
        assert (runtime.worker_counts.restarts, runtime.worker_counts.given_up) == (2, 1)
    assert lives(runtime)[-2:] == [(3,), ("failed", False)]
    alerts = [event for event in said_by(runtime, "coder") if isinstance(event, Alert)]
    assert [(alert.level, alert.message) for alert in alerts] == [("error", reason)]


async def test_a_healthy_run_has_its_restarts_forgotten(tmp_path: Path, expect_log: ExpectLog):
    """The clock is ours: each run takes an hour."""
    expect_log("yoi_runtime.runtime", "restart 1 in 0.0 s")
    hours = iter(range(0, 3600 * 1000, 3600))
    policy = RestartPolicy("on-failure", first_delay_seconds=0.002, max_delay_seconds=0.2, limit=1)
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime, clock=lambda: float(next(hours)), jitter=lambda: 0.5)
        await children.start("coder", python(COUNTS, str(tmp_path / "count"), "4"), restart=policy)
    assert [start for start in lives(runtime) if len(start) == 1] == [(1,), (2,), (3,), (4,), (5,)]


async def test_between_two_runs_it_is_known_to_come_back_and_a_stop_ends_it_at_once(
    tmp_path: Path, expect_log: ExpectLog
):
    expect_log("yoi_runtime.runtime", "Worker coder crashed (.*): restart 1 in")
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime)
        task = children.start("coder", python("import os; os.kill(os.getpid(), 9)"), restart=FAR_OFF)
        await wait_until_async(lambda: lives(runtime)[1:] == [("crashed", True)])
        assert runtime.running_workers() == []
        assert not task.done()
        await children.stop("enough")
        assert task.result() == WorkerExit("cancelled", None, None, "enough")
        assert runtime.end_restart("coder", "cancelled") is False, "it has ended for good"
    assert lives(runtime) == [(1,), ("crashed", True), ("cancelled", False)]


async def test_a_stop_while_it_runs_is_its_end_whatever_the_policy(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime)
        task = children.start("coder", python(WAIT), restart=RestartPolicy("always", first_delay_seconds=0.001))
        await pid_of(runtime, "coder")
        await children.stop("enough")
        assert task.result().outcome == "cancelled"
    assert lives(runtime) == [(1,), ("cancelled", False)]


async def test_a_cancelled_task_between_two_runs_ends_the_worker(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        task = ChildWorkers(runtime).start("coder", python("pass"), restart=FAR_OFF)
        await wait_until_async(lambda: lives(runtime)[1:] == [("completed", True)])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert lives(runtime) == [(1,), ("completed", True), ("cancelled", False)]


async def test_a_runtime_that_died_between_two_runs_ends_the_worker_at_its_next_start(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        runtime.create_worker("coder").end("failed", restart_pending=True)
    with open_runtime(tmp_path / "data") as again:
        assert lives(again) == [(1,), ("failed", True), ("lost", False)]
        assert again.end_restart("coder", "cancelled") is False
        assert again.end_restart("nobody", "cancelled") is False
    with open_runtime(tmp_path / "data") as third:
        assert lives(third)[2:] == [("lost", False)], "told once"


async def test_a_command_that_is_gone_at_a_restart_counts_as_a_failed_run(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.runtime", "restart [12] in|cannot start|gave up")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nrm {program}\nexit 1\n")
    program.chmod(0o755)
    policy = RestartPolicy("on-failure", first_delay_seconds=0.001, max_delay_seconds=0.002, limit=2)
    with open_runtime(tmp_path / "data") as runtime:
        ended = await ChildWorkers(runtime).start("coder", [str(program)], restart=policy)
        assert ended == WorkerExit("failed", None, None)
    assert lives(runtime) == [(1,), ("failed", True), (2,), ("failed", True), (3,), ("failed", False)]


async def test_a_restart_waits_for_whoever_runs_under_the_id_meanwhile(
    tmp_path: Path, expect_log: ExpectLog, monkeypatch: pytest.MonkeyPatch
):
    expect_log("yoi_runtime.runtime", "restart 1 in")
    others: list[Worker] = []
    tries: list[str] = []
    with open_runtime(tmp_path / "data") as runtime:
        create_worker = runtime.create_worker

        def contested(worker_id: str, *, command: Sequence[str] | None = None) -> Worker:
            # Somebody was faster by a moment, the first time that it is to run again.
            if tries and not others:
                others.append(create_worker(worker_id))
            tries.append(worker_id)
            return create_worker(worker_id, command=command)

        monkeypatch.setattr(runtime, "create_worker", contested)
        task = ChildWorkers(runtime).start("coder", python(COUNTS, str(tmp_path / "count"), "1"), restart=AT_ONCE)
        await wait_until_async(lambda: len(tries) > 3)
        assert not task.done()
        others[0].end("completed")
        assert (await task).outcome == "completed"
    assert lives(runtime) == [
        *((1,), ("failed", True)),
        *((2,), ("completed", False)),
        *((3,), ("completed", False)),
    ]


async def test_a_restart_waits_for_room_in_the_log_and_a_stop_does_not(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.runtime", "restart 1 in")
    files = PickyFiles()
    with open_runtime(tmp_path / "data", files=files) as runtime:
        children = ChildWorkers(runtime)
        task = children.start("coder", python("raise SystemExit(3)"), restart=AT_ONCE)
        files.refused_bytes = b'"worker_started"'
        await wait_until_async(lambda: files.refused > 2)
        assert not task.done()
        await children.stop("enough")
        assert task.result().outcome == "cancelled"
        files.refused_bytes = None
    assert lives(runtime) == [(1,), ("failed", True), ("cancelled", False)]


async def test_the_trace_of_the_environment_is_with_each_event(tmp_path: Path):
    outer = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    code = f"""
import os
print(os.environ["TRACEPARENT"], os.environ["TRACESTATE"])
print('{{"event":"text_done","data":{{"text":"own"}},"traceparent":"{own}"}}')
"""
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime)
        await children.start("coder", python(code), env={"TRACEPARENT": outer, "TRACESTATE": "a=1"})
        await children.start("other", python(code), env={"TRACEPARENT": "none", "TRACESTATE": "a=1"})
    segments = sorted(runtime.log_directory.glob("*.jsonl"))
    lines = [json.loads(line) for path in segments for line in path.read_bytes().split(b"\n")[:-1]]
    envelopes = [line["envelope"] for line in lines if line["kind"] == "event"]
    traces = [e["payload"].get("traceparent") for e in envelopes if e["worker_id"] == "coder"]
    assert traces == [outer, outer, own, outer]
    assert texts_of(runtime, "coder") == [f"{outer} a=1", "own"]
    assert texts_of(runtime, "other") == ["none a=1", "own"]
    alerts = [event.message for event in said_by(runtime, "other") if isinstance(event, Alert)]
    assert len(alerts) == 1
    assert alerts[0].startswith("TRACEPARENT is no trace context, and is not recorded")


async def test_a_worker_may_have_a_terminal_and_a_grace_of_its_own(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime, grace_seconds=3600.0)
        code = f"import os; print(os.isatty(0), os.environ['TERM']); {STUBBORN}"
        task = children.start("coder", python(code), terminal=TerminalOptions(), grace_seconds=0.05)
        await wait_until_async(lambda: len(texts_of(runtime, "coder")) == 2)
        await children.stop("enough")
        assert task.result() == WorkerExit("cancelled", None, signal.SIGKILL, "enough")
    assert texts_of(runtime, "coder")[0] == "True xterm-256color"

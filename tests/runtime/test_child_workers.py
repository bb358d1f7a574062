"""yoi_runtime.runtime.child_workers: real processes as Workers of a real Runtime."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
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
from yoi_runtime.workers.outcome import WorkerExit

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

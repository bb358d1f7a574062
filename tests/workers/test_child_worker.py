from __future__ import annotations

import asyncio
import errno
import itertools
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

import yoi_runtime
from tests.support.deadline import wait_until, wait_until_async
from tests.workers.real_children import open_descriptors, process_state, python, run
from tests.workers.recording_sink import RecordingSink
from yoi_runtime.errors import (
    EventInvalidError,
    LogBrokenError,
    LogBusyError,
    LogDiskError,
    LogFullError,
    RecordTooLargeError,
    WorkerIdInvalidError,
    WorkerStartError,
    YoiError,
)
from yoi_runtime.events.conversation_events import Alert, Status
from yoi_runtime.events.event import Event
from yoi_runtime.events.output_events import TextDelta, TextDone
from yoi_runtime.workers.adapters import AdapterName, LinesAdapter, make_adapter
from yoi_runtime.workers.child_worker import LINES_PER_TURN, LONG_LINE_BYTES, ChildWorker
from yoi_runtime.workers.line_splitter import Line
from yoi_runtime.workers.outcome import WorkerExit
from yoi_runtime.workers.terminal import TerminalOptions

NOW = 1_700_000_000_000
LOG = Path("log")


def worker(
    command: list[str],
    sink: RecordingSink,
    adapter: AdapterName = "auto",
    grace_seconds: float = 1000.0,
    max_line_bytes: int = 1024 * 1024,
) -> ChildWorker:
    return ChildWorker(
        "w-1",
        command,
        make_adapter(adapter, lambda: NOW),
        sink,
        grace_seconds=grace_seconds,
        max_line_bytes=max_line_bytes,
        now_ms=lambda: NOW,
    )


def follow(code: str, adapter: AdapterName = "auto", max_line_bytes: int = 1024 * 1024) -> RecordingSink:
    """Run ``code`` to its end and return what it emitted."""

    async def test() -> RecordingSink:
        sink = RecordingSink()
        await worker(python(code), sink, adapter, max_line_bytes=max_line_bytes).run()
        return sink

    return run(test)


def test_running_comes_before_the_first_line_and_idle_after_the_last() -> None:
    sink = follow("""print('text'); print('{"event":"text_delta","data":{"text":"delta"}}')""")
    assert sink.events == [
        Status(status="running"),
        TextDone(text="text"),
        TextDelta(text="delta"),
        Status(status="idle"),
    ]


def test_a_hundred_thousand_lines_arrive_in_order() -> None:
    sink = follow("for n in range(100_000): print(n)")
    assert sink.texts == [str(n) for n in range(100_000)]
    assert sink.alerts == []


def test_both_streams_keep_their_order() -> None:
    sink = follow("import sys\nfor n in range(5000): print(n); print(n, file=sys.stderr)")
    expected = [str(n) for n in range(5000)]
    assert sink.texts == expected
    assert sink.alerts == expected


def test_a_stream_nobody_reads_does_not_block_the_other() -> None:
    sink = follow("import sys\nprint('e' * 300_000, file=sys.stderr); print('o' * 300_000); print(1, file=sys.stderr)")
    assert [len(text) for text in sink.texts] == [300_000]
    assert [len(text) for text in sink.alerts] == [300_000, 1]


def test_fifty_megabytes_without_a_newline_take_bounded_memory_and_are_announced() -> None:
    size, bound = 50_000_000, 1024 * 1024
    code = f"import sys\nfor _ in range({size} // 100_000): sys.stdout.write('x' * 100_000)\nprint(); print('next')"
    tracemalloc.start()
    try:
        sink = follow(code, max_line_bytes=bound)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sink.texts == ["x" * bound, "next"]
    assert sink.alerts == [f"stdout line 1 is too long: {size - bound} bytes after its first {bound} were cut"]
    # The line a few times over (held, as Line, as text), and a chunk.
    assert peak < 6 * bound


def test_carriage_returns_and_a_missing_last_newline_are_no_content() -> None:
    sink = follow(r"import sys; sys.stdout.buffer.write(b'one\r\ntwo\r\n\r\nthree\rfour\nlast')")
    assert sink.texts == ["one", "two", "", "three\rfour", "last"]


def test_bytes_that_are_not_utf8_are_replaced_and_announced_once() -> None:
    sink = follow(r"import sys; sys.stdout.buffer.write(b'good\nb\xffd\nw\xc3rse\n'); sys.stderr.buffer.write(b'\xfe')")
    assert sink.texts == ["good", "b\ufffdd", "w\ufffdrse"]
    announced = [text for text in sink.alerts if "UTF-8" in text]
    assert len(announced) == 1
    assert announced[0].startswith(("stdout line 2 ", "stderr line 1 "))
    assert [text for text in sink.alerts if text not in announced] == ["\ufffd"]


def test_an_invalid_line_disturbs_nothing_else() -> None:
    sink = follow(
        """print('{"event":"text_delta","data":{"text":"a"}}\\noops\\n{"event":"text_delta","data":{"text":"b"}}')""",
        "jsonl",
    )
    assert [type(event) for event in sink.events] == [Status, TextDelta, Alert, TextDelta, Status]
    assert "stdout line 2" in sink.alerts[0]
    assert "oops" in sink.alerts[0]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('out')", WorkerExit("completed", 0, None)),
        ("print('out'); raise SystemExit(7)", WorkerExit("failed", 7, None)),
        (
            "import os, signal; print('out', flush=True); os.kill(os.getpid(), signal.SIGSEGV)",
            WorkerExit("crashed", None, signal.SIGSEGV),
        ),
    ],
)
def test_the_outcome_follows_from_how_the_process_ended(code: str, expected: WorkerExit) -> None:
    async def test() -> None:
        sink = RecordingSink()
        assert await worker(python(code), sink).run() == expected
        assert sink.texts == ["out"]
        assert sink.statuses == ["running", "idle"]

    run(test)


def test_a_child_that_closes_its_output_is_followed_to_its_end(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = "import os, sys, time; os.close(1); os.close(2)\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.005)"

    async def test() -> None:
        sink = RecordingSink()
        running = asyncio.create_task(worker(python(code, str(mark)), sink).run())
        await wait_until_async(lambda: sink.statuses == ["running"])
        mark.touch()
        assert (await running).outcome == "completed"
        assert sink.statuses == ["running", "idle"]

    run(test)


def test_stop_cancels_and_what_was_written_before_is_emitted() -> None:
    code = "import time\nprint('up', flush=True); time.sleep(600)"

    async def test() -> None:
        sink = RecordingSink()
        child = worker(python(code), sink)
        running = asyncio.create_task(child.run())
        await wait_until_async(lambda: sink.texts == ["up"])
        await child.stop("asked to")
        assert await running == WorkerExit("cancelled", None, signal.SIGTERM, "asked to")
        assert sink.statuses == ["running", "idle"]

    run(test)


def test_last_words_at_sigterm_are_emitted_and_an_exit_code_0_is_still_cancelled() -> None:
    code = """
import signal, sys, time
def end(*_): print("last words"); sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(600)
"""

    async def test() -> None:
        sink = RecordingSink()
        child = worker(python(code), sink)
        running = asyncio.create_task(child.run())
        await wait_until_async(lambda: sink.texts == ["up"])
        await child.stop("asked to")
        assert await running == WorkerExit("cancelled", 0, None, "asked to")
        assert sink.texts == ["up", "last words"]

    run(test)


def test_a_child_deaf_to_sigterm_is_killed_after_the_grace() -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )

    async def test() -> None:
        sink = RecordingSink()
        child = worker(python(code), sink, grace_seconds=0.1)
        running = asyncio.create_task(child.run())
        await wait_until_async(lambda: sink.texts == ["up"])
        await child.stop("asked to")
        assert await running == WorkerExit("cancelled", None, signal.SIGKILL, "asked to")

    run(test)


def test_stop_before_the_start_starts_nothing() -> None:
    async def test() -> None:
        sink = RecordingSink()
        child = worker(["/does/not/exist"], sink)
        await child.stop("changed my mind")
        assert await child.run() == WorkerExit("cancelled", None, None, "changed my mind")
        assert (sink.events, child.pid) == ([], None)

    run(test)


def test_stop_after_the_end_is_calm() -> None:
    async def test() -> None:
        child = worker(python(""), RecordingSink())
        assert (await child.run()).outcome == "completed"
        await child.stop("too late")

    run(test)


def test_a_command_that_cannot_start_emits_nothing() -> None:
    async def test() -> None:
        sink = RecordingSink()
        with pytest.raises(WorkerStartError):
            await worker(["/does/not/exist"], sink).run()
        assert sink.events == []

    run(test)


def test_a_bad_id_is_refused_before_anything_else() -> None:
    with pytest.raises(WorkerIdInvalidError):
        ChildWorker("a b", ["true"], make_adapter("auto"), RecordingSink())


def test_start_tells_of_a_process_before_its_first_event() -> None:
    async def test() -> None:
        sink = RecordingSink()
        child = worker(python("print('hello')"), sink)
        child.start()
        assert child.pid is not None
        assert sink.events == []
        await child.run()
        assert sink.texts == ["hello"]

    run(test)


def test_a_grandchild_that_keeps_the_pipe_does_not_keep_the_worker() -> None:
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid)"

    async def test() -> None:
        sink = RecordingSink()
        assert (await worker(python(code), sink).run()).outcome == "completed"
        grandchild = int(sink.texts[0])
        # Still there: only a stop takes the group along.
        os.kill(grandchild, signal.SIGKILL)
        assert ["another still held its output" in text for text in sink.alerts] == [True]
        assert sink.statuses == ["running", "idle"]

    run(test)


# Goes on when the process it made has spoken.
CHATTERBOX = """
import os, sys, time
spoken, speak = os.pipe()
if os.fork() == 0:
    {leave}
    print(os.getpid(), flush=True)
    os.write(speak, b".")
    while True: print("chatter", flush=True); time.sleep(0.001)
os.read(spoken, 1)
"""


def test_a_grandchild_that_never_falls_silent_does_not_keep_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yoi_runtime.workers.child_process.DRAIN_SECONDS", 0.1)

    async def test() -> None:
        sink = RecordingSink()
        assert (await worker(python(CHATTERBOX.format(leave="")), sink).run()).outcome == "completed"
        assert ["another still held its output" in text for text in sink.alerts] == [True]
        # Its pipe is closed: the next line is its last.
        grandchild = int(sink.texts[0])
        await wait_until_async(lambda: process_state(grandchild) is None)

    run(test)


def test_after_a_stop_there_is_little_patience_with_a_process_that_left_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("yoi_runtime.workers.child_process.DRAIN_SECONDS", 1000.0)

    async def test() -> None:
        sink = RecordingSink()
        child = worker(python(CHATTERBOX.format(leave="os.setsid()") + "time.sleep(600)"), sink)
        running = asyncio.create_task(child.run())
        await wait_until_async(lambda: "chatter" in sink.texts)
        await child.stop("asked to")
        assert (await running).outcome == "cancelled"
        grandchild = int(sink.texts[0])
        await wait_until_async(lambda: process_state(grandchild) is None)

    run(test)


def test_what_a_grandchild_writes_shortly_after_the_end_is_emitted() -> None:
    code = """
import os, sys, time
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent: time.sleep(0.001)
    print("from the grandchild")
else:
    print("from the child")
"""
    sink = follow(code)
    assert sink.texts == ["from the child", "from the grandchild"]
    assert sink.alerts == []


def test_while_the_sink_is_not_ready_the_child_blocks_on_its_pipe_and_nothing_is_lost(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    line, count = 100, 20_000
    code = f"""
import os, sys
with open(sys.argv[1], "wb", buffering=0) as counter:
    for n in range({count}):
        os.write(1, b"%0{line - 1}d\\n" % n)
        counter.write(b".")
"""

    async def test() -> None:
        sink = RecordingSink()
        sink.open.clear()
        child = worker(python(code, str(counter)), sink)
        running = asyncio.create_task(child.run())
        await wait_until_async(lambda: sink.ready_calls == 1)
        # After its first line nothing else makes it sleep than a full pipe.
        await wait_until_async(lambda: child.pid is not None and process_state(child.pid) == "S")
        written = counter.stat().st_size
        # At most one chunk that was read and one pipe full.
        assert 1 <= written <= 2 * 65536 // line
        for _ in range(100):
            await asyncio.sleep(0)
        assert (counter.stat().st_size, sink.texts) == (written, [])
        sink.open.set()
        assert (await running).outcome == "completed"
        assert counter.stat().st_size == count
        assert [int(text) for text in sink.texts] == list(range(count))

    run(test)


@pytest.mark.parametrize(
    "error",
    [
        LogBusyError(LOG, 8_000_000, 0.0),
        LogFullError(LOG / "1.jsonl", 0, 1, os.strerror(errno.ENOSPC)),
        LogDiskError(LOG / "1.jsonl", 0, 1, errno.EMFILE, os.strerror(errno.EMFILE)),
    ],
    ids=["busy", "full", "too many files"],
)
def test_a_log_without_room_holds_lines_back_and_loses_none(error: YoiError) -> None:
    refusals = {"2", "3", "5"}

    def refuse_once(event: Event) -> None:
        if isinstance(event, TextDone) and event.text in refusals:
            refusals.remove(event.text)
            raise error

    async def test() -> None:
        sink = RecordingSink(refuse_once)
        assert (await worker(python("for n in range(10): print(n)"), sink).run()).outcome == "completed"
        assert sink.texts == [str(n) for n in range(10)]
        assert not refusals

    run(test)


def test_statuses_wait_for_room_as_lines_do() -> None:
    refusals = ["running", "idle"]

    def refuse_once(event: Event) -> None:
        if isinstance(event, Status) and event.status in refusals:
            refusals.remove(event.status)
            raise LogBusyError(LOG, 1, 0.0)

    async def test() -> None:
        sink = RecordingSink(refuse_once)
        await worker(python("print('x')"), sink).run()
        assert (sink.statuses, refusals) == (["running", "idle"], [])

    run(test)


@pytest.mark.parametrize(
    "error", [LogBrokenError(LOG / "1.jsonl", 0, 1, "fsync"), ZeroDivisionError()], ids=lambda e: type(e).__name__
)
def test_a_sink_that_fails_ends_the_child_and_is_told_of(error: Exception) -> None:
    pids: list[int] = []

    def fail(event: Event) -> None:
        if isinstance(event, TextDone):
            pids.append(int(event.text))
            raise error

    async def test() -> None:
        code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
        with pytest.raises(type(error)) as caught:
            await worker(python(code), RecordingSink(fail)).run()
        assert caught.value is error

    run(test)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EventInvalidError("text_done", "data.text", "no such text"), "event 'text_done', data.text: no such text"),
        (
            RecordTooLargeError(Path("/secret"), 300_000, 262_144),
            "a record of 300000 bytes is over the limit of 262144",
        ),
    ],
    ids=["invalid", "too large"],
)
def test_an_event_the_sink_refuses_becomes_an_alert(error: YoiError, reason: str) -> None:
    def refuse(event: Event) -> None:
        if isinstance(event, TextDone) and event.text == "1":
            raise error

    async def test() -> None:
        sink = RecordingSink(refuse)
        await worker(python("for n in range(3): print(n)"), sink).run()
        assert sink.texts == ["0", "2"]
        assert sink.events[2] == Alert(
            level="error",
            source="worker",
            message=f"stdout line 2: its event was refused: {reason}",
            timestamp_ms=NOW,
        )

    run(test)


def test_cancelling_run_kills_the_child_and_leaves_no_descriptor() -> None:
    async def test() -> None:
        before = open_descriptors()
        sink = RecordingSink()
        child = worker(python("import time; print('up', flush=True); time.sleep(600)"), sink)
        running = asyncio.create_task(child.run())
        await wait_until_async(lambda: sink.texts == ["up"])
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert child.pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(child.pid, 0)
        assert open_descriptors() == before

    run(test)


def test_a_worker_held_back_by_its_sink_can_be_stopped() -> None:
    code = "while True: print('x' * 100)"

    async def test() -> None:
        sink = RecordingSink()
        sink.open.clear()
        child = worker(python(code), sink)
        running = asyncio.create_task(child.run())
        await wait_until_async(lambda: sink.ready_calls == 1)
        await child.stop("asked to")
        sink.open.set()
        assert (await running).outcome == "cancelled"
        assert set(sink.texts[:-1]) == {"x" * 100}

    run(test)


def test_other_tasks_run_between_turns_of_a_chunk_of_short_lines() -> None:
    async def test() -> None:
        sink = RecordingSink()
        seen = [0]

        async def other() -> None:
            while True:
                await asyncio.sleep(0)
                seen.append(len(sink.events))

        task = asyncio.create_task(other())
        await worker(python("import os; os.write(1, b'\\n' * 65536)"), sink).run()
        task.cancel()
        steps = [after - before for before, after in itertools.pairwise(seen)]
        assert sum(steps) >= 65536
        assert max(steps) <= LINES_PER_TURN + 1

    run(test)


def test_only_long_lines_are_translated_off_the_loop_and_the_order_stays() -> None:
    long = "x" * LONG_LINE_BYTES
    on_loop: list[bool] = []

    class NotingAdapter(LinesAdapter):
        def stdout_line(self, line: Line) -> list[Event]:
            on_loop.append(threading.get_ident() == loop_thread)
            return super().stdout_line(line)

    loop_thread = threading.get_ident()

    async def test() -> None:
        sink = RecordingSink()
        code = f"long = 'x' * {LONG_LINE_BYTES}; print('a'); print(long); print('b')"
        await ChildWorker("w", python(code), NotingAdapter(lambda: NOW), sink).run()
        assert sink.texts == ["a", long, "b"]
        assert on_loop == [True, False, True]

    run(test)


def test_other_tasks_run_while_a_line_without_end_is_read() -> None:
    async def test() -> None:
        sink = RecordingSink()
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(other())
        await worker(["head", "-c", "20000000", "/dev/zero"], sink, max_line_bytes=1000).run()
        task.cancel()
        assert turns >= 20_000_000 // 65536

    run(test)


PARENT = """
import asyncio, os, sys
from yoi_runtime.workers.adapters import make_adapter
from yoi_runtime.workers.child_worker import ChildWorker

class Sink:
    def emit(self, event):
        if hasattr(event, "text"):
            print(os.getpid(), event.text, flush=True)
        return ""
    def emit_many(self, events):
        for event in events:
            self.emit(event)
        return len(events)
    async def ready(self): pass

code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
asyncio.run(ChildWorker("w", [sys.executable, "-I", "-S", "-c", code], make_adapter("lines"), Sink()).run())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_a_child_does_not_survive_a_killed_runtime() -> None:
    root = str(Path(yoi_runtime.__path__[0]).parent)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], env={**os.environ, "PYTHONPATH": root}, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        own_pid, child_pid = map(int, parent.stdout.readline().split())
    assert own_pid == parent.pid
    os.kill(child_pid, 0)
    parent.kill()
    assert parent.wait() == -signal.SIGKILL
    wait_until(lambda: process_state(child_pid) is None, 30)


# On a terminal.


def on_a_terminal(code: str, terminal: TerminalOptions, adapter: AdapterName = "auto") -> RecordingSink:
    async def test() -> RecordingSink:
        sink = RecordingSink()
        child = ChildWorker("w-1", python(code), make_adapter(adapter, lambda: NOW), sink, terminal=terminal)
        assert (await child.run()).outcome == "completed"
        return sink

    return run(test)


TALKS = r"""
import sys
print("\x1b[1mbold\x1b[0m")
for percent in range(0, 101, 10):
    print(f"\r{percent:3}%", end="")
print()
print('{"event":"text_delta","data":{"text":"delta"}}')
print("error", file=sys.stderr)
print("last", end="")
"""


def test_what_a_terminal_shows_are_the_lines() -> None:
    sink = on_a_terminal(TALKS, TerminalOptions())
    assert sink.events[1:-1] == [
        TextDone(text="bold"),
        TextDone(text="100%"),
        TextDelta(text="delta"),
        TextDone(text="error"),
        TextDone(text="last"),
    ]


def test_codes_are_kept_when_they_are_wanted() -> None:
    sink = on_a_terminal(TALKS, TerminalOptions(keep_codes=True))
    assert sink.texts[0] == "\x1b[1mbold\x1b[0m"
    assert sink.texts[1].endswith("\r 90%\r100%")
    assert sink.texts[2:] == ["error", "last"]


def test_a_child_on_a_terminal_blocks_while_the_sink_takes_nothing() -> None:
    async def test() -> None:
        sink = RecordingSink()
        code = "for n in range(100_000): print(n)"
        child = ChildWorker("w-1", python(code), make_adapter("lines", lambda: NOW), sink, terminal=TerminalOptions())
        task = asyncio.create_task(child.run())
        await wait_until_async(lambda: len(sink.texts) > 100)
        sink.open.clear()
        pid = child.pid
        assert pid is not None
        await wait_until_async(lambda: process_state(pid) == "S")
        stopped_at = len(sink.texts)
        await asyncio.sleep(0)
        assert len(sink.texts) - stopped_at <= LINES_PER_TURN
        assert stopped_at < 100_000
        sink.open.set()
        assert (await task).outcome == "completed"
        assert sink.texts == [str(n) for n in range(100_000)]

    run(test)

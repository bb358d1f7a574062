"""yoi_runtime.runtime.worker: a Worker as its owner holds it."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from tests.event_log.sample_event_log import run_threads
from tests.event_log.written_events import by_worker, envelopes_in, events_of
from tests.faults.failing_files import FailingFiles
from tests.runtime.sample_runtime import open_runtime
from yoi_runtime.errors import LogFullError, WorkerEndedError
from yoi_runtime.events import EventsLost, TextDelta, WorkerEnded
from yoi_runtime.runtime.worker import Outcome, Worker
from yoi_runtime.segment_log.cursor import decode_token

FIRST = "00000000000000000001.jsonl"


def ends_in(log_directory: Path) -> list[WorkerEnded]:
    return [event for event in events_of(envelopes_in(log_directory), None) if isinstance(event, WorkerEnded)]


def test_an_emitted_event_stands_in_the_log_under_its_cursor(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime, runtime.create_worker("coder") as worker:
        tokens = [worker.emit(TextDelta(text=str(number))) for number in range(3)]
        assert (worker.worker_id, worker.run, worker.ended) == ("coder", 1, False)
    envelopes = by_worker(envelopes_in(runtime.log_directory))["coder"]
    assert [envelope.cursor for envelope in envelopes] == tokens
    assert [decode_token(token).worker_seq for token in tokens] == [1, 2, 3]


@pytest.mark.parametrize("outcome", ["completed", "failed", "cancelled", "crashed"])
def test_an_end_is_written_once_with_the_first_outcome(tmp_path: Path, outcome: Outcome):
    with open_runtime(tmp_path / "data") as runtime:
        worker = runtime.create_worker("coder")
        worker.end(outcome, exit_code=3)
        worker.end("failed")
        assert worker.ended
        assert runtime.running_workers() == []
    assert ends_in(runtime.log_directory) == [WorkerEnded(worker_id="coder", outcome=outcome, exit_code=3)]


def test_a_block_that_raises_ends_its_worker_as_failed(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        with pytest.raises(ZeroDivisionError), runtime.create_worker("a"):
            raise ZeroDivisionError
        with runtime.create_worker("b"):
            pass
        with runtime.create_worker("c") as worker:
            worker.end("cancelled")
    assert [(end.worker_id, end.outcome) for end in ends_in(runtime.log_directory)] == [
        ("a", "failed"),
        ("b", "completed"),
        ("c", "cancelled"),
    ]


def test_after_its_end_a_worker_takes_nothing(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime:
        worker = runtime.create_worker("coder")
        worker.end()
        with pytest.raises(WorkerEndedError) as refused:
            worker.emit(TextDelta(text="late"))
        assert refused.value.worker_id == "coder"
        with pytest.raises(WorkerEndedError):
            worker.offer(TextDelta(text="late"))
        successor = runtime.create_worker("coder")
        with pytest.raises(WorkerEndedError):
            worker.emit(TextDelta(text="by the one before"))
        successor.end()
    assert by_worker(envelopes_in(runtime.log_directory)) == {}


def test_nothing_of_a_worker_comes_after_its_end_whoever_emits_meanwhile(tmp_path: Path):
    for attempt in range(15):
        with open_runtime(tmp_path / str(attempt)) as runtime:
            worker = runtime.create_worker("coder")
            emitted = [0] * 3
            running = threading.Barrier(4)

            def act(number: int, worker: Worker = worker, emitted: list[int] = emitted, running=running) -> None:
                running.wait()
                if number == 3:
                    while not any(emitted):
                        pass
                    worker.end()
                    return
                while True:
                    try:
                        worker.emit(TextDelta(text="x"))
                        emitted[number] += 1
                    except WorkerEndedError:
                        return

            run_threads(4, act)
        envelopes = envelopes_in(runtime.log_directory)
        end = next(envelope.seq for envelope in envelopes if isinstance(envelope.payload, WorkerEnded))
        seqs = [envelope.seq for envelope in by_worker(envelopes)["coder"]]
        assert len(seqs) == sum(emitted)
        assert max(seqs) < end


def test_an_end_that_the_log_refuses_leaves_the_worker_running(tmp_path: Path):
    files = FailingFiles()
    with open_runtime(tmp_path / "data", files=files) as runtime:
        worker = runtime.create_worker("coder")
        files.fail(errno.ENOSPC, "pwrite", name=FIRST)
        with pytest.raises(LogFullError):
            worker.end("failed")
        assert not worker.ended
        assert runtime.running_workers() == ["coder"]
        worker.emit(TextDelta(text="still here"))
        worker.end("completed")
    assert ends_in(runtime.log_directory) == [WorkerEnded(worker_id="coder", outcome="completed")]


def test_what_was_refused_is_told_before_the_end(tmp_path: Path):
    files = FailingFiles()
    with open_runtime(tmp_path / "data", files=files) as runtime:
        worker = runtime.create_worker("coder")
        files.fail(errno.ENOSPC, "pwrite", name=FIRST, at=1)
        files.fail(errno.ENOSPC, "pwrite", name=FIRST, at=2)
        with pytest.raises(LogFullError):
            worker.offer(TextDelta(text="kept by its owner"))
        with pytest.raises(LogFullError):
            worker.emit(TextDelta(text="lost"))
        worker.end()
    payloads = [envelope.payload for envelope in envelopes_in(runtime.log_directory)]
    lost = [event for event in payloads if isinstance(event, EventsLost)]
    assert [event.count for event in lost] == [1]
    assert payloads.index(lost[0]) < payloads.index(WorkerEnded(worker_id="coder", outcome="completed"))


async def test_a_worker_is_ready_while_the_log_has_room(tmp_path: Path):
    with open_runtime(tmp_path / "data") as runtime, runtime.create_worker("coder") as worker:
        await worker.ready()

from __future__ import annotations

import asyncio
import threading

from tests.conftest import ExpectLog
from tests.support.deadline import wait_until_async
from yoi_runtime.server.loop_watch import LoopWatch


class Clock:
    """A time and a log's end, both set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.seq = 0

    def __call__(self) -> float:
        return self.now


def test_it_knows_since_when_an_event_is_no_longer_the_last():
    clock = Clock()
    watch = LoopWatch(clock, lambda: clock.seq)
    for now, seq in ((100, 10), (101, 20), (102, 20), (103, 35)):
        clock.now, clock.seq = now, seq
        watch.look(0.0)
    clock.now = 104.0
    assert watch.seconds_since_end_was(20) == 2.0, "it was the end until the look at 102 at least"
    assert watch.seconds_since_end_was(15) == 4.0
    assert watch.seconds_since_end_was(35) == 1.0
    assert watch.seconds_since_end_was(9) is None


def test_another_log_s_numbers_are_not_mixed_with_the_last_one_s():
    clock = Clock()
    watch = LoopWatch(clock, lambda: clock.seq)
    clock.seq = 1000
    watch.look(0.0)
    clock.now, clock.seq = 101.0, 3
    watch.look(0.0)
    clock.now = 102.0
    assert watch.seconds_since_end_was(1000) == 1.0
    assert watch.seconds_since_end_was(3) == 1.0
    assert watch.seconds_since_end_was(2) is None


def test_it_remembers_a_bounded_number_of_looks():
    clock = Clock()
    watch = LoopWatch(clock, lambda: clock.seq)
    for number in range(10_000):
        clock.now, clock.seq = float(number), number
        watch.look(0.0)
    assert len(watch._seqs) == len(watch._times) == 2400


async def test_a_loop_that_is_held_up_is_measured_and_told(expect_log: ExpectLog):
    expect_log("yoi_runtime.server", r"the event loop was held up for \d")
    loop = asyncio.get_running_loop()
    watch = LoopWatch(loop.time, lambda: 0)
    watching = asyncio.create_task(watch.run())
    await wait_until_async(lambda: watch.delays.count >= 1)
    # Blocks the loop itself, which no waiting on a condition can.
    threading.Event().wait(1.5)
    await wait_until_async(lambda: watch.delays.sum_seconds > 1.0)
    watching.cancel()
    assert loop.time() - watch.looked_at < 10

from __future__ import annotations

import asyncio
import time
from functools import partial

from tests.support.deadline import wait_until_async
from yoi_runtime.server.wake_ups import Sleeper, WakeUps


async def asleep(wake_ups: WakeUps, *scopes: str | None) -> tuple[list[Sleeper], list[asyncio.Task[None]]]:
    sleepers = [Sleeper(scope) for scope in scopes]
    for sleeper in sleepers:
        wake_ups.add(sleeper)
    tasks = [asyncio.ensure_future(sleeper.sleep()) for sleeper in sleepers]
    await asyncio.sleep(0)
    return sleepers, tasks


async def test_an_event_wakes_who_follows_its_worker_and_who_follows_everything_and_nobody_else():
    wake_ups = WakeUps()
    _, tasks = await asleep(wake_ups, "a", "b", None, "a")
    wake_ups.wake({"a", "unknown"})
    await wait_until_async(tasks[0].done)
    assert [task.done() for task in tasks] == [True, False, True, True]
    wake_ups.wake_all()
    await asyncio.gather(*tasks)


async def test_a_wake_up_that_meets_nobody_asleep_is_lost():
    """A sleeper looks first; what it does not see then comes with a wake-up."""
    sleeper, wake_ups = Sleeper(None), WakeUps()
    wake_ups.add(sleeper)
    wake_ups.wake(())
    task = asyncio.ensure_future(sleeper.sleep())
    await asyncio.sleep(0)
    assert not task.done()
    wake_ups.wake(())
    wake_ups.wake(())
    await task


async def test_who_is_removed_is_not_woken_and_leaves_nothing_behind():
    wake_ups = WakeUps()
    sleepers, tasks = await asleep(wake_ups, "a", None)
    for sleeper in sleepers * 2:
        wake_ups.remove(sleeper)
    wake_ups.wake({"a"})
    wake_ups.wake_all()
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    assert not wake_ups._of_worker
    for sleeper in sleepers:
        sleeper.wake()
    await asyncio.gather(*tasks)


async def test_a_sleep_that_is_cancelled_can_be_slept_again():
    (sleeper,), (task,) = await asleep(WakeUps(), "a")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    sleeper.wake()
    again = asyncio.ensure_future(sleeper.sleep())
    await asyncio.sleep(0)
    sleeper.wake()
    await again


async def test_who_is_served_in_place_sleeps_on_and_is_woken_when_that_is_not_enough():
    wake_ups, enough = WakeUps(), [True, True, False]
    sleeper = Sleeper("a", lambda: enough.pop(0))
    wake_ups.add(sleeper)
    wake_ups.wake({"a"})
    assert len(enough) == 3, "nobody is served who is awake"
    task = asyncio.ensure_future(sleeper.sleep())
    await asyncio.sleep(0)
    for left in (2, 1):
        wake_ups.wake({"a"})
        await asyncio.sleep(0)
        assert (len(enough), task.done()) == (left, False)
    wake_ups.wake({"a"})
    await task
    assert not enough


async def test_serving_many_is_spread_over_turns_of_the_loop_and_serves_each_once():
    wake_ups, served, turns = WakeUps(), [0] * 40, 0

    def serve(number: int) -> bool:
        served[number] += 1
        until = time.monotonic() + 0.0003
        while time.monotonic() < until:
            pass
        return True

    sleepers = [Sleeper(None, partial(serve, number)) for number in range(len(served))]
    for sleeper in sleepers:
        wake_ups.add(sleeper)
    tasks = [asyncio.ensure_future(sleeper.sleep()) for sleeper in sleepers]
    await asyncio.sleep(0)
    wake_ups.wake({"a"})
    assert 1 <= sum(served) < 10
    wake_ups.wake({"b"})
    again = sum(served)
    assert again < 10, "a second wake-up does not begin a second round beside the first"
    while wake_ups._next:
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 5
    # Those of before the second wake-up had news twice.
    assert sorted(served) == [1] * (len(served) - again) + [2] * again
    wake_ups.wake(())
    gone = next(reversed(wake_ups._next))
    before = served[sleepers.index(gone)]
    wake_ups.remove(gone)
    await wait_until_async(lambda: not wake_ups._next)
    assert served[sleepers.index(gone)] == before, "who is gone is not served"
    for sleeper in sleepers:
        sleeper.wake()
    await asyncio.gather(*tasks)


async def test_one_whose_serving_fails_is_woken_and_keeps_nobody_from_being_served():
    """In the first turn and in a later one, which nothing calls but the loop: after that all would sleep for ever."""
    wake_ups, served = WakeUps(), [0] * 40

    def serve(number: int) -> bool:
        served[number] += 1
        until = time.monotonic() + 0.0003
        while time.monotonic() < until:
            pass
        if number in (0, 20):
            raise RuntimeError("a bug of ours")
        return True

    sleepers = [Sleeper(None, partial(serve, number)) for number in range(len(served))]
    wake_ups._next.update(dict.fromkeys(sleepers))  # in this order
    for sleeper in sleepers:
        wake_ups.add(sleeper)
    tasks = [asyncio.ensure_future(sleeper.sleep()) for sleeper in sleepers]
    await asyncio.sleep(0)
    for rounds in (1, 2):
        wake_ups.wake(())
        assert len(wake_ups._next) > 20, "it goes on in later turns"
        await wait_until_async(lambda: not wake_ups._next)
        await asyncio.sleep(0)
        failed = (0, 20)
        assert [served[number] for number in range(40) if number not in failed] == [rounds] * 38
        assert [served[number] for number in failed] == [1, 1], "who is awake looks himself"
        assert [task.done() for task in tasks] == [number in failed for number in range(40)]
    for sleeper in sleepers:
        sleeper.wake()
    await asyncio.gather(*tasks)


async def test_whatever_ends_a_round_the_next_one_is_served():
    """Ctrl-C in a program that has the server within itself, say."""
    wake_ups, served = WakeUps(), list[str]()

    def interrupted() -> bool:
        served.append("interrupted")
        raise KeyboardInterrupt

    def other() -> bool:
        served.append("other")
        return True

    sleepers = [Sleeper(None, interrupted), Sleeper(None, other)]
    wake_ups._next.update(dict.fromkeys(sleepers))
    for sleeper in sleepers:
        wake_ups.add(sleeper)
    tasks = [asyncio.ensure_future(sleeper.sleep()) for sleeper in sleepers]
    await asyncio.sleep(0)
    try:
        wake_ups.wake(())
    except KeyboardInterrupt:
        served.append("raised")
    await wait_until_async(lambda: "other" in served)
    assert served == ["interrupted", "raised", "other"]
    for sleeper in sleepers:
        sleeper.wake()
    await asyncio.gather(*tasks)

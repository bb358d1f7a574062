from __future__ import annotations

import asyncio

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

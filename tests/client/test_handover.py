from __future__ import annotations

import asyncio

import pytest

from yoi_runtime.client.handover import Handover


async def passes() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_items_come_out_in_order():
    handover = Handover[int](100)
    for n in range(3):
        await handover.put([n], 1)
    assert [await handover.take() for _ in range(3)] == [[0], [1], [2]]


async def test_taking_waits_for_an_item():
    handover = Handover[int](100)
    taking = asyncio.create_task(handover.take())
    await passes()
    assert not taking.done()
    await handover.put([7], 1)
    assert await taking == [7]


async def test_putting_waits_while_the_limit_is_reached():
    handover = Handover[int](10)
    await handover.put([1], 9)
    await handover.put([2], 50)
    putting = asyncio.create_task(handover.put([3], 1))
    await passes()
    assert not putting.done()
    assert await handover.take() == [1]
    await passes()
    assert not putting.done()
    assert await handover.take() == [2]
    await putting
    assert await handover.take() == [3]


async def test_what_waits_comes_before_the_end():
    handover = Handover[int](10)
    await handover.put([1], 1)
    handover.finish()
    assert await handover.take() == [1]
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await handover.take()


async def test_what_waits_comes_before_the_error():
    handover = Handover[int](10)
    await handover.put([1], 1)
    handover.finish(KeyError("x"))
    handover.finish()
    assert await handover.take() == [1]
    for _ in range(2):
        with pytest.raises(KeyError):
            await handover.take()


async def test_the_end_wakes_who_takes():
    handover = Handover[int](10)
    taking = asyncio.create_task(handover.take())
    await passes()
    handover.finish(KeyError("x"))
    with pytest.raises(KeyError):
        await taking


async def test_discarding_lets_a_put_through():
    handover = Handover[int](1)
    await handover.put([1], 1)
    putting = asyncio.create_task(handover.put([2], 1))
    await passes()
    handover.discard()
    await putting
    assert await handover.take() == [2]


async def test_a_take_cancelled_in_the_moment_an_item_comes_loses_nothing():
    handover = Handover[int](10)
    taking = asyncio.create_task(handover.take())
    await passes()
    await handover.put([1], 1)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert await handover.take() == [1]

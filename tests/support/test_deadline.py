"""tests.support.deadline: the waiting that other tests rely on."""

from __future__ import annotations

import threading

import pytest

from tests.support.deadline import DeadlineError, wait_until, wait_until_async


def test_waits_for_another_thread_and_returns_the_answer():
    found: list[str] = []
    thread = threading.Timer(0.02, found.append, ["here"])
    thread.start()
    assert wait_until(lambda: found and found[0]) == "here"
    thread.join()


async def test_lets_the_loop_run_while_it_waits(io_loop):
    found: list[str] = []
    io_loop.call_later(0.02, found.append, "here")
    assert await wait_until_async(lambda: found) == ["here"]


def test_looks_once_more_at_the_deadline_and_then_says_what_it_saw():
    with pytest.raises(DeadlineError, match=r"not true within 0 s: the second frame \(last answer: 0\)"):
        wait_until(lambda: 0, deadline_seconds=0, message="the second frame")


async def test_async_waiting_ends_at_its_deadline():
    with pytest.raises(DeadlineError, match=r"not true within 0\.02 s"):
        await wait_until_async(list, deadline_seconds=0.02)


def test_what_the_predicate_raises_rises():
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0)

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.support.deadline import wait_until_async
from yoi_runtime.client.cursor_saver import CursorSaver
from yoi_runtime.client.cursor_store import MemoryCursorStore
from yoi_runtime.errors import CursorStoreError

SCOPE = "everything"


class Place:
    """Where a stream stands."""

    def __init__(self) -> None:
        self.cursor: str | None = None

    def saver(self, store: MemoryCursorStore, interval_seconds: float = 3600) -> CursorSaver:
        return CursorSaver(store, SCOPE, lambda: self.cursor, interval_seconds)


class Counting(MemoryCursorStore):
    """Counts; and stays in a save until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.saves: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def save(self, scope: str, cursor: str) -> None:
        self.saves.append(cursor)
        assert self.gate.wait(10)
        super().save(scope, cursor)


async def test_it_saves_as_the_cursor_moves_and_not_when_it_stands():
    place, store = Place(), Counting()
    running = asyncio.create_task(place.saver(store, 0.001).run())
    for cursor in ("c1", "c2"):
        place.cursor = cursor
        await wait_until_async(lambda: store.load(SCOPE) == place.cursor)
    running.cancel()
    await asyncio.wait({running})
    assert store.saves == ["c1", "c2"]


async def test_nothing_is_saved_before_there_is_a_place():
    store = Counting()
    await Place().saver(store).save()
    assert store.saves == []


async def test_what_was_loaded_is_not_saved_again():
    place, store = Place(), Counting()
    MemoryCursorStore.save(store, SCOPE, "c1")
    saver = place.saver(store)
    assert await saver.load() == "c1"
    place.cursor = "c1"
    await saver.save()
    assert store.saves == []


async def test_saves_never_overlap_and_the_last_has_the_last_word():
    place, store = Place(), Counting()
    saver = place.saver(store)
    store.gate.clear()
    place.cursor = "c1"
    first = asyncio.create_task(saver.save())
    await wait_until_async(lambda: store.saves == ["c1"])
    place.cursor = "c2"
    second = asyncio.create_task(saver.save())
    # A thread cannot be cancelled: whoever saves next waits until it has come to its end.
    first.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert store.saves == ["c1"]
    store.gate.set()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (store.saves, store.load(SCOPE)) == (["c1", "c2"], "c2")


async def test_whatever_a_store_raises_becomes_an_error_of_the_store():
    class Broken(MemoryCursorStore):
        def load(self, scope: str) -> str | None:
            raise KeyError("mine")

        def save(self, scope: str, cursor: str) -> None:
            raise CursorStoreError("here", "no room")

    place = Place()
    saver = place.saver(Broken())
    with pytest.raises(CursorStoreError, match=r"Broken: KeyError: 'mine'"):
        await saver.load()
    place.cursor = "c1"
    with pytest.raises(CursorStoreError, match="here: no room"):
        await saver.save()

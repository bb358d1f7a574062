from __future__ import annotations
import asyncio, faulthandler
from tests.server.serving import SMALL, serving
from yoi_runtime.events import TextDelta, TextDone
import pytest

@pytest.mark.timeout(8)
async def test_roll_only(tmp_path):
    async with serving(tmp_path) as s:
        w = s.runtime.create_worker("a")
        async with s.subscribed("a") as p:
            await p.snapshot()
            w.emit(TextDelta(text="1"))
            assert await p.texts(1) == ["1"]
            s.roll()
            w.emit(TextDelta(text="2"))
            assert await p.texts(1) == ["2"]
            s.roll()
            await asyncio.sleep(.1)
            w.emit(TextDelta(text="3"))
            assert await p.texts(1) == ["3"]

@pytest.mark.timeout(8)
async def test_gap(tmp_path):
    async with serving(tmp_path, SMALL) as s:
        q = s.runtime.create_worker("quiet")
        n = s.runtime.create_worker("noisy")
        c0 = q.emit(TextDelta(text="0"))
        c1 = q.emit(TextDelta(text="1"))
        await s.shown(c1)
        for i in range(5):
            s.rotate_out_all_before_now(n)
            await s.shown(n.emit(TextDelta(text="x")))
        async with s.subscribed("quiet", cursor=c1) as p:
            await p.snapshot()
        async with s.subscribed("quiet", cursor=c0) as p:
            print(await p.refused())

@pytest.mark.timeout(8)
async def test_burst(tmp_path):
    async with serving(tmp_path) as s:
        w = s.runtime.create_worker("a")
        first = w.emit(TextDelta(text="x"))
        for i in range(3): c=w.emit(TextDelta(text="x"*100))
        async with s.subscribed("a", cursor=first) as p:
            await p.snapshot()
            for i in range(3000): w.emit(TextDelta(text="y"*300))
            await p.events(3003)

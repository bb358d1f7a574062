"""The way in for tests in Python, as docs/conformance.md shows it."""

from __future__ import annotations

import asyncio
import urllib.request

import pytest

from tests.conformance.playing import FAST
from tests.conformance.small_client import SmallClient
from yoi_runtime.conformance import Outcome, load_cases, play

CASES = {case.name: case for case in load_cases()}


async def test_a_case_is_played_while_the_block_runs():
    async with play(CASES["torn_frame"], mode="v0", timing=FAST) as stage:
        client = asyncio.create_task(SmallClient(stage, "v0").run())
        result = await stage.result()
        client.cancel()
    assert (result.name, result.outcome, result.findings) == ("torn_frame", Outcome.PASSED, ())
    assert any("cursor=wo1" in line for line in result.trace)


async def test_other_paths_are_answered_too():
    async with play(CASES["torn_frame"], timing=FAST) as stage:

        def get() -> bytes:
            with urllib.request.urlopen(f"{stage.url}/v1/runtime", timeout=30) as answer:
                return answer.read()

        assert b"stream_versions" in await asyncio.to_thread(get)


async def test_a_case_for_a_process_is_skipped():
    async with play(CASES["stores_after_handing_over"], timing=FAST) as stage:
        assert (await stage.result()).outcome is Outcome.SKIPPED


async def test_an_unknown_mode_is_an_error():
    with pytest.raises(ValueError, match="v9"):
        async with play(CASES["torn_frame"], mode="v9"):
            pass

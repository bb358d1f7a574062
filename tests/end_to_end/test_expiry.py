"""Expiry is exact per scope: a quiet Worker's cursor is good however much the others write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.end_to_end.programs import Program, runtime_process, server_process, until_known
from tests.runtime.emitting import emit
from tests.server.foreign_client import subscribed
from tests.server.serving import SMALL, serving, stream_path
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions

# Three segments are kept; every round makes at least three new ones.
ROUNDS = 10
OPTIONS: dict[str, Any] = {"segment_bytes": 4096, "retain_segments": 3}


async def test_a_quiet_workers_cursor_outlives_ten_times_the_retention(tmp_path: Path):
    """Of a Backend that is away, of one that stays, and after restarts of Runtime and server."""
    async with serving(tmp_path, SMALL) as served:
        quiet, noisy = await served.worker("quiet"), await served.worker("noisy")
        earlier, last = emit(quiet, 2)
        await served.shown(last)
        async with served.subscribed("quiet", cursor=last) as connected:
            await connected.snapshot()
            for _ in range(ROUNDS):
                served.rotate_out_all_before_now(noisy)
                async with served.subscribed("quiet", cursor=last) as away:
                    await away.snapshot()
            quiet.emit(TextDelta(text="at last"))
            event = await connected.event()
            assert (event["payload"]["data"]["text"], event["worker_seq"]) == ("at last", 3)
        newest = event["cursor"]
        async with served.subscribed("quiet", cursor=last) as away:
            await away.snapshot()
            assert await away.texts(1) == ["at last"]
    for _ in range(2):
        async with serving(tmp_path, SMALL) as served:
            noisy = served.runtime.create_worker("noisy")
            for _ in range(ROUNDS // 2):
                served.rotate_out_all_before_now(noisy)
            await served.shown(emit(noisy, 1)[0])
            async with served.subscribed("quiet", cursor=newest) as away:
                await away.snapshot()
            # What is really gone is told to the event: one of the three is after the last, two after the one before.
            for cursor, lost in ((last, 1), (earlier, 2)):
                async with served.subscribed("quiet", cursor=cursor) as away:
                    problem = await away.refused()
                assert problem["code"] == "runtime.cursor_expired"
                assert (problem["lost"]["events"], problem["lost"]["exact"]) == (lost, True)
            # Runtime-wide the same cursor is expired: others' events count there.
            async with served.subscribed(cursor=newest) as away:
                assert (await away.refused())["code"] == "runtime.cursor_expired"


async def test_a_snapshots_cursor_and_those_of_http_outlive_it_too(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        quiet, noisy = await served.worker("quiet"), await served.worker("noisy")
        await served.shown(emit(quiet, 2)[-1])
        cursors = [(await served.get("/v1/workers/quiet")).json["worker"]["cursor"]]
        for _ in range(ROUNDS):
            async with served.subscribed("quiet") as peer:
                cursors.append((await peer.snapshot())["cursor"])
            async with served.subscribed("quiet", from_="oldest") as peer:
                cursors.append((await peer.snapshot())["cursor"])
            served.rotate_out_all_before_now(noisy)
            await served.shown(emit(noisy, 1)[0])
            for cursor in cursors:
                # From before the two events, taken with from=oldest at the very beginning, there is a loss.
                async with served.subscribed("quiet", cursor=cursor) as peer:
                    if cursor == cursors[2]:
                        assert (await peer.refused())["lost"] | {"from_time": "", "to_time": ""} == {
                            "events": 2,
                            "exact": True,
                            "from_time": "",
                            "to_time": "",
                        }
                    else:
                        await peer.snapshot()


async def test_it_is_so_in_a_second_server_process_and_over_restarts_of_all(tmp_path: Path):
    async with runtime_process(tmp_path, serve=True, **OPTIONS) as runtime, server_process(tmp_path) as server:
        earlier, last = (await runtime.do("emit", worker="quiet", texts=["1", "2"]))["cursors"]
        await until_known(server, "quiet")
        await until_known(runtime, "quiet")
        for program in (server, runtime):
            await _assert_good(program, last)
        for _ in range(ROUNDS // 2):
            await runtime.do("rotate_out", worker="noisy", times=2)
            for program in (server, runtime):
                await _assert_good(program, last)
                await _assert_lost(program, earlier, 1)
        await runtime.kill()
        await _assert_good(server, last)
        async with runtime_process(tmp_path, serve=True, **OPTIONS) as second, server_process(tmp_path) as late:
            for _ in range(2):
                await second.do("rotate_out", worker="noisy", times=2)
                for program in (server, second, late):
                    await _assert_good(program, last)
                    await _assert_lost(program, earlier, 1)
            await second.do("emit", worker="quiet", texts=["3", "4"])
            (marker,) = (await second.do("rotate_out", worker="noisy", times=2))["cursors"]
            for program in (server, second, late):
                async with subscribed(program.url, stream_path("quiet"), cursor=marker) as peer:
                    await peer.snapshot()
                await _assert_lost(program, last, 2)
                await _assert_lost(program, earlier, 3)


async def _assert_good(program: Program, cursor: str) -> None:
    async with subscribed(program.url, stream_path("quiet"), cursor=cursor) as peer:
        await peer.snapshot()


async def _assert_lost(program: Program, cursor: str, events: int) -> None:
    async with subscribed(program.url, stream_path("quiet"), cursor=cursor) as peer:
        problem = await peer.refused()
    assert (problem["code"], problem["close_code"]) == ("runtime.cursor_expired", 4410)
    assert (problem["lost"]["events"], problem["lost"]["exact"]) == (events, True)


async def test_a_worker_all_of_whose_events_are_gone_is_still_served(tmp_path: Path):
    """Its record in the catalog outlives its events: the stream opens, and goes on when it speaks again."""
    async with serving(tmp_path, SMALL) as served:
        quiet, noisy = await served.worker("quiet"), await served.worker("noisy")
        emit(quiet, 3)
        for _ in range(3):
            served.rotate_out_all_before_now(noisy)
        await served.shown(emit(noisy, 1)[0])
        async with served.subscribed("quiet", from_="oldest") as peer:
            await peer.snapshot()
            quiet.emit(TextDelta(text="again"))
            event = await peer.event()
            assert (event["worker_seq"], event["payload"]["data"]["text"]) == (4, "again")


async def test_by_age_too_only_the_events_own_scope_counts(tmp_path: Path):
    """Retention by age, with the maintenance thread at work instead of a roll by size."""
    options = RuntimeOptions(segment_bytes=1 << 20, retain_age_seconds=0.2)
    async with serving(tmp_path, options) as served:
        quiet, noisy = await served.worker("quiet"), await served.worker("noisy")
        earlier, last = emit(quiet, 2)
        await served.shown(last)
        while served.segments()[0].name == f"{1:020d}.jsonl":
            await served.shown(noisy.emit(TextDelta(text="x")))
        await served.shown(noisy.emit(TextDelta(text="x")))
        async with served.subscribed("quiet", cursor=last) as peer:
            await peer.snapshot()
        async with served.subscribed("quiet", cursor=earlier) as peer:
            problem = await peer.refused()
        assert (problem["lost"]["events"], problem["lost"]["exact"]) == (1, True)

"""Soak a real server: thousands of idle subscribers, active and stalled ones, churn, and a rotation every second.

    python3 tools/dev.py soak [--small] [--minutes N] [--idle N] [--churn N]

Measures resident memory, descriptors and tasks of the server while nothing should grow, and looks whether /metrics tells
the same story. Ends with 1 when something grew, was left over, or less was exercised than planned.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tools.soak.judgement import FULL, SMALL, Plan, Sample, Seen, drift_per_ten_minutes, judge
from tools.soak.peers import Behaviour, Crowd
from tools.soak.served import SoakedServer

__all__ = ["main"]

_EVERYTHING, _SILENT = "/v1/events/ws", "/v1/workers/silent/events/ws"
_V1 = "yoi.events.v1"
_LOOK_SECONDS = 5.0
# Connecting is not what is soaked: so many at a time.
_AT_A_TIME = 50
# About 10 s until all buffers are full, 20 s until that is noticed, 5 s of grace.
_STALL_SECONDS = 50.0


def main(arguments: list[str]) -> int:
    """Run, print what was seen, and return the exit status."""
    parser = argparse.ArgumentParser(prog="dev.py soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--small", action="store_true", help="one minute, a few hundred subscribers: for CI")
    parser.add_argument("--minutes", type=float, help="how long, once everybody is connected")
    parser.add_argument("--idle", type=int, help="so many idle subscribers, on a machine that has other things to do")
    parser.add_argument("--churn", type=float, help="so many connections a second that come and go")
    options = parser.parse_args(arguments)
    plan = SMALL if options.small else FULL
    if options.minutes is not None:
        plan = replace(plan, seconds=options.minutes * 60)
    if options.idle is not None:
        plan = replace(plan, idle=options.idle)
    if options.churn is not None:
        plan = replace(plan, churn=options.churn)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="yoi-soak-") as directory:
        server = SoakedServer(Path(directory))
        try:
            seen = asyncio.run(_soak(plan, server))
        finally:
            server.kill()
    complaints = judge(plan, seen)
    _report(plan, seen)
    for complaint in complaints:
        print(f"FAILED: {complaint}")
    print("soak: failed" if complaints else "soak: all is well")
    return 1 if complaints else 0


async def _soak(plan: Plan, server: SoakedServer) -> Seen:
    loop = asyncio.get_running_loop()
    # Past the first rotations: files, caches and threads are there.
    while (before := await asyncio.to_thread(server.sample, 0.0)).rotated_out < 5:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.5)
    seen = Seen(before)
    staying, churning, stalling = Crowd(server.port), Crowd(server.port), Crowd(server.port)
    _say(f"server {server.pid} at {server.url}; connecting {plan.idle + plan.active} subscribers")
    ways = [(_SILENT, _V1 if number % 2 else None) for number in range(plan.idle)]
    ways += [(_EVERYTHING, _V1 if number % 2 else None) for number in range(plan.active)]
    for first in range(0, len(ways), _AT_A_TIME):
        await asyncio.gather(*(staying.add(path, version) for path, version in ways[first : first + _AT_A_TIME]))
    began = loop.time()
    nuisances = [
        asyncio.create_task(_churn(churning, plan.churn)),
        *(asyncio.create_task(_stall(stalling)) for _ in range(plan.stalled)),
    ]
    try:
        while (at := loop.time() - began) < plan.seconds:
            try:
                seen.samples.append(await asyncio.to_thread(server.sample, at))
            except OSError:
                # It answers nobody in time; how often that may be, the judgement says.
                seen.missed_looks += 1
                continue
            if len(seen.samples) % 6 == 1:
                _say(_line(seen))
            await asyncio.sleep(_LOOK_SECONDS)
        seen.samples.append(await asyncio.to_thread(server.sample, loop.time() - began))
    finally:
        for task in nuisances:
            task.cancel()
        await asyncio.gather(*nuisances, return_exceptions=True)
    for crowd in (churning, stalling, staying):
        await crowd.disband()
    seen.after = await _settled(server, seen)
    seen.churned = churning.counts["upgraded"]
    seen.pings = staying.counts["pings"]
    seen.refused = sum(crowd.counts["refused"] for crowd in (staying, churning, stalling))
    seen.cut_off = seen.after.cut_off
    # And now with stalled subscribers in the way.
    last = Crowd(server.port)
    await asyncio.gather(*(last.add(_EVERYTHING + "?from=oldest", _V1, Behaviour.STALL) for _ in range(plan.stalled)))
    await asyncio.gather(*(last.add(_SILENT, _V1) for _ in range(min(plan.idle, 100))))
    await asyncio.sleep(_LOOK_SECONDS)
    seen.stop_seconds, seen.exit_code = await asyncio.to_thread(server.stop)
    seen.notices = server.notices()
    return seen


async def _churn(crowd: Crowd, per_second: float) -> None:
    """Let peers come at this rate; each leaves when it has seen a frame."""
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[object]]()
    due = loop.time()
    while True:
        due = max(due + 1 / per_second, loop.time() - 1)
        await asyncio.sleep(max(0.0, due - loop.time()))
        path = random.choice((_EVERYTHING, _EVERYTHING + "?from=oldest", _SILENT))  # noqa: S311 - no secret
        task: asyncio.Task[object] = asyncio.create_task(_come(crowd, path))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _come(crowd: Crowd, path: str) -> None:
    with contextlib.suppress(OSError):
        await crowd.add(path, random.choice((_V1, None)), Behaviour.LEAVE)  # noqa: S311 - no secret


async def _stall(crowd: Crowd) -> None:
    """Connect, read nothing, and come again a while after that has been ended.

    What the kernels hold hides the end from who does not read: the server's count of it is believed.
    """
    while True:
        await asyncio.sleep(random.random())  # noqa: S311 - no secret
        try:
            peer = await crowd.add(_EVERYTHING + "?from=oldest", _V1, Behaviour.STALL)
        except OSError:
            continue
        await asyncio.sleep(_STALL_SECONDS)
        peer.leave(reset=True)


async def _settled(server: SoakedServer, seen: Seen) -> Sample:
    """Return what the server looks like when it has parted with everybody, or after 30 s."""
    deadline = asyncio.get_running_loop().time() + 30
    while True:
        after = await asyncio.to_thread(server.sample, seen.samples[-1].at)
        gone = after.subscribers == 0 and after.tasks <= seen.before.tasks
        if gone or asyncio.get_running_loop().time() > deadline:
            return after
        await asyncio.sleep(0.5)


def _line(seen: Seen) -> str:
    one = seen.samples[-1]
    return (
        f"{one.at:6.0f} s  {one.resident_bytes / (1 << 20):7.1f} MiB  {one.descriptors:5d} descriptors"
        f"  {one.tasks:5d} tasks  {one.subscribers:5d} subscribers  {one.rotated_out:5d} rotated out"
        f"  {one.connects:7d} connects  lag {one.lag_seconds:.1f} s"
    )


def _report(plan: Plan, seen: Seen) -> None:
    judged = [sample for sample in seen.samples if sample.at >= plan.warm_up_seconds]
    seconds = seen.samples[-1].at
    print(f"{seconds:.0f} s, of them {plan.warm_up_seconds:.0f} s warm-up; {len(judged)} samples judged")
    print(
        f"exercised: {plan.idle} idle, {plan.active} active, {plan.stalled} stalled;"
        f" {seen.churned} connections of the churn ({seen.churned / seconds:.0f}/s), {seen.cut_off} stalled cut off,"
        f" {seen.samples[-1].rotated_out - seen.samples[0].rotated_out} rotations, {seen.pings} pings answered,"
        f" {seen.samples[-1].delivered} events delivered, {seen.refused} refused"
    )
    if judged:
        sizes = [sample.resident_bytes / (1 << 20) for sample in judged]
        spare = [sample.descriptors - sample.subscribers for sample in judged]
        print(
            f"resident memory {min(sizes):.1f} to {max(sizes):.1f} MiB, drift {drift_per_ten_minutes(judged):+.2%} per 10 min;"
            f" descriptors beside subscribers {min(spare)} to {max(spare)}"
        )
    if seen.after is not None:
        print(
            f"tasks {seen.before.tasks} before, {seen.after.tasks} after; descriptors {seen.before.descriptors} before,"
            f" {seen.after.descriptors} after; resident {seen.before.resident_bytes / (1 << 20):.1f} MiB before,"
            f" {seen.after.resident_bytes / (1 << 20):.1f} MiB after"
        )
    print(f"stopped in {seen.stop_seconds:.1f} s with exit code {seen.exit_code}; notices {seen.notices}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

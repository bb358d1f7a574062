"""Playing many cases at a time to clients that live in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable

from yoi_runtime.conformance import Case, CaseResult, Outcome, Stage, Timing, play
from yoi_runtime.conformance.report import Report
from yoi_runtime.protocol.versions import ProtocolVersion

__all__ = ["FAST", "Client", "outcomes", "play_all", "play_one"]

# The clients here come back in a tenth of a second: what has not come in three will not come.
FAST = Timing(patience_seconds=3.0, quiet_seconds=3.0, scale=0.25)
_AT_A_TIME = 20

Client = Callable[[Stage], Coroutine[None, None, None]]


async def play_one(
    case: Case, mode: str, client: Client, *, timing: Timing = FAST, reports: bool = True, token: str | None = None
) -> CaseResult:
    """Play ``case`` to ``client``, which is cancelled in the end."""
    async with play(case, mode=mode, timing=timing, reports=reports, token=token) as stage:
        running = asyncio.create_task(client(stage))
        try:
            return await stage.result()
        finally:
            running.cancel()
            await asyncio.wait({running})
            if not running.cancelled() and (error := running.exception()) is not None:
                raise error


async def play_all(cases: Iterable[Case], mode: str, client: Client, *, reports: bool = True) -> Report:
    """Play every case of ``mode`` to a client of its own."""
    places = asyncio.Semaphore(_AT_A_TIME)

    async def one(case: Case) -> CaseResult:
        async with places:
            return await play_one(case, mode, client, reports=reports)

    version = ProtocolVersion(mode)
    return Report.of(version, await asyncio.gather(*(one(case) for case in cases if version in case.modes)))


def outcomes(report: Report) -> dict[str, str]:
    """Return name and outcome of everything that did not just pass, skipped cases left out."""
    quiet = (Outcome.PASSED, Outcome.SKIPPED)
    return {result.name: result.outcome.value for result in report.results if result.outcome not in quiet}

"""The whole kit on one client: every case, with a client that is started for it or one that comes by itself."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from yoi_runtime.conformance.case import Case
from yoi_runtime.conformance.client_process import ClientProcess, filled_in
from yoi_runtime.conformance.deliveries import Deliveries
from yoi_runtime.conformance.delivery_file import follow_file
from yoi_runtime.conformance.listener import Listener
from yoi_runtime.conformance.player import Player
from yoi_runtime.conformance.report import Report
from yoi_runtime.conformance.result import CaseResult
from yoi_runtime.conformance.stage import WORKER_ID
from yoi_runtime.conformance.timing import Timing
from yoi_runtime.protocol.versions import ProtocolVersion

__all__ = ["KitOptions", "OnResult", "run_with_command", "run_with_visitors"]

OnResult = Callable[[CaseResult], None]

_STATE_PLACEHOLDER: Final = "{state}"


@dataclass(frozen=True, slots=True)
class KitOptions:
    """``jobs``: so many cases at a time. ``reports``: the client says on stdout what it hands over."""

    mode: ProtocolVersion = ProtocolVersion.V1
    timing: Timing = field(default_factory=Timing)
    host: str = "127.0.0.1"
    port: int = 0
    jobs: int = 4
    token: str | None = None
    reports: bool = True


async def run_with_command(
    cases: Sequence[Case], command: Sequence[str], options: KitOptions, on_result: OnResult
) -> Report:
    """Start ``command`` anew for every case of the mode and return what came of it.

    Args:
        command: the client; ``{url}``, ``{worker}``, ``{mode}``, ``{token}``, ``{case}``, ``{state}`` in it are replaced.
        on_result: called with each result as it comes.
    Raises:
        OSError: the address is taken, or the command cannot be run.
    """
    # One port serves one case at a time.
    places = asyncio.Semaphore(options.jobs if options.port == 0 else 1)

    async def one(case: Case) -> CaseResult:
        async with places:
            result = await _with_command(case, command, options)
        on_result(result)
        return result

    return Report.of(options.mode, await _all([one(case) for case in cases if options.mode in case.modes]))


async def _with_command(case: Case, command: Sequence[str], options: KitOptions) -> CaseResult:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yoi-conformance-")))
        (directory / "state").mkdir()
        listener = await stack.enter_async_context(Listener(options.host, options.port))
        values = {
            "url": listener.url(""),
            "worker": WORKER_ID,
            "mode": options.mode.value,
            "token": options.token or "",
            "state": str(directory / "state"),
            "case": case.name,
        }
        environment = {f"YOI_CONFORMANCE_{name.upper()}": value for name, value in values.items()}
        deliveries = Deliveries(reported=options.reports)
        client = ClientProcess(filled_in(command, values), directory, deliveries, environment)
        keeps_state = options.reports and any(_STATE_PLACEHOLDER in word for word in command)
        player = Player(case, options.mode, options.timing, deliveries, options.token, client if keeps_state else None)
        listener.put("", player.take)
        try:
            if player.unplayable is None:
                await client.start()
            result = await player.run()
        finally:
            await client.stop()
        if result.findings and (words := client.last_words()):
            result = replace(result, trace=(*result.trace, *(f"client's stderr: {line}" for line in words)))
        return result


async def run_with_visitors(
    cases: Sequence[Case],
    options: KitOptions,
    on_url: Callable[[Case, str], None],
    on_result: OnResult,
    deliveries_file: str | None = None,
) -> Report:
    """Play every case of the mode below a path of its own, to whoever comes, and return once all have been played.

    One case alone is played at the root. Cancelled: raises; what has come until then was told to ``on_result``.

    Args:
        on_url: called with each case and the base URL to point a new client at.
        deliveries_file: where the clients write what they hand over; ``{case}`` in it is the case's name.
    Raises:
        OSError: the address is taken.
    """
    cases = [case for case in cases if options.mode in case.modes]
    async with Listener(options.host, options.port) as listener:

        async def one(case: Case) -> CaseResult:
            deliveries = Deliveries(reported=deliveries_file is not None)
            player = Player(case, options.mode, options.timing, deliveries, options.token, waits_for_client=True)
            prefix = "" if len(cases) == 1 else f"/{case.name}"
            listener.put(prefix, player.take)
            if player.unplayable is None:
                on_url(case, listener.url(prefix))
            following = None
            if deliveries_file is not None:
                path = Path(deliveries_file.replace("{case}", case.name))
                following = asyncio.create_task(follow_file(path, deliveries))
            try:
                result = await player.run()
            finally:
                if following is not None:
                    following.cancel()
                    await asyncio.wait({following})
            on_result(result)
            return result

        return Report.of(options.mode, await _all([one(case) for case in cases]))


async def _all(playing: Sequence[Coroutine[None, None, CaseResult]]) -> list[CaseResult]:
    """Await all of them; the first error ends the others and is raised as it is."""
    tasks = [asyncio.create_task(one) for one in playing]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

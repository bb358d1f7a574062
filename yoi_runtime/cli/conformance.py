"""``yoi-runtime conformance``: runs the conformance kit on a client and shows what came of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from yoi_runtime.cli.exit_codes import ExitCode, say, signal_exit_code
from yoi_runtime.cli.options import Address
from yoi_runtime.cli.signals import StopSignals
from yoi_runtime.cli.terminal_text import one_line
from yoi_runtime.conformance.case import Case, load_cases
from yoi_runtime.conformance.kit import KitOptions, run_with_command, run_with_visitors
from yoi_runtime.conformance.report import Report
from yoi_runtime.conformance.result import CaseResult, Outcome
from yoi_runtime.conformance.stage import WORKER_ID
from yoi_runtime.conformance.timing import FAST_SCALE, Timing
from yoi_runtime.errors import CaseInvalidError
from yoi_runtime.protocol.versions import ProtocolVersion

__all__ = ["ConformanceRequest", "conformance"]

_STYLES: Final = {
    Outcome.PASSED: "green",
    Outcome.WARNED: "yellow",
    Outcome.FAILED: "bold red",
    Outcome.SKIPPED: "dim",
}


@dataclass(frozen=True, slots=True)
class ConformanceRequest:
    """Which client to test, with what, and how to show it. ``command`` empty: clients come by themselves."""

    address: Address
    command: tuple[str, ...] = ()
    mode: ProtocolVersion = ProtocolVersion.V1
    names: tuple[str, ...] = ()
    case_files: tuple[Path, ...] = ()
    deliveries_file: str | None = None
    reports: bool = True
    token: str | None = None
    patience_seconds: float = 60.0
    jobs: int = 4
    fast: bool = False
    strict: bool = False
    as_json: bool = False
    list_only: bool = False


async def conformance(request: ConformanceRequest) -> int:
    """Play the cases and return the exit code.

    Raises:
        CaseInvalidError: a case cannot be played, or none is of the mode.
        OSError: the address is taken, or the command or a file with cases cannot be opened.
    """
    cases = _chosen(load_cases(request.case_files), request)
    output = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if request.list_only:
        output.print(_list(cases))
        return ExitCode.OK
    with StopSignals() as signals:
        playing = asyncio.create_task(_play(cases, request))
        signalled = asyncio.create_task(signals.wait())
        try:
            await asyncio.wait({playing, signalled}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                return signal_exit_code(signalled.result())
        finally:
            for task in (playing, signalled):
                task.cancel()
            await asyncio.wait({playing, signalled})
    report = playing.result()
    if request.as_json:
        print(report.as_json(), flush=True)
    else:
        output.print(_table(report))
        for finding in _findings(report):
            # soft_wrap: the terminal wraps, so that a sentence can be copied whole.
            output.print(finding, soft_wrap=True)
        output.print(_summary(report), soft_wrap=True)
    if not report.was_played:
        say("no case was played: each needs something that this client does not have")
        return ExitCode.FAILED
    return ExitCode.OK if report.conforms(strict=request.strict) else ExitCode.NOT_CONFORMANT


async def _play(cases: tuple[Case, ...], request: ConformanceRequest) -> Report:
    timing = Timing(patience_seconds=request.patience_seconds, scale=FAST_SCALE if request.fast else 1.0)
    options = KitOptions(
        mode=request.mode,
        timing=timing,
        host=request.address.host,
        port=request.address.port,
        jobs=request.jobs,
        token=request.token,
        reports=request.reports,
    )
    if request.command:
        return await run_with_command(cases, request.command, options, _say_result)
    say(f"point a new client at each URL, in mode {request.mode}, for the Worker {WORKER_ID!r} or for everything:")
    return await run_with_visitors(cases, options, _say_url, _say_result, request.deliveries_file)


def _chosen(cases: tuple[Case, ...], request: ConformanceRequest) -> tuple[Case, ...]:
    known = {case.name: case for case in cases}
    for name in request.names:
        if name not in known:
            raise CaseInvalidError(name, "there is no such case; --list shows those there are")
        if request.mode not in known[name].modes:
            raise CaseInvalidError(name, f"this case is not of mode {request.mode}")
    chosen = [known[name] for name in dict.fromkeys(request.names)] if request.names else cases
    if request.deliveries_file is not None and "{case}" not in request.deliveries_file and len(chosen) > 1:
        raise CaseInvalidError("--deliveries", "with several cases the name of the file needs {case} in it")
    return tuple(case for case in chosen if request.mode in case.modes)


def _say_url(case: Case, url: str) -> None:
    say(f"{case.name}: {url}")


def _say_result(result: CaseResult) -> None:
    say(f"{result.name}: {result.outcome}, {result.seconds:.1f} s")


def _list(cases: Iterable[Case]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("case", "level", "modes", "needs"):
        table.add_column(column, no_wrap=True)
    table.add_column("says")
    for case in cases:
        table.add_row(case.name, case.level, " ".join(case.modes), " ".join(case.needs), case.says)
    return table


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("case", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    table.add_column("what it shows")
    for result in report.results:
        shown = result.says if result.skipped is None else f"skipped: {result.skipped}"
        seconds = f"{result.seconds:.1f}" if result.kind == "case" else ""
        table.add_row(result.name, Text(result.outcome, _STYLES[result.outcome]), seconds, shown)
    return table


def _findings(report: Report) -> Iterable[Text]:
    for result in report.results:
        if not result.findings:
            continue
        yield Text(f"\n{result.name}", "bold")
        for finding in result.findings:
            yield Text(f"  {one_line(finding.sentence())}", _STYLES[result.outcome])
        for line in result.trace:
            yield Text(f"    {one_line(line)}", "dim")


def _summary(report: Report) -> Text:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in report.counts.items())
    return Text(f"\nmode {report.mode}: {counts}", "bold")

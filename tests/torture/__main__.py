"""The command line of the suites: ``python3 tools/dev.py torture [NAME ...] [--small | --large | --seconds N] [--seed S]``."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from random import SystemRandom

from tests.torture.report import Budget, Report, Size, VacuousError
from tests.torture.suites import SUITES, run_part

__all__ = ["main"]

_SECONDS = 300.0
# What it is about is the processes that it starts itself.
_UNSHARED = ("processes", "client", "ingest")


def main(arguments: Sequence[str]) -> int:
    """Run suites one after the other and say what each exercised; 1 when one found something, or too little."""
    parser = argparse.ArgumentParser(
        prog="python3 tools/dev.py torture",
        description="Try to break the storage engine. A suite that found nothing, but exercised too little, fails too.",
        epilog="A seed repeats a run in the same size and with as many jobs.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SUITES)}; all when none is named")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--seconds", type=float, help=f"how long each suite runs (default: {_SECONDS:g})")
    size.add_argument("--small", action="store_true", help="what every commit has to bear: minutes for all together")
    size.add_argument("--large", action="store_true", help="all that was promised, however long it takes: hours")
    parser.add_argument("--seed", type=int, help="repeat a run; drawn when it is not given, and always shown")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes to share the work (%(default)s)"
    )
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in SUITES]:
        parser.error(f"no suite is called {', '.join(unknown)}; there are {', '.join(SUITES)}")
    seconds = None if options.small or options.large else _SECONDS if options.seconds is None else options.seconds
    if seconds is not None and seconds <= 0:
        parser.error("--seconds: a time is more than nothing")
    if options.jobs < 1:
        parser.error("--jobs: one at least")
    counted: Size | None = "small" if options.small else "large" if options.large else None
    seed = options.seed if options.seed is not None else SystemRandom().randrange(1_000_000)
    failed = []
    for name in options.names or SUITES:
        jobs = 1 if name in _UNSHARED else options.jobs
        _say(
            f"--- torture {name} {f'--{counted}' if counted else f'--seconds {seconds:g}'} --seed {seed} --jobs {jobs}"
        )
        if not _run(name, seed, partial(Budget, counted, seconds, parts=jobs), jobs):
            failed.append(name)
    _say(f"--- torture: {'failed: ' + ', '.join(failed) if failed else 'nothing found'}, seed {seed}")
    return 1 if failed else 0


def _run(name: str, seed: int, budget: partial[Budget], jobs: int) -> bool:
    """Run a suite in as many processes as share it; say what they exercised, or what they found."""
    report = Report(name, seed, budget())
    if jobs == 1:
        return _take_in(report, [run_part(name, seed, budget, 0)])
    # Not a fork: nothing of one part is to be found in the other.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(run_part, name, seed, budget, part) for part in range(jobs)]
        return _take_in(report, (part.result() for part in as_completed(parts)))


def _take_in(report: Report, parts: Iterable[Report | str]) -> bool:
    found = False
    for part in parts:
        if isinstance(part, str):
            # At once: another part may take hours.
            _say(part)
            found = True
        else:
            report.take_in(part)
    if found:
        return False
    try:
        _say(str(report.finish()))
    except VacuousError as error:
        _say(str(error))
        return False
    return True


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

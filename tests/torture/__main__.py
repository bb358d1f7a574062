"""The command line of the suites: ``python3 tools/dev.py torture [NAME ...] [--small | --large | --seconds N] [--seed S]``."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from random import SystemRandom

from tests.torture.report import Budget, Report, Size, VacuousError
from tests.torture.suites import SUITES, run_part

__all__ = ["main"]

_SECONDS = 300.0
# What they are about is the processes that they start themselves, for which they wait most of the time.
_UNSHARED = ("processes", "client", "ingest")


def main(arguments: Sequence[str]) -> int:
    """Run suites and say what each exercised; 1 when one found something, or too little.

    One after the other, but with several jobs those that cannot be shared beside the rest; they are told of last.
    """
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
    names: list[str] = options.names or list(SUITES)
    failed = []
    with _processes(1) as lane:
        aside = {
            name: lane.submit(run_part, name, seed, partial(Budget, counted, seconds), 0)
            for name in names
            if name in _UNSHARED and options.jobs > 1
        }
        for name in sorted(names, key=lambda name: name in aside):
            jobs = 1 if name in _UNSHARED else options.jobs
            _say(
                f"--- torture {name} {f'--{counted}' if counted else f'--seconds {seconds:g}'} --seed {seed} --jobs {jobs}"
            )
            budget = partial(Budget, counted, seconds, parts=jobs)
            if not (_tell(aside[name].result()) if name in aside else _run(name, seed, budget, jobs)):
                failed.append(name)
    _say(f"--- torture: {'failed: ' + ', '.join(failed) if failed else 'nothing found'}, seed {seed}")
    return 1 if failed else 0


def _run(name: str, seed: int, budget: partial[Budget], jobs: int) -> bool:
    """Run a suite in as many processes as share it; say what they exercised, or what they found."""
    if jobs == 1:
        return _tell(run_part(name, seed, budget, 0))
    report, found = Report(name, seed, budget()), False
    with _processes(jobs) as pool:
        for part in as_completed([pool.submit(run_part, name, seed, budget, part) for part in range(jobs)]):
            outcome = part.result()
            if isinstance(outcome, str):
                # At once: another part may take hours.
                _say(outcome)
                found = True
            else:
                report.take_in(outcome)
    return not found and _tell(report)


def _processes(count: int) -> ProcessPoolExecutor:
    # Not a fork: nothing of one part is to be found in the other.
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))


def _tell(outcome: Report | str) -> bool:
    """Say what a run exercised, or what it found; False when it found something, or looked at too little."""
    if isinstance(outcome, str):
        _say(outcome)
        return False
    try:
        _say(str(outcome.finish()))
    except VacuousError as error:
        _say(str(error))
        return False
    return True


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

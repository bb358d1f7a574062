"""The command line of the suites: ``python3 tools/dev.py torture [NAME ...] [--seconds N] [--seed S]``."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections.abc import Sequence
from random import SystemRandom

from tests.torture import aliasing, client, corruption, errors, fuzz, kill, model, power, processes
from tests.torture.report import Budget, Suite

__all__ = ["SUITES", "main"]

SUITES: dict[str, Suite] = {
    "model": model.run,
    "kill": kill.run,
    "power": power.run,
    "errors": errors.run,
    "corruption": corruption.run,
    "aliasing": aliasing.run,
    "fuzz": fuzz.run,
    "processes": processes.run,
    "client": client.run,
}


def main(arguments: Sequence[str]) -> int:
    """Run suites one after the other and say what each exercised; 1 when one found something, or too little."""
    parser = argparse.ArgumentParser(
        prog="python3 tools/dev.py torture",
        description="Try to break the storage engine. A suite that found nothing, but exercised too little, fails too.",
        epilog="kill first goes through every call of its script, in processes of their own: three minutes at least.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SUITES)}; all when none is named")
    parser.add_argument("--seconds", type=float, default=300, help="how long each suite runs (default: %(default)g)")
    parser.add_argument("--small", action="store_true", help="the size that the tests run, instead of a time")
    parser.add_argument("--seed", type=int, help="repeat a run; drawn when it is not given, and always shown")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in SUITES]:
        parser.error(f"no suite is called {', '.join(unknown)}; there are {', '.join(SUITES)}")
    if options.seconds <= 0:
        parser.error("--seconds: a time is more than nothing")
    # The engine warns of what is done to it here.
    logging.getLogger("yoi_runtime").addHandler(logging.NullHandler())
    logging.getLogger("yoi_runtime").propagate = False
    seed = options.seed if options.seed is not None else SystemRandom().randrange(1_000_000)
    failed = []
    for name in options.names or SUITES:
        size = "--small" if options.small else f"--seconds {options.seconds:g}"
        _say(f"--- torture {name} {size} --seed {seed}")
        try:
            budget = Budget.small() if options.small else Budget.of_seconds(options.seconds)
            _say(str(SUITES[name](seed, budget)))
        except Exception:  # noqa: BLE001  whatever a suite runs into is what it was started for
            traceback.print_exc(file=sys.stdout)
            failed.append(name)
    _say(f"--- torture: {'failed: ' + ', '.join(failed) if failed else 'nothing found'}, seed {seed}")
    return 1 if failed else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

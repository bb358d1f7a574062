"""The suites by name, and how one part of one is run."""

from __future__ import annotations

import logging
import traceback
from functools import partial

from tests.torture import aliasing, client, corruption, errors, fuzz, ingest, kill, model, power, processes
from tests.torture.report import Budget, Report, Suite

__all__ = ["ENGINE_SUITES", "SUITES", "run_part"]

ENGINE_SUITES: dict[str, Suite] = {
    "model": model.run,
    "kill": kill.run,
    "power": power.run,
    "errors": errors.run,
    "corruption": corruption.run,
    "aliasing": aliasing.run,
    "fuzz": fuzz.run,
    "processes": processes.run,
}
SUITES: dict[str, Suite] = {**ENGINE_SUITES, "client": client.run, "ingest": ingest.run}


def run_part(name: str, seed: int, budget: partial[Budget], part: int) -> Report | str:
    """Run one part of a suite; whatever it runs into is told as text, as which every error can be sent."""
    # The engine warns of what is done to it here.
    logging.getLogger("yoi_runtime").addHandler(logging.NullHandler())
    logging.getLogger("yoi_runtime").propagate = False
    try:
        return SUITES[name](seed, budget(part=part)).stop()
    except Exception:  # noqa: BLE001  that is what it was started for
        return traceback.format_exc()

"""The process that is killed: ``python -m tests.torture.victim``, a server of children to kill.

It reads orders from stdin, one JSON object a line, forks a child for each, waits for its end and answers with one
line of JSON: how it ended, and how many file calls it had begun. A child runs a script on real files, or only opens
the log and closes it, and kills itself with SIGKILL right before or after the k-th file call. What it was told to be
done (acknowledged) it writes to a file of its own, past the seam.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TypedDict, cast

from tests.faults.clocks import ManualClock
from tests.torture.rig import Rig, make_script, platform_with
from yoi_runtime.segment_log.platform import FileOps, RealFileOps
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.writer import LogOptions

__all__ = ["ACKNOWLEDGED", "CALLS", "Answer", "Order", "retention_of", "run_order", "work"]

ACKNOWLEDGED = "acknowledged"
CALLS = "calls"


class Order(TypedDict):
    """What a child is to do: ``seed`` and sizes make the script; ``kill_at`` 0: never; no appends: open and close only.

    Two orders of one seed and ``life`` write the same bytes, as far as they come.
    """

    directory: str
    seed: int
    life: int
    appends: int
    rolls: int
    passes: int
    segment_bytes: int
    kill_at: int
    after: bool


class Answer(TypedDict):
    """``status`` as a shell tells it: 0, or minus the signal; ``calls`` it made, when it lived to say so."""

    status: int
    calls: int


class _KillingFiles:
    """Real files whose k-th call is the process's last; stands in for a ``FileOps``."""

    def __init__(self, inner: FileOps, kill_at: int, *, after: bool) -> None:
        self.inner = inner
        self.calls = 0
        self.kill_at = kill_at
        self.after = after

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self.inner, name)

        def call(*arguments: object) -> object:
            self.calls += 1
            if self.calls == self.kill_at and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return method(*arguments)
            finally:
                if self.calls == self.kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        return call


def retention_of(order: Order) -> RetentionPolicy:
    """Return the retention of an order's log: passes find something to rotate out."""
    return RetentionPolicy(None, 50.0 if order["passes"] else None, None)


def work(files: FileOps, order: Order, acknowledge: Callable[[str], object]) -> Rig:
    """Do what an order says on any files; ``acknowledge`` is told each cursor that an append returned."""
    rng, clock = Random(order["seed"]), ManualClock()
    sizes = {"appends": order["appends"], "rolls": order["rolls"], "passes": order["passes"]}
    steps = make_script(rng, **sizes) if order["appends"] else []
    platform = platform_with(files, f"{order['seed']}-{order['life']}", clock)
    options = LogOptions(segment_bytes=order["segment_bytes"])
    rig = Rig(platform, options, retention_of(order), Path(order["directory"]))
    for step in steps:
        token = rig.do(step, clock)
        if token is not None:
            acknowledge(token)
    rig.close()
    return rig


def run_order(order: Order) -> None:
    """Do what the order says; does not return when it is killed."""
    directory = Path(order["directory"])
    directory.mkdir(exist_ok=True)
    notes = os.open(directory / ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    files = _KillingFiles(RealFileOps(), order["kill_at"], after=order["after"])
    work(cast(FileOps, files), order, lambda token: os.write(notes, token.encode() + b"\n"))
    (directory / CALLS).write_text(str(files.calls))


def _serve() -> None:
    # Nothing that is here already is looked through in a child: each page it touched would be copied first.
    gc.freeze()
    for line in sys.stdin:
        order: Order = json.loads(line)
        child = os.fork()
        if child == 0:
            gc.disable()
            status = 1
            try:
                run_order(order)
                status = 0
            finally:
                # Not sys.exit: the child must not read the next order.
                os._exit(status)
        _, status = os.waitpid(child, 0)
        told = Path(order["directory"]) / CALLS
        calls = int(told.read_text()) if told.exists() else 0
        answer: Answer = {"status": os.waitstatus_to_exitcode(status), "calls": calls}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()

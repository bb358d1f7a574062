from __future__ import annotations

import signal
from pathlib import Path

from tests.event_log.written_events import envelopes_in, events_of
from tests.runtime.sample_runtime import open_runtime
from tests.support.deadline import wait_until_async
from tests.workers.real_children import python
from yoi_runtime.cli.worker_plan import WorkerPlan
from yoi_runtime.events import TextDone
from yoi_runtime.runtime.child_workers import ChildWorkers
from yoi_runtime.workers.outcome import WorkerExit
from yoi_runtime.workers.terminal import TerminalOptions


async def test_all_of_a_plan_reaches_the_process(tmp_path: Path):
    code = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(os.getcwd(), os.environ['COLOUR'], os.isatty(1), flush=True); signal.pause()"
    )
    plan = WorkerPlan(
        "coder",
        tuple(python(code)),
        "lines",
        tmp_path,
        {"COLOUR": "red"},
        TerminalOptions(columns=500),
        stop_grace_seconds=0.05,
    )
    with open_runtime(tmp_path / "data") as runtime:
        children = ChildWorkers(runtime)
        task = plan.start(children)
        texts = [TextDone(text=f"{tmp_path} red True")]
        await wait_until_async(
            lambda: (
                [e for e in events_of(envelopes_in(runtime.log_directory), "coder") if isinstance(e, TextDone)] == texts
            )
        )
        await children.stop("enough")
        assert task.result() == WorkerExit("cancelled", None, signal.SIGKILL, "enough")

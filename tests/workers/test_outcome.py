from __future__ import annotations

import pytest

from yoi_runtime.workers.outcome import WorkerExit, worker_exit


@pytest.mark.parametrize(
    ("returncode", "stop_reason", "expected"),
    [
        (0, None, WorkerExit("completed", 0, None)),
        (1, None, WorkerExit("failed", 1, None)),
        (255, None, WorkerExit("failed", 255, None)),
        # 128 + 9 is an exit code like any other: the process itself was not ended by a signal.
        (137, None, WorkerExit("failed", 137, None)),
        (-9, None, WorkerExit("crashed", None, 9)),
        (-11, None, WorkerExit("crashed", None, 11)),
        (0, "asked", WorkerExit("cancelled", 0, None, "asked")),
        (1, "asked", WorkerExit("cancelled", 1, None, "asked")),
        (-15, "asked", WorkerExit("cancelled", None, 15, "asked")),
        (-9, "", WorkerExit("cancelled", None, 9, "")),
    ],
)
def test_how_a_process_ended_decides_the_outcome(
    returncode: int, stop_reason: str | None, expected: WorkerExit
) -> None:
    assert worker_exit(returncode, stop_reason) == expected

"""Makes the golden directories: ``python -m tests.golden.make`` writes those that are missing, and changes none.

Format version 1, small, the same bytes each time: clock, randomness, pid and boot are fixed. A directory that was
released is never made anew: that later versions read it, as it is, is the promise. A new format version gets new ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.faults.clocks import ManualClock
from tests.torture.rig import KEEP_ALL, SMALL, Rig, platform_with
from yoi_runtime.events import (
    RuntimeStarted,
    Status,
    TextDelta,
    TextDone,
    ToolResult,
    WorkerCreated,
    WorkerEnded,
    WorkerStarted,
)
from yoi_runtime.segment_log.platform import FileOps, RealFileOps
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.segment import segment_name

__all__ = ["BUILDERS", "LEFT_OUT", "V1"]

V1 = Path(__file__).parent / "v1"
# Nothing but zeros, kept back for a full disk.
LEFT_OUT = "RESERVE"


def _open(files: FileOps, data_dir: Path, life: int, clock: ManualClock, retention: RetentionPolicy = KEEP_ALL) -> Rig:
    return Rig(platform_with(files, f"golden-{life}", clock), SMALL, retention, data_dir)


def _work(rig: Rig, clock: ManualClock, turns: int) -> None:
    """Let two Workers live: every kind of thing that a record may hold, one of them with text that is not ASCII."""
    append = rig.log.append
    append(RuntimeStarted(version="1.0.0", pid=4242))
    for worker_id in ("agent", "helper"):
        append(WorkerCreated(worker_id=worker_id))
        append(WorkerStarted(worker_id=worker_id, run=1, command=("python3", "-m", "agent")))
    for turn in range(turns):
        clock.pass_seconds(1.25)
        append(Status(status="running"), "agent")
        append(TextDelta(text=f'turn {turn}: 日本語 and \u2028 and \u0085 and "quotes" and \\n'), "agent")
        append(ToolResult(id=f"call-{turn}", summary="done", output="x" * 200, is_error=turn % 2 == 1), "helper")
        append(TextDone(text=f"turn {turn}"), "agent")
        rig.writer.commit_once()
    append(WorkerEnded(worker_id="helper", outcome="completed", exit_code=0))


def _clean(files: FileOps, data_dir: Path) -> None:
    """Closed in order, opened once more, closed again."""
    clock = ManualClock()
    rig = _open(files, data_dir, 1, clock)
    _work(rig, clock, 2)
    rig.close()
    clock.pass_seconds(3600)
    rig = _open(files, data_dir, 2, clock)
    rig.log.append(TextDelta(text="the next day"), "agent")
    rig.close()


def _torn_tail(files: FileOps, data_dir: Path) -> None:
    """The writer was killed: two records were not committed, and a third is not whole."""
    clock = ManualClock()
    rig = _open(files, data_dir, 1, clock)
    _work(rig, clock, 0)
    rig.writer.commit_once()
    rig.log.append(TextDelta(text="written"), "agent")
    rig.log.append(TextDelta(text="not committed"), "agent")
    path = rig.log.directory / segment_name(rig.writer.end.segment)
    _write_at(files, path, rig.writer.end.offset, b'{"kind":"event","envelope":{"cursor":"wo1AAAA')


def _corrupt_middle(files: FileOps, data_dir: Path) -> None:
    """Two bytes of a record in the middle of a sealed segment are not what they were."""
    clock = ManualClock()
    rig = _open(files, data_dir, 1, clock)
    _work(rig, clock, 5)
    rig.close()
    path = rig.log.directory / segment_name(1)
    fd = files.open_read(path)
    data = files.pread(fd, 1 << 20, 0)
    files.close(fd)
    _write_at(files, path, data.index(b"turn 1: "), b"T\0")


def _rotated_out(files: FileOps, data_dir: Path) -> None:
    """Many segments, of which retention has deleted the oldest; the catalog tells what of whom is gone."""
    clock = ManualClock()
    rig = _open(files, data_dir, 1, clock, RetentionPolicy(None, None, 3))
    _work(rig, clock, 12)
    rig.close()


def _write_at(files: FileOps, path: Path, offset: int, data: bytes) -> None:
    fd = files.open_write(path)
    files.pwrite(fd, data, offset)
    files.close(fd)


BUILDERS: dict[str, Callable[[FileOps, Path], None]] = {
    "clean": _clean,
    "torn_tail": _torn_tail,
    "corrupt_middle": _corrupt_middle,
    "rotated_out": _rotated_out,
}


if __name__ == "__main__":
    for name, build in BUILDERS.items():
        if not (V1 / name).exists():
            build(RealFileOps(), V1 / name)
            (V1 / name / "log" / LEFT_OUT).unlink()
            sys.stdout.write(f"{V1 / name}\n")

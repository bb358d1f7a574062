"""Real processes on real files: one writes, two follow, and the writer is killed again and again.

Whoever follows a log across the deaths of its writers gets a stream without a gap and without a repetition: a
prefix of what stands in the log in the end, byte for byte, the same for everybody. One of the two keeps its reader,
the other begins anew all the time with nothing but a cursor.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from random import Random

from tests.event_log.written_events import check_numbers, envelopes_in, lines_in
from tests.support.deadline import wait_until
from tests.torture.actors import OPTIONS
from tests.torture.report import Budget, Goal, Report
from yoi_runtime.errors import LogNotFoundError
from yoi_runtime.runtime.runtime import LOG_DIRECTORY, Runtime
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.watermark import read_watermark

__all__ = ["run"]

_ROOT = Path(__file__).absolute().parents[2]
_PROGRAM = ("-m", "tests.torture.actors")
_DEADLINE_SECONDS = 60
_GOAL = Goal(short=20, small=60, large=2000, per_second=1)


class _Cast:
    """The processes: a server that forks writers, and those who follow."""

    def __init__(self, directory: Path, data_dir: Path, stack: ExitStack) -> None:
        self.data_dir = data_dir
        self.outputs = [directory / "kept.jsonl", directory / "reopened.jsonl"]
        self.writers = stack.enter_context(_started("writers"))
        self.followers = [
            stack.enter_context(_started("follower", str(data_dir), str(output), str(reopen_every)))
            for output, reopen_every in zip(self.outputs, (0, 3), strict=True)
        ]

    def order(self, text: str) -> int:
        stdin, stdout = self.writers.stdin, self.writers.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(text + "\n")
        stdin.flush()
        return int(stdout.readline())

    def shown_seq(self) -> int:
        try:
            return read_watermark(self.data_dir / LOG_DIRECTORY, REAL_PLATFORM).shown.seq
        except LogNotFoundError:
            return 0

    def live_and_die(self, records: int) -> int:
        """Let a writer live until it has shown ``records`` more records, then kill it; returns how many it showed."""
        before = self.shown_seq()
        pid = self.order(f"open {self.data_dir}")
        wait_until(lambda: self.shown_seq() - before >= records, _DEADLINE_SECONDS)
        os.kill(pid, signal.SIGKILL)
        assert self.order("wait") == -signal.SIGKILL
        return self.shown_seq() - before

    def finish(self, seq: int) -> list[dict[str, int]]:
        """Tell those who follow where to stop; returns what they did."""
        answers = []
        for output, follower in zip(self.outputs, self.followers, strict=True):
            output.with_name(output.name + ".stop").write_text(str(seq))
            said, _ = follower.communicate(timeout=_DEADLINE_SECONDS)
            assert follower.returncode == 0, "who follows fell over; its words are above"
            answers.append(json.loads(said))
        return answers


def _started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, *_PROGRAM, *arguments]
    return subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run(seed: int, budget: Budget) -> Report:
    """Kill the writer at random moments."""
    report, rng = Report("processes", seed, budget), Random(f"processes-{seed}")
    with tempfile.TemporaryDirectory(prefix="yoi-processes-") as name, ExitStack() as stack:
        directory = Path(name)
        cast = _Cast(directory, directory / "data", stack)
        for follower in cast.followers:
            stack.callback(follower.kill)
        for number in report.until("writers killed", _GOAL):
            with report.case(f"kill {number}"):
                # Some die while they recover the log, some in the middle of a stream, some after rolls.
                shown = cast.live_and_die(rng.choice((0, 0, 1, rng.randrange(40), rng.randrange(40), 400)))
            report.count("writers killed")
            report.count("records shown", shown)
            report.count("writers killed before they showed anything", shown == 0)
        Runtime.open(cast.data_dir, OPTIONS).close()
        log_directory = cast.data_dir / LOG_DIRECTORY
        lines = lines_in(log_directory)
        for number, answer in enumerate(cast.finish(len(lines))):
            for what, times in answer.items():
                report.count(f"{('the one who stays', 'the one who reopens')[number]}: {what}", times)
        log = b"".join(line + b"\n" for line in lines)
        for output in cast.outputs:
            assert output.read_bytes() == log, f"{output.name} is not what stands in the log"
        check_numbers(envelopes_in(log_directory))
        report.count("records in the log", len(lines))
        report.count("segments", len(list(log_directory.glob("*.jsonl"))))
    report.require_share("records in the log", 10)
    report.require_share("the one who reopens: reopened", 1)
    report.require_share("segments", 1)
    return report

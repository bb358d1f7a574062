"""One Runtime of the recording ``restarts``: a Worker ``clerk`` says something, then the Runtime closes or is killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from yoi_runtime.events import Status, TextDelta, TextDone, ToolCallDone, ToolCallStart, ToolResult, TurnEnd, TurnStart
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime

__all__ = ["main"]

_WORDS = "Every word that is said here stands in the log, and none of them twice, however often the Runtime ends."


def main(data: Path, how: str) -> None:
    """Run the Worker once; ``how`` is ``close`` or ``kill``."""
    # Small segments, of which few are kept: the beginning is rotated out.
    options = RuntimeOptions(segment_bytes=8192, retain_segments=4, retain_age_seconds=None)
    never = threading.Event()
    with Runtime.open(data, options) as runtime:
        clerk = runtime.create_worker("clerk")
        clerk.emit(Status(status="running"))
        for turn in (1, 2):
            clerk.emit(TurnStart(turn=turn))
            for word in _WORDS.split(" "):
                clerk.emit(TextDelta(text=f"{word} "))
                never.wait(0.01)
            clerk.emit(TextDone(text=_WORDS))
            call = f"call-{turn}"
            clerk.emit(ToolCallStart(id=call, name="file"))
            clerk.emit(ToolCallDone(id=call, name="file", arguments="{}"))
            if how == "kill" and turn == 2:
                runtime.wait_durable(clerk.emit(TextDelta(text="… ")))
                os.kill(os.getpid(), signal.SIGKILL)
            never.wait(0.15)
            clerk.emit(ToolResult(id=call, summary=f"filed under {turn}"))
            clerk.emit(TurnEnd(turn=turn, result="finished"))
        clerk.end("completed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

"""``yoi-log replay`` in its three ways, from options to exit: what waits, what is printed, when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from yoi_log.log_place import LogPlace
from yoi_log.pace import Pace
from yoi_log.recorded_events import Missing
from yoi_log.replay_into import ReplayedLog, play_into
from yoi_log.replay_keys import KEYS, on_keys, status_line
from yoi_log.replay_lines import LineOutput, play_lines
from yoi_log.replay_server import Replay, ReplayStatus
from yoi_log.wording import count, span
from yoi_runtime.cli.exit_codes import signal_exit_code
from yoi_runtime.cli.options import Address
from yoi_runtime.cli.signals import StopSignals

__all__ = ["replay_into", "replay_to", "serve_replay"]

_STATUS_SECONDS = 0.25


def replay_to(place: LogPlace, speed: float, output: LineOutput) -> int:
    """Play to ``output``; return how many events could not be read. Errors: ``play_lines``."""

    def tell(missing: Missing) -> None:
        print(f"yoi-log: seq {missing.first_seq} to {missing.last_seq} is missing: {missing.reason}", file=sys.stderr)

    # An Event that is never set: a wait that Ctrl-C ends.
    return play_lines(
        place,
        Pace(speed, time.monotonic),
        output,
        wait=threading.Event().wait,
        on_missing=tell,
        progress=lambda _: None,
    )


def replay_into(
    place: LogPlace, target: Path, speed: float, *, as_json: bool, progress: Callable[[int], None]
) -> ReplayedLog:
    """Play into a new Runtime in ``target`` and say what came of it. Errors: ``play_into``."""
    result = play_into(place, target, Pace(speed, time.monotonic), wait=threading.Event().wait, progress=progress)
    if not as_json:
        print(f"{target}: {count(result.events, 'event')} of {count(result.workers, 'Worker')}, log {result.log_id}")
        print("kept: Worker ids, the order of events, payloads, how Workers ended; new: log id, cursors, ids, times")
        if result.left_out:
            left_out = ", ".join(f"{number:,} {name}" for name, number in result.left_out.items())
            print(f"not repeated: {left_out}")
        if result.missing:
            print(f"missing: {count(result.missing, 'event')} that cannot be read")
    return result


async def serve_replay(place: LogPlace, address: Address, speed: float, *, loop_forever: bool, as_json: bool) -> int:
    """Serve until a signal; return its exit code. Errors: ``Replay.run``."""
    with StopSignals() as signals:
        replay = Replay(place, address, speed=speed, loop_forever=loop_forever)

        def announce(status: ReplayStatus) -> None:
            if as_json:
                print(json.dumps({"url": status.url, "log_id": status.log_id}), flush=True)
            else:
                length = span((status.to_us - status.from_us) / 1e6)
                print(f"yoi-log: serving {status.url} (log {status.log_id}, {length} recorded)", flush=True)

        actions: dict[str, Callable[[], None]] = {
            "space": replay.pause_or_go_on,
            "left": lambda: replay.seek(-5),
            "right": lambda: replay.seek(5),
            "up": lambda: replay.change_speed(2),
            "down": lambda: replay.change_speed(0.5),
        }
        with on_keys(lambda key: actions[key]()) as terminal:
            tasks: list[asyncio.Task[object]] = [
                asyncio.create_task(replay.run(announce)),
                asyncio.create_task(signals.wait()),
            ]
            if terminal:
                print(KEYS, file=sys.stderr)
                tasks.append(asyncio.create_task(_show_status(replay)))
            done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            for task in done:
                task.result()
        assert signals.received is not None
        return signal_exit_code(signals.received)


async def _show_status(replay: Replay) -> None:
    try:
        while True:
            print(f"\r\x1b[K{status_line(replay.status)}", end="", file=sys.stderr, flush=True)
            await asyncio.sleep(_STATUS_SECONDS)
    finally:
        print(file=sys.stderr)

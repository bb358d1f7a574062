"""A recorded log served as a live Runtime: ``yoi-log replay --serve``. The one module of the tools that knows the server.

The server is the ordinary one, on a stage (``replay_stage``) where the recorded bytes appear when they are due. Forward
a seek lets what lies between appear at once. Backward, and at each turn of a loop, the server ends and another begins
on the same port with an earlier log: whoever holds a cursor of later gets the answer ``ahead``, as from a backup that
was restored, and no event twice under one connection.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from yoi_log.log_place import LogPlace
from yoi_log.pace import FLAT_OUT, Pace
from yoi_log.recorded_events import Missing, RecordedEvent, opened, recorded_events
from yoi_log.replay_stage import Stage
from yoi_runtime.cli.extras import load_event_server
from yoi_runtime.cli.options import Address
from yoi_runtime.errors import LogFormatError, OpenToAllError, SegmentGoneError

if TYPE_CHECKING:
    from yoi_runtime.segment_log.position import Position
    from yoi_runtime.segment_log.reader import LogReader
    from yoi_runtime.server.event_server import EventServer

__all__ = ["Replay", "ReplayStatus"]

# So many events appear with one move of the watermark at most; then the server has its turn.
_MOST_AT_ONCE = 500
# A replay asks nobody for a token.
_OTHERS_IN = "listen on 127.0.0.1, and let others in by a tunnel (ssh -L) or a proxy that asks who they are"
_SLOWEST, _FASTEST = 1 / 64, 1024.0


@dataclass(frozen=True, slots=True)
class ReplayStatus:
    """Where a replay is. Times are microseconds since 1970; ``turn`` counts the loops from 1."""

    url: str
    log_id: str
    state: Literal["playing", "paused", "ended"]
    from_us: int
    now_us: int
    to_us: int
    speed: float
    seq: int
    subscribers: int
    turn: int


class Replay:
    """One served recording. Belongs to one event loop; ``run`` plays it until it is cancelled."""

    def __init__(self, place: LogPlace, address: Address, *, speed: float, loop_forever: bool) -> None:
        self._place = place
        self._address = address
        self._loop_forever = loop_forever
        self.pace = Pace(speed, lambda: asyncio.get_running_loop().time())
        self._changed = asyncio.Event()
        self._again_from: float | None = None
        self._server: EventServer | None = None
        self._from_us = self._to_us = self._now_us = self._seq = 0
        self._log_id = ""
        self._ended = False
        self._turn = 0

    @property
    def status(self) -> ReplayStatus:
        """Return where it is; before the first event the times are 0."""
        server = self._server
        return ReplayStatus(
            url=server.url if server is not None else "",
            log_id=self._log_id,
            state="paused" if self.pace.paused else "ended" if self._ended else "playing",
            from_us=self._from_us,
            now_us=round(self._here()),
            to_us=self._to_us,
            speed=self.pace.speed,
            seq=self._seq,
            subscribers=server.subscribers if server is not None else 0,
            turn=self._turn,
        )

    async def run(self, on_start: Callable[[ReplayStatus], None]) -> None:
        """Serve and play until cancelled; ``on_start`` is told the address, once.

        Raises:
            MissingExtraError: the extra ``ws-server`` is not installed.
            LogError: there is no log, or it cannot be read.
            OpenToAllError: others than this machine could connect.
            OSError: the address is taken, or the disk refused.
        """
        event_server = load_event_server()
        try:
            await self._run(event_server, on_start)
        except OpenToAllError as error:
            # The server's own words name options that a replay does not have.
            raise OpenToAllError(error.host, _OTHERS_IN) from None

    async def _run(self, event_server: type[EventServer], on_start: Callable[[ReplayStatus], None]) -> None:
        with opened(self._place) as reader, tempfile.TemporaryDirectory(prefix="yoi-replay-") as scratch:
            self._log_id = reader.log_id
            self._from_us, self._to_us = _first_and_last(reader)
            while True:
                self._turn += 1
                stage = Stage(reader, Path(scratch) / str(self._turn))
                try:
                    server = await event_server.start(stage.data_dir, *self._address)
                    # Port 0 chose one: the next turn is to be found there too.
                    self._address = Address(self._address.host, server.port)
                    self._server = server
                    try:
                        if self._turn == 1:
                            on_start(self.status)
                        await self._play(reader, stage)
                    finally:
                        self._server = None
                        await server.stop()
                finally:
                    stage.strike()

    async def _play(self, reader: LogReader, stage: Stage) -> None:
        """Let the recording appear once; return when it is to begin anew."""
        self.pace.jump(self._from_us if self._again_from is None else self._again_from)
        self._again_from, self._ended, self._seq, self._now_us = None, False, 0, self._from_us
        events = _events(reader)
        upcoming = next(events, None)
        while upcoming is not None:
            shown: RecordedEvent | None = None
            for _ in range(_MOST_AT_ONCE):
                if upcoming is None or self.pace.wait_seconds(upcoming.time_us) > 0:
                    break
                shown, upcoming = upcoming, next(events, None)
            if shown is not None:
                stage.show(shown.end)
                self._now_us, self._seq = shown.time_us, shown.seq
                await asyncio.sleep(0)
            elif upcoming is not None:
                await self._wait(self.pace.wait_seconds(upcoming.time_us))
            if self._again_from is not None:
                return
        # Damage behind the last event is a part of the log, too.
        stage.show(reader.end, clean=reader.watermark.clean)
        self._ended = True
        if self._loop_forever and not self.pace.paused:
            return
        while self._again_from is None:
            await self._wait(math.inf)
            if self._loop_forever and not self.pace.paused:
                return

    async def _wait(self, seconds: float) -> None:
        """Wait for the time, or for a key."""
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), None if seconds == math.inf else seconds)
        except TimeoutError:
            return

    # What a person does.

    def _here(self) -> float:
        """Return the moment of the recording that it is, within its bounds."""
        now = self._now_us if self.pace.speed == FLAT_OUT and not self.pace.paused else self.pace.now_us()
        return max(self._from_us, min(self._to_us, now))

    def pause_or_go_on(self) -> None:
        if self.pace.paused:
            self.pace.go_on()
        else:
            self.pace.pause(self._here())
        self._changed.set()

    def seek(self, seconds: float) -> None:
        """Move by ``seconds`` of the recording; backward beyond the beginning is the beginning."""
        here = self._here()
        target = max(self._from_us, min(self._to_us, here + seconds * 1e6))
        if seconds < 0 or self._ended:
            self._again_from = target
        else:
            self.pace.jump(target)
        self._changed.set()

    def change_speed(self, factor: float) -> None:
        """Play faster or slower by ``factor``; flat out has no faster and no slower."""
        if self.pace.speed != FLAT_OUT:
            speed = max(_SLOWEST, min(_FASTEST, self.pace.speed * factor))
            self.pace.change_speed(speed, self._here())
            self._changed.set()


def _events(reader: LogReader, start: Position | None = None) -> Iterator[RecordedEvent]:
    steps = recorded_events(reader, lambda _: None, start)
    return (step for step in steps if not isinstance(step, Missing))


def _first_and_last(reader: LogReader) -> tuple[int, int]:
    """Return the times of the first and the last event, 0 and 0 when there is none; reads their segments alone."""
    first = next(_events(reader), None)
    if first is None:
        return 0, 0
    last_us = first.time_us
    for number in reversed(reader.segment_numbers()):
        try:
            start = reader.start_of(number)
        except (LogFormatError, SegmentGoneError):
            continue
        if start.seq < reader.end.seq:
            return first.time_us, max([last_us, *(event.time_us for event in _events(reader, start))])
    return first.time_us, last_us

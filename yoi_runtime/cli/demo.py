"""``yoi-runtime demo``: a Runtime, two real Workers, a server that goes away in the middle, and a client that misses nothing."""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from yoi_runtime.cli import demo_agent, demo_counter
from yoi_runtime.cli.exit_codes import ExitCode, say, signal_exit_code
from yoi_runtime.cli.invocation import program
from yoi_runtime.cli.options import DEFAULT_HOST, DEFAULT_PORT, Address
from yoi_runtime.cli.output import ReadableLines
from yoi_runtime.cli.served_runtime import ServedRuntime, ServeOptions
from yoi_runtime.cli.signals import StopSignals
from yoi_runtime.client.observe import observe
from yoi_runtime.client.stream_event import StreamEvent
from yoi_runtime.client.stream_state import StateDetail, StreamState

__all__ = ["Received", "demo", "free_port"]

# It takes about 12 s. On a machine that needs this long something is wrong, and that should be said.
_DEADLINE_SECONDS = 27.0
# After so many events the server goes away, for so long: about 20 events are written meanwhile.
_EVENTS_BEFORE_STOP = 40
_AWAY_SECONDS = 2.0
_WORKERS = ("agent", "counter")
_NARRATION = "bold"


class Received:
    """What the client was handed, and whether it is whole."""

    def __init__(self) -> None:
        self.seqs: list[int | None] = []
        self.names: Counter[str] = Counter()
        self.ended: set[str] = set()

    def add(self, event: StreamEvent) -> None:
        self.seqs.append(event.seq)
        self.names[event.event_name] += 1
        data = event.payload.get("data")
        if event.event_name == "worker_ended" and isinstance(data, dict):
            self.ended.add(str(data.get("worker_id")))

    @property
    def last_seq(self) -> int:
        return (self.seqs[-1] if self.seqs else None) or 0

    @property
    def is_whole(self) -> bool:
        """Whether every event of the log came, once and in order."""
        return bool(self.seqs) and self.seqs == list(range(1, len(self.seqs) + 1))


async def demo(pace: float = 1.0, port: int = DEFAULT_PORT) -> int:
    """Play the demo and return its exit code: failed unless every event arrived. ``pace`` stretches the pauses.

    It serves at ``port``, or where that is taken at another one.

    Raises:
        MissingExtraError, LogError, OSError, StreamError: it could not be played.
    """
    with StopSignals() as signals, tempfile.TemporaryDirectory(prefix="yoi-demo-") as directory:
        playing = asyncio.create_task(_Play(Path(directory), pace, port).play())
        signalled = asyncio.create_task(signals.wait())
        await asyncio.wait({playing, signalled}, timeout=_DEADLINE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            signalled.cancel()
            return playing.result()
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        if signalled.done():
            return signal_exit_code(signalled.result())
        signalled.cancel()
        say(f"the demo did not come to its end within {_DEADLINE_SECONDS:.0f} s")
        return ExitCode.FAILED


def free_port(host: str, wanted: int) -> int:
    """Return ``wanted``, or another free port when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # As the server binds: a port that is still cooling down counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return wanted


class _Play:
    """One performance."""

    def __init__(self, data_dir: Path, pace: float, port: int) -> None:
        self._data_dir = data_dir
        self._pace = pace
        self._port = port
        self._output = ReadableLines(sys.stdout, sys.stdout)
        self._received = Received()
        self._connections = 0
        # Of the server: when it went, and when it was back.
        self._went: datetime | None = None
        self._came: datetime | None = None
        self._missed_live = 0

    async def play(self) -> int:
        port = free_port(DEFAULT_HOST, self._port)
        if port != self._port and self._port:
            self._tell(f"Port {self._port} is taken; the demo uses {port}.")
        served = await ServedRuntime.start(ServeOptions(self._data_dir, Address(DEFAULT_HOST, port)))
        try:
            self._tell(f"A Runtime serves {served.url}; two Workers start, and a client follows them over WebSocket.")
            served.children.start("agent", self._command(demo_agent.PROGRAM_FILE), adapter="jsonl")
            served.children.start("counter", self._command(demo_counter.PROGRAM_FILE), adapter="lines")
            await self._follow(served)
        finally:
            await served.stop("the demo has ended")
        return self._conclude()

    def _command(self, file: Path) -> list[str]:
        return [sys.executable, "-u", str(file), str(self._pace)]

    async def _follow(self, served: ServedRuntime) -> None:
        """Show events until both Workers have ended; in the middle, take the server away and bring it back."""
        stream = observe(served.url, start="oldest", on_state=self._on_state)
        try:
            async with asyncio.TaskGroup() as tasks, stream:
                async for event in stream:
                    self._note_catching_up(event)
                    self._output.show(event)
                    self._received.add(event)
                    if len(self._received.seqs) == _EVENTS_BEFORE_STOP:
                        tasks.create_task(self._take_server_away(served))
                    if self._received.ended.issuperset(_WORKERS):
                        break
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _take_server_away(self, served: ServedRuntime) -> None:
        self._went = datetime.now(UTC)
        self._tell("Now the server is stopped, for a moment. The Workers go on, their events go into the log.")
        await served.stop_server()
        await asyncio.sleep(_AWAY_SECONDS * self._pace)
        await served.start_server()
        self._came = datetime.now(UTC)
        self._tell("The server is back, on the same log.")

    def _on_state(self, state: StreamState, detail: StateDetail) -> None:
        match state:
            # Not at live: what was written meanwhile is shown by then, and it belongs below this line.
            case StreamState.REPLAYING:
                self._connections += 1
                if self._connections > 1:
                    self._tell(f"The client is connected again and resumes after seq {self._received.last_seq}:")
            case StreamState.WAITING if detail.tries <= 1:
                self._tell(f"The client lost its connection after seq {self._received.last_seq}; it tries again.")
            case _:
                pass

    def _note_catching_up(self, event: StreamEvent) -> None:
        """Count the events written while the server was away, and say so behind the last of them."""
        if self._went is None or event.time is None:
            return
        time = datetime.fromisoformat(event.time)
        if self._came is None or time < self._came:
            self._missed_live += 1
        elif self._missed_live:
            self._tell(f"Those were the {self._missed_live} events written meanwhile. Live again:")
            self._went = None

    def _conclude(self) -> int:
        received, count = self._received, len(self._received.seqs)
        if not received.is_whole:
            say(f"the demo failed: {count} events came, and not as seq 1 to {count}: {received.seqs}")
            return ExitCode.FAILED
        names = ", ".join(f"{number} {name}" for name, number in received.names.most_common())
        self._tell(f"{count} events over {self._connections} connections, seq 1 to {count}: none missing, none twice.")
        print(f"  {names}")
        self._tell("Try it yourself:")
        print(_next_steps(program()), flush=True)
        return ExitCode.OK

    def _tell(self, text: str) -> None:
        self._output.notice(f"── {text}", _NARRATION)


def _next_steps(name: str) -> str:
    return f"""\
  A Runtime with a Worker that keeps on talking:
    {name} serve --worker clock='sh -c "while date; do sleep 1; done"'
  In a second terminal, follow it:
    {name} tail --from oldest
  Now kill the first one (kill -9 if you like) and start it again: tail goes on where it was, and nothing is missing.
  Your own command as one more Worker, in a third, and everything else:
    {name} run -- make
    {name} --help"""

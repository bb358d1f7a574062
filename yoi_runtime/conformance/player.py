"""Plays one case to one client: takes its connections in order, plays the steps, writes down what was wrong.

    request -> judged against asks -> steps -> (next request | stays | stays away) -> deliveries judged

One task plays (``run``); each connection is handed in by the listener's task (``take``), which waits for its end.
What is right and wrong is decided in expectations.py and deliveries.py.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final, assert_never

from yoi_runtime.conformance.case import Case, Ending, Level, Need, ScriptedConnection
from yoi_runtime.conformance.deliveries import Deliveries, judge_deliveries
from yoi_runtime.conformance.expectations import (
    Asked,
    StartKind,
    judge_headers,
    judge_request,
    judge_version,
    judge_waits,
)
from yoi_runtime.conformance.handshake import HttpRequest, answer
from yoi_runtime.conformance.listener import send_answer
from yoi_runtime.conformance.peer import PeerLeftError
from yoi_runtime.conformance.result import CaseResult, Finding
from yoi_runtime.conformance.scripted_log import ScriptedLog
from yoi_runtime.conformance.step_player import SYNC_SECONDS, Arrival, ClientControl, StepPlayer, how_it_left
from yoi_runtime.conformance.story import OverError, Story
from yoi_runtime.conformance.timing import Timing
from yoi_runtime.conformance.views import view
from yoi_runtime.errors import RequestInvalidError
from yoi_runtime.protocol.diagnostics import DiagnosticCode, diagnostic
from yoi_runtime.protocol.paths import EVENTS_WS, WORKER_EVENTS_WS
from yoi_runtime.protocol.stream_request import (
    FromCursor,
    FromEventId,
    FromOldest,
    StreamRequest,
    parse_stream_request,
)
from yoi_runtime.protocol.versions import ProtocolVersion

__all__ = ["Player"]

_WORKER_PATH: Final = re.compile(WORKER_EVENTS_WS.replace("{worker_id}", "([A-Za-z0-9_-]{1,64})"))


class _SkippedError(Exception):
    """The case does not concern this client; says why."""


class Player:
    """One case, one client. ``control`` None: the client is not ours to kill.

    ``waits_for_client``: without a deadline, until somebody starts it.
    """

    def __init__(
        self,
        case: Case,
        version: ProtocolVersion,
        timing: Timing,
        deliveries: Deliveries,
        token: str | None = None,
        control: ClientControl | None = None,
        *,
        waits_for_client: bool = False,
    ) -> None:
        self._first_seconds = None if waits_for_client else timing.patience_seconds
        self._case = case
        self._version = version
        self._timing = timing
        self._deliveries = deliveries
        self._token = token
        self._control = control
        self._story = Story(case)
        self._steps = StepPlayer(case, version, timing, deliveries, self._story, control)
        self._arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
        self._open: list[Arrival] = []
        self._waits_seconds: list[float] = []
        self._first: Asked | None = None
        self._is_over = False

    async def take(self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request; see ``listener.Take``."""
        worker = _WORKER_PATH.fullmatch(request.path)
        if request.path != EVENTS_WS and worker is None:
            await send_answer(writer, *view(request.path))
            return
        if self._is_over:
            # Give up: so that a client that nobody stops does not ask for ever.
            body = diagnostic(DiagnosticCode.FORBIDDEN, "this case has been played").frame()
            writer.write(answer(403, body))
            await writer.drain()
            writer.close()
            return
        self._story.say(f"client: {request.method} {request.target}")
        self._story.findings += judge_headers(request, self._token)
        try:
            asked = parse_stream_request(worker[1] if worker else None, request.parameters, request.subprotocols)
        except RequestInvalidError as error:
            self._story.break_rule("request_form", "a valid request", str(error))
            writer.write(answer(400, diagnostic(DiagnosticCode.INVALID_REQUEST, str(error)).frame()))
            await writer.drain()
            writer.close()
            return
        arrival = Arrival(request, asked, reader, writer)
        self._arrivals.put_nowait(arrival)
        self._deliveries.wake()
        await arrival.done.wait()

    @property
    def unplayable(self) -> str | None:
        """Why this case cannot be played here; None: it can."""
        if Need.RESTART in self._case.needs and self._control is None:
            return "needs a client that the kit starts, with {state} in its command"
        return None

    async def run(self) -> CaseResult:
        """Play the case and return what came of it. Once."""
        skipped = None
        try:
            if self.unplayable is not None:
                raise _SkippedError(self.unplayable)
            await self._play_connections()
            await self._check_told()
        except _SkippedError as reason:
            skipped = str(reason)
        except OverError:
            pass
        self._is_over = True
        await self._steps.abandon()
        for arrival in self._open:
            arrival.done.set()
        while not self._arrivals.empty():
            self._arrivals.get_nowait().done.set()
        if skipped is None and self._deliveries.reported and self._case.deliveries:
            self._story.findings += judge_deliveries(self._case, self._steps.sent, self._deliveries.event_ids)
        findings = tuple(dict.fromkeys(self._story.findings))
        lines = tuple(self._story.lines)
        return CaseResult(self._case.name, self._case.says, findings, skipped, lines, self._story.seconds)

    async def _play_connections(self) -> None:
        for number, scripted in enumerate(self._case.connection, 1):
            arrival = await self._next_arrival(scripted)
            if arrival is None:
                self._story.say("client: stays away")
                self._steps.peer = None
                break
            waited = None if self._steps.ended_at_seconds is None else arrival.at_seconds - self._steps.ended_at_seconds
            if waited is not None:
                self._waits_seconds.append(waited)
            await self._release_former(arrival)
            self._judge_arrival(arrival, scripted, waited)
            self._story.say(f"kit: plays connection {number} of {len(self._case.connection)}")
            await self._steps.play(arrival, scripted)
        if self._case.backoff:
            # The first connection was healthy: the tries begin behind it.
            self._story.findings += judge_waits(self._case, self._waits_seconds)
        await self._await_ending()

    async def _next_arrival(self, scripted: ScriptedConnection) -> Arrival | None:
        timing = self._timing
        seconds: float | None = timing.scaled_quiet_seconds if scripted.may_stay_away else timing.patience_seconds
        if scripted.asks.within_ms is not None:
            seconds = scripted.asks.within_ms / 1000
        elif self._first is None:
            seconds = self._first_seconds
        await self._deliveries.wait_for(self._came_or_ended, seconds)
        if not self._arrivals.empty():
            arrival = self._arrivals.get_nowait()
            self._open.append(arrival)
            return arrival
        if scripted.may_stay_away:
            return None
        seen = f"none in {seconds:g} s" if seconds is not None else "none"
        if self._deliveries.is_gone:
            seen = f"the client ended with exit code {self._deliveries.exit_code}"
        expected = "a request for the stream" if self._first is None else "the client to come back"
        self._story.find(expected, seen)
        raise OverError

    def _came_or_ended(self) -> bool:
        return not self._arrivals.empty() or self._deliveries.is_gone

    async def _release_former(self, arrival: Arrival) -> None:
        """End what is left of the connections before this one: of a silent one nothing else does."""
        for former in self._open:
            if former is not arrival:
                former.done.set()
        if self._steps.peer is not None:
            await self._steps.peer.abandon()
        self._open = [arrival]

    def _judge_arrival(self, arrival: Arrival, scripted: ScriptedConnection, waited: float | None) -> None:
        asked = self._asked(arrival.asked)
        if self._first is None:
            self._first = asked
            self._story.findings += (version_findings := judge_version(arrival.request, self._version))
            if version_findings:
                raise OverError
            self._steps.log = ScriptedLog(self._case.name, self._version, asked.worker_id, self._timing)
            if Need.WORKER in self._case.needs and asked.worker_id is None:
                raise _SkippedError("needs a client that follows one Worker")
            if Need.BATCH in self._case.needs and not arrival.asked.batch:
                raise _SkippedError("needs a client that asks for batch=1")
        self._steps.place = asked.place or 0
        found = judge_request(
            self._case,
            scripted.asks,
            asked,
            self._first,
            waited_seconds=waited,
            delivered=self._steps.handed_over_up_to(),
            timing=self._timing,
        )
        self._story.findings += found
        goes_on_from_now = scripted.may_stay_away and asked.kind is StartKind.NOW
        if self._case.told and goes_on_from_now and not self._deliveries.reported:
            expected = "the consumer to be told before it goes on (which nobody reports here)"
            self._story.findings.append(Finding(Level.SHOULD, self._case.section, expected, str(asked)))
        if any(finding.level is Level.MUST for finding in found):
            raise OverError

    def _asked(self, request: StreamRequest) -> Asked:
        match request.start:
            case FromCursor(token):
                return Asked(StartKind.CURSOR, self._steps.log.place(cursor=token), request.worker_id)
            case FromEventId(event_id):
                return Asked(StartKind.EVENT_ID, self._steps.log.place(event_id=event_id), request.worker_id)
            case FromOldest():
                return Asked(StartKind.OLDEST, None, request.worker_id)
            case _:
                return Asked(StartKind.NOW, None, request.worker_id)

    async def _await_ending(self) -> None:
        peer, quiet = self._steps.peer, self._timing.scaled_quiet_seconds
        match self._case.ending:
            case Ending.STAYS:
                if peer is None:
                    return
                await self._steps.handed_over(self._timing.handed_over_seconds)
                try:
                    await peer.ping(SYNC_SECONDS)
                    async with asyncio.timeout(self._timing.settle_seconds):
                        await peer.left.wait()
                except TimeoutError:
                    if not self._arrivals.empty():
                        self._story.find("one connection at a time", "a second one beside it")
                    return
                except PeerLeftError:
                    pass
                self._story.find("the client to stay connected", how_it_left(peer))
            case Ending.LEAVES:
                await self._deliveries.wait_for(self._came_or_ended, quiet)
                if not self._arrivals.empty():
                    asked = self._asked(self._arrivals.get_nowait().asked)
                    self._story.find("no further request", f"one, {asked}")
            case Ending.EITHER:
                await self._steps.handed_over(self._timing.handed_over_seconds)
            case _:
                assert_never(self._case.ending)

    async def _check_told(self) -> None:
        if self._case.told and self._deliveries.reported:
            deadline_seconds = self._timing.handed_over_seconds
            if not await self._deliveries.wait_for(lambda: self._deliveries.announced, deadline_seconds):
                self._story.find(
                    "the consumer to be told (a line that begins with '!', or a failing exit)", "nothing said"
                )

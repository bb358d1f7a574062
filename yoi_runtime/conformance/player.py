"""Plays one case to one client: takes its connections in order, plays the steps, writes down what was wrong.

    request -> judged against asks -> steps -> (next request | stays | stays away) -> deliveries judged

One task plays (``run``); each connection is handed in by the listener's task (``take``), which waits for its end.
What is right and wrong is decided in expectations.py and deliveries.py.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Final, Protocol, assert_never

from yoi_runtime.conformance.case import (
    Bookmark,
    Case,
    CaughtUp,
    Close,
    Diagnose,
    End,
    Ending,
    Events,
    HangUp,
    KillClient,
    Level,
    Need,
    Noticed,
    Ping,
    Refuse,
    Reset,
    ScriptedConnection,
    Silence,
    StallDeliveries,
    Start,
    Step,
    Text,
    Torn,
)
from yoi_runtime.conformance.deliveries import Deliveries, judge_deliveries
from yoi_runtime.conformance.expectations import (
    Asked,
    StartKind,
    judge_headers,
    judge_request,
    judge_version,
    judge_waits,
)
from yoi_runtime.conformance.handshake import HttpRequest, answer, upgrade
from yoi_runtime.conformance.listener import send_answer
from yoi_runtime.conformance.peer import Peer, PeerLeftError
from yoi_runtime.conformance.result import RULES, CaseResult, Finding
from yoi_runtime.conformance.scripted_log import ScriptedLog
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
from yoi_runtime.protocol.versions import SUBPROTOCOL_V1, ProtocolVersion

__all__ = ["ClientControl", "Player"]

_WORKER_PATH: Final = re.compile(WORKER_EVENTS_WS.replace("{worker_id}", "([A-Za-z0-9_-]{1,64})"))
# A client without pongs is found by the case for it; the others go on without.
_SYNC_SECONDS: Final = 2.0
# Steps after which a client may be gone already: it was told to go, or cannot tell the difference.
_FAREWELLS: Final = (Diagnose, Close, Reset, HangUp, Noticed, Silence, Torn, KillClient)
# For a client that has been given something odd, to act on it.
_NOTICE_SECONDS: Final = 5.0


class ClientControl(Protocol):
    """The client as a process that the kit has started."""

    async def stall(self) -> None:
        """Read nothing of its report until it is killed."""
        ...

    async def kill_and_restart(self) -> None:
        """Wait until it is stuck, kill it, read the rest of its report, and start it again."""
        ...


class _OverError(Exception):
    """What was found leaves nothing more to play."""


class _SkippedError(Exception):
    """The case does not concern this client; says why."""


@dataclass
class _Arrival:
    request: HttpRequest
    asked: StreamRequest
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    at_seconds: float = field(default_factory=time.monotonic)
    done: asyncio.Event = field(default_factory=asyncio.Event)


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
        self._log = ScriptedLog(case.name, version, None, timing)
        self._arrivals: asyncio.Queue[_Arrival] = asyncio.Queue()
        self._open: list[_Arrival] = []
        self._findings: list[Finding] = []
        self._trace: list[str] = []
        self._sent: dict[str, int] = {}
        self._waits_seconds: list[float] = []
        self._first: Asked | None = None
        self._place = 0
        self._peer: Peer | None = None
        self._peers: list[Peer] = []
        self._ended_at_seconds: float | None = None
        self._began_at_seconds = time.monotonic()
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
        self._say(f"client: {request.method} {request.target}")
        self._findings += judge_headers(request, self._token)
        try:
            asked = parse_stream_request(worker[1] if worker else None, request.parameters, request.subprotocols)
        except RequestInvalidError as error:
            self._findings.append(RULES["request_form"].broken("request_form", "a valid request", str(error)))
            writer.write(answer(400, diagnostic(DiagnosticCode.INVALID_REQUEST, str(error)).frame()))
            await writer.drain()
            writer.close()
            return
        arrival = _Arrival(request, asked, reader, writer)
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
        except _OverError:
            pass
        self._is_over = True
        for peer in self._peers:
            self._judge_peer(peer)
            await peer.abandon()
        for arrival in self._open:
            arrival.done.set()
        while not self._arrivals.empty():
            self._arrivals.get_nowait().done.set()
        if skipped is None and self._deliveries.reported and self._case.deliveries:
            self._findings += judge_deliveries(self._case, self._sent, self._deliveries.event_ids)
        findings = tuple(dict.fromkeys(self._findings))
        seconds = time.monotonic() - self._began_at_seconds
        return CaseResult(self._case.name, self._case.says, findings, skipped, tuple(self._trace), seconds)

    async def _play_connections(self) -> None:
        for number, scripted in enumerate(self._case.connection, 1):
            arrival = await self._next_arrival(scripted)
            if arrival is None:
                self._say("client: stays away")
                self._peer = None
                break
            waited = None if self._ended_at_seconds is None else arrival.at_seconds - self._ended_at_seconds
            if waited is not None:
                self._waits_seconds.append(waited)
            await self._release_former(arrival)
            self._judge_arrival(arrival, scripted, waited)
            self._say(f"kit: plays connection {number} of {len(self._case.connection)}")
            await self._play(arrival, scripted)
        if self._case.backoff:
            # The first connection was healthy: the tries begin behind it.
            self._findings += judge_waits(self._case, self._waits_seconds)
        await self._await_ending()

    async def _next_arrival(self, scripted: ScriptedConnection) -> _Arrival | None:
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
        self._find(expected, seen)
        raise _OverError

    def _came_or_ended(self) -> bool:
        return not self._arrivals.empty() or self._deliveries.is_gone

    async def _release_former(self, arrival: _Arrival) -> None:
        """End what is left of the connections before this one: of a silent one nothing else does."""
        for former in self._open:
            if former is not arrival:
                former.done.set()
        if self._peer is not None:
            await self._peer.abandon()
        self._open = [arrival]

    def _judge_arrival(self, arrival: _Arrival, scripted: ScriptedConnection, waited: float | None) -> None:
        asked = self._asked(arrival.asked)
        if self._first is None:
            self._first = asked
            self._findings += (version_findings := judge_version(arrival.request, self._version))
            if version_findings:
                raise _OverError
            self._log = ScriptedLog(self._case.name, self._version, asked.worker_id, self._timing)
            if Need.WORKER in self._case.needs and asked.worker_id is None:
                raise _SkippedError("needs a client that follows one Worker")
            if Need.BATCH in self._case.needs and not arrival.asked.batch:
                raise _SkippedError("needs a client that asks for batch=1")
        self._place = asked.place or 0
        found = judge_request(
            self._case,
            scripted.asks,
            asked,
            self._first,
            waited_seconds=waited,
            delivered=self._handed_over_up_to(),
            timing=self._timing,
        )
        self._findings += found
        goes_on_from_now = scripted.may_stay_away and asked.kind is StartKind.NOW
        if self._case.told and goes_on_from_now and not self._deliveries.reported:
            expected = "the consumer to be told before it goes on (which nobody reports here)"
            self._findings.append(Finding(Level.SHOULD, self._case.section, expected, str(asked)))
        if any(finding.level is Level.MUST for finding in found):
            raise _OverError

    def _asked(self, request: StreamRequest) -> Asked:
        match request.start:
            case FromCursor(token):
                return Asked(StartKind.CURSOR, self._log.place(cursor=token), request.worker_id)
            case FromEventId(event_id):
                return Asked(StartKind.EVENT_ID, self._log.place(event_id=event_id), request.worker_id)
            case FromOldest():
                return Asked(StartKind.OLDEST, None, request.worker_id)
            case _:
                return Asked(StartKind.NOW, None, request.worker_id)

    async def _play(self, arrival: _Arrival, scripted: ScriptedConnection) -> None:
        first = scripted.play[0]
        if isinstance(first, Refuse):
            arrival.writer.write(self._refusal(first))
            await arrival.writer.drain()
            self._ended_at_seconds = time.monotonic()
            self._say(f"kit: {first.status} {first.code}")
            arrival.writer.close()
            return
        subprotocol = SUBPROTOCOL_V1 if self._version is ProtocolVersion.V1 else None
        arrival.writer.write(upgrade(arrival.request, subprotocol))
        peer = self._peer = Peer(arrival.reader, arrival.writer)
        self._peers.append(peer)
        for number, step in enumerate(scripted.play):
            try:
                await self._step(peer, step)
            except PeerLeftError:
                self._ended_at_seconds = time.monotonic()
                self._say(f"client: left, close code {peer.close_code}")
                if not all(isinstance(rest, _FAREWELLS) for rest in scripted.play[number:]):
                    self._find("the client to stay while it is sent frames", _left(peer))
                    raise _OverError from None
                return

    async def _step(self, peer: Peer, step: Step) -> None:
        self._say(f"kit: {_shown(step)}")
        match step:
            case Start():
                self._place = step.at if step.at is not None else self._place
                await peer.send_text(self._log.start(step, self._place))
            case Events():
                await self._send_events(peer, step)
            case CaughtUp():
                await peer.send_text(self._log.caught_up(step))
            case Bookmark():
                await peer.send_text(self._log.bookmark(step))
            case End():
                await peer.send_text(self._log.end(step))
            case Diagnose():
                await peer.send_text(self._log.diagnostic(step))
            case Text():
                await peer.send_text(step.text.encode())
            case Ping():
                if not await peer.ping(self._timing.pong_seconds):
                    self._find("a pong within ten seconds", "none")
            case Close():
                self._ended_at_seconds = time.monotonic()
                if not await peer.close(step.code, step.reason, self._timing.pong_seconds):
                    seen = "the connection broken off" if peer.left.is_set() else "none"
                    self._findings.append(RULES["close_handshake"].broken("close_handshake", "a close frame", seen))
            case Reset():
                await self._synced(peer)
                self._ended_at_seconds = time.monotonic()
                await peer.reset()
            case HangUp():
                await self._synced(peer)
                self._ended_at_seconds = time.monotonic()
                await peer.hang_up()
            case Torn():
                await self._synced(peer)
                await peer.send_half(self._log.record(step.number, Events(do="events", last=step.number)))
                self._ended_at_seconds = time.monotonic()
                await peer.hang_up()
            case Noticed():
                await self._noticed(peer)
            case Silence():
                await self._synced(peer)
                peer.fall_silent()
                self._ended_at_seconds = time.monotonic()
            case StallDeliveries():
                assert self._control is not None
                await self._control.stall()
            case KillClient():
                assert self._control is not None
                await self._control.kill_and_restart()
                self._ended_at_seconds = time.monotonic()
            case Refuse():
                raise AssertionError("the grammar has it alone")
            case _:
                assert_never(step)

    async def _noticed(self, peer: Peer) -> None:
        peer.on_left = self._deliveries.wake
        if await self._deliveries.wait_for(
            lambda: peer.left.is_set() or self._deliveries.announced or self._deliveries.is_gone, _NOTICE_SECONDS
        ):
            self._ended_at_seconds = time.monotonic()
        else:
            self._find("the client to leave, or to tell its consumer", f"neither, in {_NOTICE_SECONDS:g} s")
            raise _OverError

    async def _send_events(self, peer: Peer, step: Events) -> None:
        numbers = range(step.first if step.first is not None else self._place + 1, step.last + 1)
        for number in numbers:
            event_id = self._log.event_id(number, step.life)
            self._sent[event_id] = self._sent.get(event_id, 0) + 1
        for message in self._log.messages(step, numbers):
            await peer.send_text(message)

    async def _synced(self, peer: Peer) -> None:
        """Wait until the client has surely read what was sent and dealt with it: a reset takes back what it has not."""
        try:
            await peer.ping(_SYNC_SECONDS)
        except PeerLeftError:
            return
        await self._handed_over(self._timing.handed_over_seconds)
        if self._sent:
            await asyncio.sleep(self._timing.settle_seconds)

    async def _handed_over(self, seconds: float) -> None:
        if self._deliveries.reported and self._case.deliveries:
            await self._deliveries.wait_for(
                lambda: self._sent.keys() <= set(self._deliveries.event_ids) or self._deliveries.is_gone, seconds
            )

    def _handed_over_up_to(self) -> int:
        given, number = set(self._deliveries.event_ids), 0
        while self._log.event_id(number + 1) in given:
            number += 1
        return number

    async def _await_ending(self) -> None:
        peer, quiet = self._peer, self._timing.scaled_quiet_seconds
        match self._case.ending:
            case Ending.STAYS:
                if peer is None:
                    return
                await self._handed_over(self._timing.handed_over_seconds)
                try:
                    await peer.ping(_SYNC_SECONDS)
                    async with asyncio.timeout(self._timing.settle_seconds):
                        await peer.left.wait()
                except TimeoutError:
                    return
                except PeerLeftError:
                    pass
                self._find("the client to stay connected", _left(peer))
            case Ending.LEAVES:
                await self._deliveries.wait_for(self._came_or_ended, quiet)
                if not self._arrivals.empty():
                    asked = self._asked(self._arrivals.get_nowait().asked)
                    self._find("no further request", f"one, {asked}")
            case Ending.EITHER:
                await self._handed_over(self._timing.handed_over_seconds)
            case _:
                assert_never(self._case.ending)

    async def _check_told(self) -> None:
        if self._case.told and self._deliveries.reported:
            deadline_seconds = self._timing.handed_over_seconds
            if not await self._deliveries.wait_for(lambda: self._deliveries.announced, deadline_seconds):
                self._find("the consumer to be told (a line that begins with '!', or a failing exit)", "nothing said")

    def _refusal(self, step: Refuse) -> bytes:
        body = self._log.diagnostic(Diagnose(do="diagnostic", code=step.code, retry_after_ms=step.retry_after_ms))
        headers = {}
        if step.retry_after_ms is not None:
            headers["Retry-After"] = str(max(1, -(-self._timing.told_ms(step.retry_after_ms) // 1000)))
        return answer(step.status, body, headers)

    def _judge_peer(self, peer: Peer) -> None:
        if peer.messages:
            sent = ", ".join(peer.messages[:3])
            self._findings.append(RULES["observation_only"].broken("observation_only", "no message", sent))
        if peer.fault is not None:
            self._findings.append(RULES["websocket_frames"].broken("websocket_frames", "sound frames", peer.fault))

    def _find(self, expected: str, seen: str) -> None:
        self._findings.append(Finding(self._case.level, self._case.section, expected, seen))

    def _say(self, line: str) -> None:
        self._trace.append(f"{time.monotonic() - self._began_at_seconds:7.3f} s  {line}")


def _left(peer: Peer) -> str:
    if peer.fault is not None:
        return f"it was cut off: it sent {peer.fault}"
    return f"it closed with {peer.close_code}" if peer.got_close else "it broke the connection off"


def _shown(step: Step) -> str:
    fields = step.model_dump(exclude_defaults=True, exclude={"do"})
    return " ".join([step.do, *(f"{name}={str(value)[:60]}" for name, value in fields.items())])

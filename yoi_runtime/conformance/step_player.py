"""Plays the steps of a script on one connection after the other.

The player decides which connection comes next; here it is upgraded or refused, and sent what the script says.
"""

from __future__ import annotations

import asyncio
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
    Events,
    HangUp,
    KillClient,
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
from yoi_runtime.conformance.deliveries import Deliveries
from yoi_runtime.conformance.handshake import HttpRequest, answer, upgrade
from yoi_runtime.conformance.peer import Peer, PeerLeftError
from yoi_runtime.conformance.scripted_log import ScriptedLog
from yoi_runtime.conformance.story import OverError, Story
from yoi_runtime.conformance.timing import Timing
from yoi_runtime.protocol.stream_request import StreamRequest
from yoi_runtime.protocol.versions import SUBPROTOCOL_V1, ProtocolVersion

__all__ = ["SYNC_SECONDS", "Arrival", "ClientControl", "StepPlayer", "how_it_left"]

# A client without pongs is found by the case for it; the others go on without.
SYNC_SECONDS: Final = 2.0
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


@dataclass
class Arrival:
    """A request for the stream; its socket is kept until ``done``."""

    request: HttpRequest
    asked: StreamRequest
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    at_seconds: float = field(default_factory=time.monotonic)
    done: asyncio.Event = field(default_factory=asyncio.Event)


class StepPlayer:
    """What was sent, and where the present connection stands. ``log``: set anew when the client's scope is known."""

    def __init__(
        self,
        case: Case,
        version: ProtocolVersion,
        timing: Timing,
        deliveries: Deliveries,
        story: Story,
        control: ClientControl | None,
    ) -> None:
        self._case = case
        self._version = version
        self._timing = timing
        self._deliveries = deliveries
        self._story = story
        self._control = control
        self.log = ScriptedLog(case.name, version, None, timing)
        # Event id to how often it was sent, in the order of the first time.
        self.sent: dict[str, int] = {}
        self.place = 0
        self.peer: Peer | None = None
        self.ended_at_seconds: float | None = None
        self._peers: list[Peer] = []

    async def play(self, arrival: Arrival, scripted: ScriptedConnection) -> None:
        """Play one connection to its end, or to the client's.

        Raises:
            OverError: the client did what leaves nothing more to play.
        """
        first = scripted.play[0]
        if isinstance(first, Refuse):
            arrival.writer.write(self._refusal(first))
            await arrival.writer.drain()
            self.ended_at_seconds = time.monotonic()
            self._story.say(f"kit: {first.status} {first.code}")
            arrival.writer.close()
            return
        subprotocol = SUBPROTOCOL_V1 if self._version is ProtocolVersion.V1 else None
        arrival.writer.write(upgrade(arrival.request, subprotocol))
        peer = self.peer = Peer(arrival.reader, arrival.writer)
        self._peers.append(peer)
        for number, step in enumerate(scripted.play):
            try:
                await self._step(peer, step)
            except PeerLeftError:
                self.ended_at_seconds = time.monotonic()
                self._story.say(f"client: left, close code {peer.close_code}")
                if not all(isinstance(rest, _FAREWELLS) for rest in scripted.play[number:]):
                    self._story.find("the client to stay while it is sent frames", how_it_left(peer))
                    raise OverError from None
                return

    async def abandon(self) -> None:
        """Let go of every connection, and judge what the client sent on them."""
        for peer in self._peers:
            self._judge_peer(peer)
            await peer.abandon()

    async def _step(self, peer: Peer, step: Step) -> None:
        self._story.say(f"kit: {_shown(step)}")
        match step:
            case Start():
                self.place = step.at if step.at is not None else self.place
                await peer.send_text(self.log.start(step, self.place))
            case Events():
                await self._send_events(peer, step)
            case CaughtUp():
                await peer.send_text(self.log.caught_up(step))
            case Bookmark():
                await peer.send_text(self.log.bookmark(step))
            case End():
                await peer.send_text(self.log.end(step))
            case Diagnose():
                await peer.send_text(self.log.diagnostic(step))
            case Text():
                await peer.send_text(step.text.encode())
            case Ping():
                if not await peer.ping(self._timing.pong_seconds):
                    self._story.find("a pong within ten seconds", "none")
            case Close():
                self.ended_at_seconds = time.monotonic()
                if not await peer.close(step.code, step.reason, self._timing.pong_seconds):
                    seen = "the connection broken off" if peer.left.is_set() else "none"
                    self._story.break_rule("close_handshake", "a close frame", seen)
            case Reset():
                await self._synced(peer)
                self.ended_at_seconds = time.monotonic()
                await peer.reset()
            case HangUp():
                await self._synced(peer)
                self.ended_at_seconds = time.monotonic()
                await peer.hang_up()
            case Torn():
                await self._synced(peer)
                await peer.send_half(self.log.record(step.number, Events(do="events", last=step.number)))
                self.ended_at_seconds = time.monotonic()
                await peer.hang_up()
            case Noticed():
                await self._noticed(peer)
            case Silence():
                await self._synced(peer)
                peer.fall_silent()
                self.ended_at_seconds = time.monotonic()
            case StallDeliveries():
                assert self._control is not None
                await self._control.stall()
            case KillClient():
                assert self._control is not None
                await self._control.kill_and_restart()
                self.ended_at_seconds = time.monotonic()
            case Refuse():
                raise AssertionError("the grammar has it alone")
            case _:
                assert_never(step)

    async def _noticed(self, peer: Peer) -> None:
        peer.on_left = self._deliveries.wake
        if await self._deliveries.wait_for(
            lambda: peer.left.is_set() or self._deliveries.announced or self._deliveries.is_gone, _NOTICE_SECONDS
        ):
            self.ended_at_seconds = time.monotonic()
        else:
            self._story.find("the client to leave, or to tell its consumer", f"neither, in {_NOTICE_SECONDS:g} s")
            raise OverError

    async def _send_events(self, peer: Peer, step: Events) -> None:
        numbers = range(step.first if step.first is not None else self.place + 1, step.last + 1)
        for number in numbers:
            event_id = self.log.event_id(number, step.life)
            self.sent[event_id] = self.sent.get(event_id, 0) + 1
        for message in self.log.messages(step, numbers):
            await peer.send_text(message)

    async def _synced(self, peer: Peer) -> None:
        """Wait until the client has surely read what was sent and dealt with it: a reset takes back what it has not."""
        try:
            await peer.ping(SYNC_SECONDS)
        except PeerLeftError:
            return
        await self.handed_over(self._timing.handed_over_seconds)
        if self.sent:
            await asyncio.sleep(self._timing.settle_seconds)

    async def handed_over(self, seconds: float) -> None:
        """Wait until everything that was sent was handed over, as far as that is reported."""
        if self._deliveries.reported and self._case.deliveries:
            await self._deliveries.wait_for(
                lambda: self.sent.keys() <= set(self._deliveries.event_ids) or self._deliveries.is_gone, seconds
            )

    def handed_over_up_to(self) -> int:
        """Return the event up to which everything was handed over."""
        given, number = set(self._deliveries.event_ids), 0
        while self.log.event_id(number + 1) in given:
            number += 1
        return number

    def _refusal(self, step: Refuse) -> bytes:
        body = self.log.diagnostic(Diagnose(do="diagnostic", code=step.code, retry_after_ms=step.retry_after_ms))
        headers = {}
        if step.retry_after_ms is not None:
            headers["Retry-After"] = str(max(1, -(-self._timing.told_ms(step.retry_after_ms) // 1000)))
        return answer(step.status, body, headers)

    def _judge_peer(self, peer: Peer) -> None:
        if peer.messages:
            sent = ", ".join(peer.messages[:3])
            self._story.break_rule("observation_only", "no message", sent)
        if peer.fault is not None:
            self._story.break_rule("websocket_frames", "sound frames", peer.fault)


def how_it_left(peer: Peer) -> str:
    """Describe the client's end of a connection, for a finding."""
    if peer.fault is not None:
        return f"it was cut off: it sent {peer.fault}"
    return f"it closed with {peer.close_code}" if peer.got_close else "it broke the connection off"


def _shown(step: Step) -> str:
    fields = step.model_dump(exclude_defaults=True, exclude={"do"})
    return " ".join([step.do, *(f"{name}={str(value)[:60]}" for name, value in fields.items())])

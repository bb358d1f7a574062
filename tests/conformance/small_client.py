"""A Backend client that is right, and can be wrong in one way at a time: what the kit is tried on.

Asyncio and the ``websockets`` library; knows nothing of the kit but the stage it plays on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.typing import Origin, Subprotocol

from yoi_runtime.conformance import Stage

__all__ = ["FAULTS", "SmallClient"]

# Each is one thing that the client does wrong.
FAULTS = frozenset(
    {
        "asks_twice",
        "batches_lose_the_cursor",
        "clamps_silently",
        "checks_no_numbers",
        "dedups_by_number",
        "dedups_not",
        "dies_of_unknown_diagnostics",
        "dies_of_unknown_events",
        "dies_of_unknown_fields",
        "dies_of_unknown_kinds",
        "fixed_delay",
        "forgets_the_cursor",
        "gives_up_on_503",
        "gives_up_on_unknown_45xx",
        "hands_over_twice",
        "has_an_origin",
        "ignores_1001",
        "ignores_bookmarks",
        "ignores_recovery",
        "ignores_retry_after",
        "ignores_the_end",
        "knows_no_close_codes",
        "keeps_the_first_cursor",
        "loses_the_cursor_without_frames",
        "never_pongs",
        "notices_no_silence",
        "no_backoff",
        "offers_v1_in_v0",
        "repeats_after_4409",
        "resumes_too_far",
        "says_nothing",
        "sends_a_message",
        "skips_every_third",
        "small_messages_only",
        "splits_lines",
        "starts_anew_before_the_first_event",
        "swaps_two",
        "token_in_the_query",
        "worker_is_gone_for_good",
    }
)
_KNOWN_EVENTS = {"text_delta", "system_item", "snapshot"}
_FIRST_DELAY_SECONDS = 0.02


class _OverError(Exception):
    """The stream is over."""


class SmallClient:
    """Follows one stage until it is cancelled or told to stop. ``restarts``: goes on at the oldest event behind a gap."""

    def __init__(
        self, stage: Stage, mode: str, fault: str | None = None, *, everything: bool = False, restarts: bool = True
    ) -> None:
        assert fault is None or fault in FAULTS, fault
        self._stage = stage
        self._mode = mode
        self._fault = fault
        self._path = "/v1/events/ws" if everything else f"/v1/workers/{stage.worker_id}/events/ws"
        self._numbering = "seq" if everything else "worker_seq"
        self._restarts = restarts
        self._cursor: str | None = None
        self._start = "now"
        self._seen: set[object] = set()
        self._expected: int | None = None
        self._silence_seconds: float | None = None
        self._problem: dict[str, Any] = {}
        self._got_frames = False
        self._held: list[dict[str, Any]] = []

    async def run(self) -> None:
        tries = 0
        try:
            while True:
                self._got_frames = False
                code = await self._one_connection()
                tries = 0 if self._got_frames else tries + 1
                if not self._got_frames and self._is("loses_the_cursor_without_frames"):
                    self._cursor = None
                self._decide(code)
                delay = _FIRST_DELAY_SECONDS * 2**tries
                if self._is("no_backoff"):
                    delay = 0
                elif self._is("fixed_delay"):
                    delay = 0.2
                asked = 0 if self._is("ignores_retry_after") else self._problem.get("retry_after_ms", 0) / 1000
                await asyncio.sleep(asked + delay)
        except _OverError:
            self._stage.ended(0)

    def _is(self, fault: str) -> bool:
        return self._fault == fault

    async def _one_connection(self) -> int | None:
        self._problem = {}
        options: dict[str, Any] = {"compression": None, "proxy": None, "ping_interval": None, "close_timeout": 1}
        if self._mode == "v1" or self._is("offers_v1_in_v0"):
            options["subprotocols"] = [Subprotocol("yoi.events.v1")]
        if self._is("has_an_origin"):
            options["origin"] = Origin("http://localhost")
        options["max_size"] = 64 * 1024 if self._is("small_messages_only") else 2**20
        try:
            async with connect(self._address(), **options) as connection:
                if self._is("never_pongs"):
                    _drop_pongs(connection)
                return await self._read(connection)
        except InvalidStatus as refused:
            self._problem = json.loads(refused.response.body)["diagnostic"]
            return refused.response.status_code
        except (OSError, EOFError, WebSocketException):
            return None

    def _address(self) -> str:
        query = f"?from={self._start}"
        if self._cursor is not None and not self._is("forgets_the_cursor"):
            query = f"?cursor={self._cursor}"
        if self._is("asks_twice"):
            query += "&from=oldest"
        if self._mode == "v1":
            query += "&batch=1"
        if self._is("token_in_the_query"):
            query += "&access_token=geheim"
        return self._stage.url.replace("http", "ws", 1) + self._path + query

    async def _read(self, connection: ClientConnection) -> int | None:
        try:
            if self._is("sends_a_message"):
                await _send_a_message(connection)
            while True:
                async with asyncio.timeout(self._silence_seconds):
                    message = str(await connection.recv())
                self._got_frames = True
                lines = message.splitlines() if self._is("splits_lines") else [message]
                for line in lines:
                    self._take(json.loads(line))
        except TimeoutError:
            return None
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else None
        except ValueError:
            # Cannot go on, and knows it.
            raise _OverError from None

    def _take(self, frame: dict[str, Any]) -> None:
        odd = frame["kind"] == "event" and not frame.keys() <= {"kind", "envelope", "crc"}
        if self._is("dies_of_unknown_fields") and odd:
            raise ValueError(frame.keys())
        match frame["kind"]:
            case "event":
                self._event(frame["envelope"])
            case "diagnostic":
                self._diagnostic(frame["diagnostic"])
            case "batch":
                before = self._cursor
                for one in frame["frames"]:
                    self._take(one)
                if self._is("batches_lose_the_cursor"):
                    self._cursor = before
            case "hello":
                if not self._is("notices_no_silence"):
                    self._silence_seconds = 3 * frame["heartbeat_ms"] / 1000
                self._opened(frame["resumed_from"])
            case "bookmark" | "caught_up":
                if not self._is("ignores_bookmarks"):
                    self._cursor = frame["cursor"]
            case "end":
                if not self._is("ignores_the_end"):
                    raise _OverError
            case kind if self._is("dies_of_unknown_kinds"):
                raise ValueError(kind)

    def _opened(self, cursor: str) -> None:
        if not self._is("starts_anew_before_the_first_event"):
            self._cursor = cursor

    def _event(self, envelope: dict[str, Any]) -> None:
        event_id, number = envelope["event_id"], envelope.get(self._numbering, 0)
        if self._is("dies_of_unknown_events"):
            item = envelope["payload"].get("data", {}).get("item", {})
            if envelope["payload"]["event"] not in _KNOWN_EVENTS or item.get("kind") == "yoi.event":
                raise ValueError(envelope["payload"]["event"])
        if event_id.startswith("snapshot:"):
            self._opened(envelope["cursor"])
            return
        identity = number if self._is("dedups_by_number") else event_id
        if identity in self._seen and not self._is("dedups_not"):
            return
        if self._expected not in (None, number) and not self._is("checks_no_numbers") and identity not in self._seen:
            raise OSError("events are missing")
        self._expected = number + 1
        self._seen.add(identity)
        self._hand_over(event_id, number)
        if not (self._is("keeps_the_first_cursor") and len(self._seen) > 1):
            self._cursor = envelope["cursor"]
        if self._is("resumes_too_far"):
            self._cursor = _cursor_of_the_next(envelope["cursor"])

    def _hand_over(self, event_id: str, number: int) -> None:
        if self._is("skips_every_third") and number % 3 == 0:
            return
        if self._is("swaps_two") and number == 2:
            self._held = [{"event_id": event_id}]
            return
        self._stage.delivered(event_id)
        if self._is("hands_over_twice"):
            self._stage.delivered(event_id)
        for held in self._held:
            self._stage.delivered(held["event_id"])
        self._held = []

    def _diagnostic(self, diagnostic: dict[str, Any]) -> None:
        code = diagnostic["code"]
        if self._is("dies_of_unknown_diagnostics") and code == "runtime.weather":
            raise ValueError(code)
        if code == "runtime.stream_opened" and self._mode == "v0":
            self._opened(diagnostic["resume_cursor"])
        if code == "runtime.record_corrupt":
            self._expected = None
            self._tell(code)
        if diagnostic["recovery"] != "none":
            self._problem = diagnostic

    def _tell(self, what: str) -> None:
        if not self._is("says_nothing"):
            self._stage.told(what)

    def _decide(self, code: int | None) -> None:
        recovery = self._problem.get("recovery")
        if recovery is None:
            is_refusal = code is not None and 4400 <= code <= 4499 and not self._is("knows_no_close_codes")
            if self._is("gives_up_on_unknown_45xx") and code == 4577:
                is_refusal = True
            recovery = "give_up" if is_refusal else "reconnect"
        if self._is("repeats_after_4409") and code == 4409:
            self._tell(self._problem["code"])
            return
        if self._is("ignores_recovery"):
            return
        if code == 1001 and self._is("ignores_1001"):
            raise _OverError
        if code == 503 and self._is("gives_up_on_503"):
            raise _OverError
        if code == 404 and self._is("worker_is_gone_for_good"):
            raise _OverError
        if recovery == "reconnect":
            return
        expired = self._problem.get("code") == "runtime.cursor_expired"
        if not (expired and self._is("clamps_silently")):
            self._tell(self._problem.get("code", str(code)))
        if recovery not in ("resnapshot", "restart_from_oldest") or not self._restarts:
            raise _OverError
        self._cursor = self._problem.get("resume_cursor")
        self._expected = None
        self._start = "now" if self._is("clamps_silently") else "oldest"


async def _send_a_message(connection: ClientConnection) -> None:
    try:
        await connection.send("hello")
    except ConnectionClosed:
        pass  # What came before the end can still be read.


def _drop_pongs(connection: ClientConnection) -> None:
    send_frame: Callable[[Frame], None] = connection.protocol.send_frame

    def send(frame: Frame) -> None:
        if frame.opcode is not Opcode.PONG:
            send_frame(frame)

    connection.protocol.send_frame = send  # type: ignore[method-assign]


def _cursor_of_the_next(cursor: str) -> str:
    """Return a token that this log never gave: the last character counts up."""
    return f"{cursor[:-1]}{(int(cursor[-1]) + 1) % 10}"

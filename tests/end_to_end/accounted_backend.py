"""A Backend that keeps the account of one stream: each event of the log was received, filtered out or announced as lost.

It knows the truth (every append, in order) and holds each frame against it as it comes: what was passed over in
silence, came twice, out of order or in other bytes, or was announced with a wrong number, is an ``AssertionError``.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tests.server.raw_peer import RawPeer
from tests.server.serving import stream_path
from yoi_runtime.protocol.versions import SUBPROTOCOL_V1
from yoi_runtime.segment_log.cursor import NO_WORKER, CursorToken, decode_token, encode_token, worker_tag
from yoi_runtime.segment_log.record import check_crc

__all__ = ["AccountedBackend", "Kind", "Truth", "Written", "mark_of"]

MAX_FRAME_BYTES = 512 << 10


class Written(NamedTuple):
    """What was appended, as its writer knows it."""

    seq: int
    worker_id: str | None
    worker_seq: int
    name: str
    mark: int | None


def mark_of(text: str | None) -> int | None:
    """Return what tells a text from others without keeping it."""
    return None if text is None else hash(text)


@dataclass
class Truth:
    """The list that the log has to be: ``events[n]`` has seq n + 1.

    ``ends``: (seq, Worker, outcome) of those that are final; ``starts``: (seq, Worker); ``frames``: as they came, by seq.
    """

    events: list[Written] = field(default_factory=list)
    ends: list[tuple[int, str, str]] = field(default_factory=list)
    starts: list[tuple[int, str]] = field(default_factory=list)
    frames: dict[int, bytes] = field(default_factory=dict)

    def clear(self) -> None:
        """Begin anew, for another log."""
        for known in (self.events, self.ends, self.starts, self.frames):
            known.clear()

    def write_down(self, seq: int, worker_id: str | None, worker_seq: int | None, payload: dict[str, Any]) -> None:
        """Take note of an event that is about to be appended."""
        assert seq == len(self.events) + 1
        data = payload.get("data", {})
        mark = mark_of(data["text"]) if isinstance(data.get("text"), str) else None
        self.events.append(Written(seq, worker_id, worker_seq or 0, payload["event"], mark))
        if payload["event"] == "worker_ended" and not data.get("restart_pending"):
            self.ends.append((seq, data["worker_id"], data["outcome"]))
        elif payload["event"] == "worker_started":
            self.starts.append((seq, data["worker_id"]))

    def between(self, after: int, last: int, scope: str | None, names: frozenset[str] | None = None) -> list[int]:
        """Return the seqs in (after, last] of this scope with one of these names (None: any)."""
        return [
            event.seq
            for event in self.events[after:last]
            if scope in (None, event.worker_id) and (names is None or event.name in names)
        ]

    def ended_with(self, worker_id: str, seq: int) -> str | None:
        """Return the outcome of a Worker as of ``seq``, None when it ran then."""
        found = [(at, outcome) for at, who, outcome in self.ends if who == worker_id and at <= seq]
        started = [at for at, who in self.starts if who == worker_id and at <= seq]
        return found[-1][1] if found and found[-1][0] > max(started, default=0) else None


class Kind(NamedTuple):
    """What stream a Backend wants."""

    scope: str | None
    version: str = "v0"
    batch: bool = False
    names: frozenset[str] | None = None

    def __str__(self) -> str:
        more = (" batch" if self.batch else "") + (f" {sorted(self.names)}" if self.names else "")
        return f"{self.version} {self.scope or 'everything'}{more}"


class AccountedBackend:
    """One Backend, through all its connections. ``covered``: the seq up to which it is clear what became of each event."""

    def __init__(self, kind: Kind, truth: Truth, counts: Counter[str]) -> None:
        self.kind = kind
        self._truth = truth
        self._counts = counts
        self.covered: int | None = None
        self.began = 0
        self.received: list[int] = []
        # (after, last]: between these everything of the scope was announced as lost.
        self.lost: list[tuple[int, int]] = []
        self.cursor: str | None = None
        # Of the newest event received, as long as that is a place to go on from.
        self.event_id: str | None = None
        self._event_cursor = ""
        self._event_seq = 0
        self._from_bookmark = False
        self.ended = False
        self._reading = asyncio.Event()
        self._reading.set()
        self._peer: RawPeer | None = None
        self._task: asyncio.Task[None] | None = None
        self._first = True
        self._connection_events = 0
        self._caught_up = False
        self._start: dict[str, str] = {}
        self._last_code = ""

    # Connections.

    @property
    def connected(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def paused(self) -> bool:
        return not self._reading.is_set()

    def pause(self) -> None:
        """Stop reading; the connection stays."""
        self._reading.clear()

    def go_on(self) -> None:
        self._reading.set()

    async def connect(self, url: str, start: dict[str, str]) -> bool:
        """Open the stream from ``start`` (the query); False when the server refused before the upgrade."""
        assert not self.connected
        await self.finish()
        query = dict(start)
        if self.kind.batch:
            query["batch"] = "1"
        if self.kind.names is not None:
            query["events"] = ",".join(sorted(self.kind.names))
        try:
            self._peer = await RawPeer.connect(
                url,
                stream_path(self.kind.scope) + ("?" + urlencode(query) if query else ""),
                receive_buffer=4096,
                subprotocol=SUBPROTOCOL_V1 if self.kind.version == "v1" else None,
            )
        except (AssertionError, OSError, TimeoutError):
            self._counts["handshakes refused"] += 1
            return False
        self._first, self._connection_events, self._caught_up, self.ended = True, 0, False, False
        self._start = start
        self._counts[f"connected by {next(iter(start))}" if start else "connected from now"] += 1
        if self._from_bookmark and start.get("cursor") == self.cursor:
            self._counts["connected by a cursor that came without an event"] += 1
        self._task = asyncio.ensure_future(self._follow(self._peer))
        return True

    def how_to_resume(self) -> list[dict[str, str]]:
        """Return the queries that lead on from where it is."""
        if self.cursor is None:
            return [{"from": "oldest"}]
        found = [{"cursor": self.cursor}]
        if self.kind.scope is not None:
            # What the stream of everything would have issued for this place: good here too, without a Worker's number.
            foreign = decode_token(CursorToken(self.cursor))._replace(worker=NO_WORKER, worker_seq=0)
            found.append({"cursor": encode_token(foreign)})
        if self.event_id is not None:
            found += [{"cursor": self._event_cursor}, {"last_event_id": self.event_id}]
        return found

    async def drop(self) -> None:
        """End the connection in the middle of whatever is under way; frames that came unread are forgotten."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            self._counts["drops"] += 1
        await self.finish()

    async def finish(self) -> None:
        """Wait for the reading task and let go of the socket. Raises what the task found wrong."""
        task, self._task = self._task, None
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        if self._peer is not None:
            self._peer.vanish()
            self._peer = None
        self.go_on()

    def raise_if_wrong(self) -> None:
        """Raise what the account found wrong so far."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            error = self._task.exception()
            if error is not None:
                raise error

    async def _follow(self, peer: RawPeer) -> None:
        try:
            while True:
                await self._reading.wait()
                opcode, payload = await peer.frame()
                if opcode == 8:
                    self._closed(payload)
                    await peer.send(8, payload[:2])
                    return
                if opcode == 9:
                    await peer.send(10, payload)
                    continue
                assert opcode == 1
                assert len(payload) <= MAX_FRAME_BYTES
                self._message(payload)
        except (EOFError, ConnectionError):
            return

    # The account.

    def _message(self, payload: bytes) -> None:
        if not payload.startswith(b'{"kind":"batch"'):
            self._frame(payload)
            return
        assert self.kind.batch
        lines = payload.removeprefix(b'{"kind":"batch","frames":[').removesuffix(b"]}").split(b",\n")
        assert json.loads(payload)["frames"] == [json.loads(line) for line in lines], "a batch can be split unparsed"
        assert len(lines) > 1
        self._counts["batches"] += 1
        for line in lines:
            self._frame(line)

    def _frame(self, raw: bytes) -> None:
        frame = json.loads(raw)
        kind = frame["kind"]
        self._counts[f"frames: {kind}"] += 1
        first, self._first = self._first, False
        if kind == "diagnostic":
            self._diagnostic(frame["diagnostic"], first)
        elif kind == "event" and frame["envelope"]["event_id"].startswith("snapshot:"):
            assert first
            assert (self.kind.version, self.kind.scope) == ("v0", frame["envelope"]["worker_id"])
            self._opened(frame["envelope"]["cursor"])
        elif kind == "event":
            assert not first, "a stream opens with a frame that says where it starts"
            self._event(raw, frame)
        else:
            assert self.kind.version == "v1"
            assert first is (kind == "hello")
            self._v1_frame(kind, frame)

    def _v1_frame(self, kind: str, frame: dict[str, Any]) -> None:
        match kind:
            case "hello":
                self._hello(frame)
            case "caught_up":
                self._caught_up_frame(frame)
            case "bookmark":
                self._bookmark(frame)
            case "end":
                self._end(frame)
            case _:
                raise AssertionError(f"{self}: a frame of kind {kind}")

    def _opened(self, cursor: str) -> None:
        """The stream starts at ``cursor``: all before it must be clear, unless the peer chose to start here."""
        seq = decode_token(CursorToken(cursor)).seq
        if self.covered is None or "from" in self._start or not self._start:
            self.covered = self.began = seq
            self.received.clear()
            self.lost.clear()
            self.event_id = None
        else:
            silent = self._truth.between(self.covered, seq, self.kind.scope)
            assert not silent, f"{self}: opened at {seq}, {silent} passed over in silence"
            again = self._truth.between(seq, self.covered, self.kind.scope, self.kind.names)
            assert not again, f"{self}: opened at {seq}, {again} will come again"
        self._stand_at(cursor)

    def _event(self, raw: bytes, frame: dict[str, Any]) -> None:
        envelope = frame["envelope"]
        seq, names = envelope["seq"], self.kind.names
        event = self._truth.events[seq - 1]
        assert self.kind.scope in (None, event.worker_id), f"{self}: an event of {event.worker_id}"
        assert self.covered is not None
        assert seq > self.covered, f"{self}: {seq} after {self.covered} was clear already"
        silent = self._truth.between(self.covered, seq - 1, self.kind.scope, names)
        assert not silent, f"{self}: {silent} passed over in silence before {seq}"
        assert (envelope["worker_id"], envelope["worker_seq"]) == (event.worker_id, event.worker_seq or None)
        payload = envelope["payload"]
        if "crc" in frame:
            assert check_crc(raw)
            assert payload["event"] == event.name
            assert names is None or event.name in names
            assert self._truth.frames.setdefault(seq, raw) == raw, "one event, one run of bytes"
        else:
            assert self.kind.version == "v0", "wrapped for upstream's client alone"
            payload = payload["data"]["item"]
        if event.mark is not None:
            assert mark_of(payload["data"]["text"]) == event.mark
        self.received.append(seq)
        self._connection_events += 1
        self._counts["events received"] += 1
        segment = decode_token(CursorToken(envelope["cursor"])).segment
        if self.cursor is not None and decode_token(CursorToken(self.cursor)).segment != segment:
            self._counts["segments crossed"] += 1
        self._stand_at(envelope["cursor"], envelope["event_id"])

    def _stand_at(self, cursor: str, event_id: str | None = None) -> None:
        self.cursor = cursor
        self.covered = decode_token(CursorToken(cursor)).seq
        self._from_bookmark = event_id is None
        if event_id is not None:
            self.event_id, self._event_cursor, self._event_seq = event_id, cursor, self.covered

    def _moved_to(self, cursor: str) -> None:
        """A frame without an event says that all up to ``cursor`` was sent that there is to send."""
        assert self.covered is not None
        seq = decode_token(CursorToken(cursor)).seq
        silent = self._truth.between(self.covered, seq, self.kind.scope, self.kind.names)
        assert not silent, f"{self}: a cursor behind {silent}, which did not come"
        assert seq >= self.covered
        self._stand_at(cursor)

    def _hello(self, frame: dict[str, Any]) -> None:
        assert frame["scope"] == {"worker_id": self.kind.scope}
        names = self.kind.names
        assert frame["filters"] == {"events": None if names is None else sorted(names)}
        self._opened(frame["resumed_from"])

    def _caught_up_frame(self, frame: dict[str, Any]) -> None:
        assert not self._caught_up, "caught_up comes once"
        self._caught_up = True
        assert frame["replayed"] == self._connection_events
        self._moved_to(frame["cursor"])

    def _bookmark(self, frame: dict[str, Any]) -> None:
        self._moved_to(frame["cursor"])
        if frame["worker_seq"] is not None:
            assert self.kind.scope is not None
            seq = self.covered or 0
            numbers = [event.worker_seq for event in self._truth.events[:seq] if event.worker_id == self.kind.scope]
            assert frame["worker_seq"] == max(numbers, default=0), f"{self}: bookmark at {seq}"

    def _end(self, frame: dict[str, Any]) -> None:
        self._moved_to(frame["cursor"])
        assert frame["worker_id"] == self.kind.scope
        assert frame["outcome"] == self._truth.ended_with(frame["worker_id"], self.covered or 0)
        self.ended = True

    def _diagnostic(self, problem: dict[str, Any], first: bool) -> None:
        code = problem["code"]
        self._counts[f"{code} {'at the start' if first else 'in mid-stream'}"] += 1
        self._last_code = code
        match code:
            case "runtime.stream_opened":
                assert first
                assert (self.kind.version, self.kind.scope) == ("v0", None)
                self._opened(problem["resume_cursor"])
            case "runtime.cursor_expired":
                self._expired(problem, first)
            case "runtime.shutting_down":
                self._moved_to(problem["resume_cursor"])
            case "runtime.cursor_unknown":
                # Of an event id whose segment is gone nothing more can be said; the cursor of the same event says it.
                assert "last_event_id" in self._start, f"{self}: {problem}"
                oldest = decode_token(CursorToken(problem["oldest_cursor"])).seq
                assert self._event_seq <= oldest, "its event is still there"
                self.event_id = None
            case "runtime.consumer_too_slow":
                # The peer may have more than what was sent whole; what leads on leaves nothing out.
                assert decode_token(CursorToken(problem["resume_cursor"])).seq <= (self.covered or 0)
            case "runtime.unavailable":
                pass
            case _:
                raise AssertionError(f"{self}: {problem}")

    def _expired(self, problem: dict[str, Any], first: bool) -> None:
        scope, lost = self.kind.scope, problem["lost"]
        assert problem["requested_cursor"] == self._start.get("cursor") or not first
        stood = decode_token(CursorToken(problem["requested_cursor"]))
        oldest = decode_token(CursorToken(problem["oldest_cursor"])).seq
        assert self.covered is not None
        unsent = self._truth.between(self.covered, stood.seq, scope, self.kind.names)
        assert not unsent, f"{self}: it stood behind {unsent}, which did not come"
        gone = self._truth.between(stood.seq, oldest, scope)
        assert gone, f"{self}: expired, and nothing of its scope is lost"
        if scope is None or stood.worker == worker_tag(scope):
            assert lost["exact"], f"{self}: the receipt could be exact"
        self._counts["receipts: " + ("exact" if lost["exact"] else "upper bound")] += 1
        if lost["exact"]:
            assert lost["events"] == len(gone), f"{self}: {lost} for {len(gone)} between {stood.seq} and {oldest}"
        else:
            assert lost["events"] >= len(gone)
        self.lost.append((stood.seq, oldest))
        self._counts["events lost and announced"] += len(gone)
        self._stand_at(problem["oldest_cursor"])
        self.event_id = None

    def _closed(self, payload: bytes) -> None:
        code, reason = int.from_bytes(payload[:2], "big"), payload[2:].decode()
        if self.ended:
            assert code == 1000
            self._counts["ended"] += 1
        else:
            assert reason == self._last_code, "the reason of a close is the code of its diagnostic"

    # At last.

    def is_complete(self) -> bool:
        """Say whether it has all there is."""
        end = len(self._truth.events)
        return self.covered is not None and not self._truth.between(self.covered, end, self.kind.scope, self.kind.names)

    def settle(self) -> None:
        """Hold the whole against the truth: received, filtered out and announced make the list, in order, once."""
        assert self.is_complete()
        covered = self.covered or 0
        expected = self._truth.between(self.began, covered, self.kind.scope, self.kind.names)
        lost = {seq for after, last in self.lost for seq in range(after + 1, last + 1)}
        assert self.received == sorted(set(self.received)), "in order, once"
        assert not lost & set(self.received), "nothing that came was called lost"
        assert [seq for seq in expected if seq not in lost] == self.received
        self._counts["accounts settled"] += 1

    def __str__(self) -> str:
        return f"<{self.kind}, covered {self.covered}>"

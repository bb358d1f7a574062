"""Peers that read slowly, late or never, on real sockets: nobody jumps, nobody waits for another, no queue grows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ExpectLog
from tests.runtime.emitting import emit
from tests.server.raw_peer import RawPeer
from tests.server.serving import EVERYTHING, Serving, serving, stream_path
from tests.support.deadline import wait_until_async
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.server.dialect_v1 import MAX_FRAME_BYTES, DialectV1

# More than the kernel, the server and a peer that reads nothing take together, and three times as much is kept.
BACKLOG = 4 << 20
KEPT = RuntimeOptions(segment_bytes=1 << 20, retain_segments=4, durability="written")


def is_stuck(served: Serving, subscribers: int = 1) -> bool:
    """Say whether so many subscribers wait for their peer to take what was written."""
    return sum(socket.is_writing() for socket in served.server._state.sockets) >= subscribers


async def events_until_refused(peer: RawPeer) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Read to the diagnostic that ends the stream; returns the events before it and the diagnostic."""
    events: list[dict[str, Any]] = []
    while (frame := await peer.json())["kind"] == "event":
        events.append(frame["envelope"])
    problem = frame["diagnostic"]
    opcode, payload = await peer.frame()
    assert (opcode, payload[2:].decode()) == (8, problem["code"])
    return events, {**problem, "close_code": int.from_bytes(payload[:2], "big")}


@pytest.mark.parametrize("worker_id", ["a", None])
async def test_rotation_overtakes_a_stuck_subscriber_and_it_is_told_exactly_what_it_lost(
    worker_id: str | None, tmp_path: Path
):
    # With the usual cache all that is rotated out here would still be in memory, and be sent.
    async with serving(tmp_path, KEPT, cache_bytes=1 << 20) as served:
        worker, other = await served.worker("a"), await served.worker("b")
        await served.shown(emit(worker, 2000, size=1000)[-1])
        with await RawPeer.connect(
            served.server.url, f"{stream_path(worker_id)}?from=oldest", receive_buffer=4096
        ) as peer:
            await peer.json()
            await wait_until_async(lambda: is_stuck(served))
            # Ten times the retention, others' events among them.
            for _ in range(40):
                emit(worker, 700, size=1000)
                await served.shown(emit(other, 300, size=1000)[-1])
            events, problem = await events_until_refused(peer)
        seqs = [event["seq"] for event in events]
        floor = decode_token(problem["oldest_cursor"])
        assert (problem["code"], problem["close_code"]) == ("runtime.cursor_expired", 4410)
        # Where it stood: after its last event, on a Worker's stream perhaps after more of others.
        stood = decode_token(problem["requested_cursor"]).seq
        assert stood == seqs[-1] or (worker_id is not None and stood > seqs[-1])
        assert problem["lost"]["exact"] is True
        if worker_id is None:
            # Everything up to where it stood, without a jump, and from there to the floor it is lost.
            assert seqs == list(range(seqs[0], seqs[-1] + 1))
            assert problem["lost"]["events"] == floor.seq - seqs[-1]
        else:
            numbers = [event["worker_seq"] for event in events]
            assert numbers == list(range(1, len(numbers) + 1))
            async with served.subscribed("a", cursor=problem["oldest_cursor"]) as again:
                await again.snapshot()
                first_kept = (await again.event())["worker_seq"]
            assert problem["lost"]["events"] == first_kept - 1 - numbers[-1]


async def test_a_slow_peer_of_a_quiet_worker_is_not_told_of_what_others_lost(tmp_path: Path):
    async with serving(tmp_path, KEPT) as served:
        quiet, noisy = await served.worker("quiet"), await served.worker("noisy")
        await served.shown(emit(quiet, 2000, size=1000)[-1])
        with await RawPeer.connect(
            served.server.url, f"{stream_path('quiet')}?from=oldest", receive_buffer=4096
        ) as peer:
            await peer.json()
            await wait_until_async(lambda: is_stuck(served))
            # It gets to read before its own events are gone, and others' are.
            numbers = [(await peer.json())["envelope"]["worker_seq"] for _ in range(2000)]
            for _ in range(10):
                await served.shown(emit(noisy, 1000, size=1000)[-1])
            quiet.emit(TextDelta(text="at last"))
            numbers.append((await peer.json())["envelope"]["worker_seq"])
        assert numbers == list(range(1, 2002))


async def test_a_slow_but_reading_peer_is_never_cut_and_gets_everything(tmp_path: Path):
    """Its whole time is many times the stall limit; it never lets that long pass without a byte."""
    stall_seconds = 0.4
    async with serving(tmp_path, stall_seconds=stall_seconds) as served:
        worker = await served.worker("a")
        last = emit(worker, 3000, size=1000)[-1]
        await served.shown(last)
        loop = asyncio.get_running_loop()
        with await RawPeer.connect(served.server.url, f"{stream_path('a')}?from=oldest", receive_buffer=4096) as peer:
            begun = next_read = loop.time()
            received = b""
            while loop.time() - begun < 5 * stall_seconds:
                next_read += stall_seconds / 8
                await wait_until_async(lambda at=next_read: loop.time() >= at)  # type: ignore[misc]
                received += await loop.sock_recv(peer.socket, 4096)
            assert len(received) < 100 * 4096, "as slow as meant"
            peer._unread += received
            assert (await peer.json())["envelope"]["event_id"].startswith("snapshot:")
            numbers = [(await peer.json())["envelope"]["worker_seq"] for _ in range(3000)]
        assert numbers == list(range(1, 3001))


async def test_a_slow_link_gets_smaller_batches_and_larger_ones_again_when_it_is_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A peer that takes about 200 KB a second, in small bites, with a small buffer; then all it can get."""
    limits: list[int] = []
    wrote = DialectV1.wrote

    def take_note(dialect: DialectV1, sent_bytes: int, seconds: float) -> None:
        wrote(dialect, sent_bytes, seconds)
        limits.append(dialect._batch_bytes)

    monkeypatch.setattr(DialectV1, "wrote", take_note)
    async with serving(tmp_path, KEPT) as served:
        worker = await served.worker("a")
        await served.shown(emit(worker, 6000, size=400)[-1])
        target = f"{stream_path('a')}?from=oldest&batch=1"
        with await RawPeer.connect(served.server.url, target, receive_buffer=4096, subprotocol="yoi.events.v1") as peer:
            hello = await peer.json()
            loop = asyncio.get_running_loop()
            # Slow, until the server has seen it: what the kernels hold has to pass before that.
            while min(limits, default=MAX_FRAME_BYTES) > MAX_FRAME_BYTES / 8:
                began = loop.time()
                peer._unread += await loop.sock_recv(peer.socket, 4096)
                await wait_until_async(lambda began=began: loop.time() >= began + 0.02)  # type: ignore[misc]
                assert len(peer._unread) < 2 << 20, "the server never noticed"
            smallest = limits[-1]
            numbers: list[int] = []
            sizes: list[int] = []
            while len(numbers) < 6000:
                opcode, payload = await peer.frame()
                assert opcode == 1
                frame = json.loads(payload)
                frames = frame["frames"] if frame["kind"] == "batch" else [frame]
                sizes.append(len(payload))
                numbers += [each["envelope"]["worker_seq"] for each in frames if each["kind"] == "event"]
        assert numbers == list(range(1, 6001))
        assert max(sizes) <= hello["max_frame_bytes"]
        # Large at first, small once the link was seen to be slow, large again at last.
        slow = min(range(len(sizes)), key=lambda index: sizes[index] if index < len(sizes) - 1 else MAX_FRAME_BYTES)
        assert sizes[slow] <= smallest * 1.1 < max(sizes[:slow]) / 2
        assert max(sizes[slow:]) > 2 * sizes[slow]
        assert smallest >= 4 << 10


async def test_stalled_peers_cost_the_others_nothing_and_the_server_no_queue(
    tmp_path: Path, expect_log: ExpectLog, monkeypatch: pytest.MonkeyPatch
):
    """Ten peers that take nothing while a writer pours and one peer reads: its stream is whole and on time."""
    expect_log("yoi_runtime.server", "4508")
    monkeypatch.setattr("yoi_runtime.server.websocket_outlet._GRACE_SECONDS", 1.0)
    async with serving(tmp_path, stall_seconds=0.5) as served:
        worker = await served.worker("a")
        await served.shown(emit(worker, 4000, size=1000)[-1])
        peers = [
            await RawPeer.connect(served.server.url, f"{EVERYTHING}?from=oldest", receive_buffer=4096)
            for _ in range(10)
        ]
        try:
            await wait_until_async(lambda: is_stuck(served, 10))
            async with served.subscribed("a") as well:
                await well.snapshot()
                # A peer is cut after its time and the grace; all the while the log goes on.
                waiting = asyncio.ensure_future(wait_until_async(lambda: served.server.subscribers == 1, 20))
                sent = 0
                while not waiting.done():
                    emit(worker, 20, size=1000)
                    sent += 20
                    assert len(await well.events(20)) == 20
                    held = [len(socket._outlet._stream._write_buffer or b"") for socket in served.server._state.sockets]
                    assert max(held, default=0) < 300 << 10
                await waiting
            for peer in peers:
                # What was still on its way comes; then word if it fits, and an end in any case.
                frames = []
                try:
                    while True:
                        frames.append(await peer.frame())
                except (EOFError, ConnectionError):
                    assert 0 < len(frames) < 4000 + sent
        finally:
            for peer in peers:
                peer.close()


async def test_a_peer_that_was_cut_off_comes_back_with_its_cursor_and_misses_nothing(
    tmp_path: Path, expect_log: ExpectLog, monkeypatch: pytest.MonkeyPatch
):
    expect_log("yoi_runtime.server", "4508")
    monkeypatch.setattr("yoi_runtime.server.websocket_outlet._GRACE_SECONDS", 0.2)
    async with serving(tmp_path, stall_seconds=0.2) as served:
        worker = await served.worker("a")
        await served.shown(emit(worker, 4000, size=1000)[-1])
        with await RawPeer.connect(served.server.url, f"{stream_path('a')}?from=oldest", receive_buffer=4096) as peer:
            await peer.json()
            await wait_until_async(lambda: served.server.subscribers == 0, 20)
            events = []
            try:
                while (frame := await peer.json())["kind"] == "event":
                    events.append(frame["envelope"])
            except (EOFError, ConnectionError):
                pass
        assert 0 < len(events) < 4000
        async with served.subscribed("a", cursor=events[-1]["cursor"]) as again:
            await again.snapshot()
            numbers = [event["worker_seq"] for event in await again.events(4000 - len(events))]
        assert [event["worker_seq"] for event in events] + numbers == list(range(1, 4001))

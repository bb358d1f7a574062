from __future__ import annotations

import asyncio

import pytest

from tests.conftest import ExpectLog
from tests.faults.clocks import ManualClock
from tests.support.deadline import wait_until_async
from yoi_runtime.server.keepalive import PING_SECONDS, PONG_SECONDS, Keepalive


class FakePeer:
    """A socket that writes down what is done to it."""

    def __init__(self) -> None:
        self.pings = 0
        self.dropped = 0
        self.writing = False

    def is_writing(self) -> bool:
        return self.writing

    def send_ping(self) -> None:
        self.pings += 1

    def drop(self) -> None:
        self.dropped += 1


class Watched:
    """A keepalive with a clock that the test moves, and peers under watch."""

    def __init__(self, peers: int = 1) -> None:
        self.clock = ManualClock()
        self.keepalive = Keepalive(self.clock.monotonic)
        self.peers = [FakePeer() for _ in range(peers)]
        for peer in self.peers:
            self.keepalive.watch(peer)

    def pass_seconds(self, seconds: float) -> None:
        """Let time go by with a tick every second, as ``run`` has it."""
        for _ in range(int(seconds)):
            self.clock.pass_seconds(1)
            self.keepalive.tick()


def test_the_times_are_those_of_the_protocol():
    assert (PING_SECONDS, PONG_SECONDS) == (20, 10)


def test_a_quiet_peer_is_pinged_after_the_interval_and_not_before():
    watched = Watched()
    watched.pass_seconds(PING_SECONDS - 1)
    assert watched.peers[0].pings == 0
    watched.pass_seconds(1)
    assert watched.peers[0].pings == 1


def test_a_peer_that_answers_stays_and_is_pinged_once_an_interval():
    watched = Watched()
    for _ in range(10):
        watched.pass_seconds(PING_SECONDS)
        watched.keepalive.heard(watched.peers[0])
    assert (watched.peers[0].pings, watched.peers[0].dropped) == (10, 0)


def test_a_half_open_peer_is_dropped_once_after_its_time_to_answer():
    watched = Watched(2)
    mute, well = watched.peers
    watched.pass_seconds(PING_SECONDS)
    watched.keepalive.heard(well)
    watched.pass_seconds(PONG_SECONDS - 1)
    assert mute.dropped == 0
    watched.pass_seconds(1)
    assert (mute.dropped, well.dropped) == (1, 0)
    watched.pass_seconds(PING_SECONDS * 3)
    assert (mute.dropped, mute.pings) == (1, 1), "a dropped peer is not watched any more"


def test_no_ping_goes_out_while_a_write_is_pending():
    watched = Watched()
    watched.peers[0].writing = True
    watched.pass_seconds(PING_SECONDS * 10)
    assert watched.peers[0].pings == 0
    watched.peers[0].writing = False
    watched.pass_seconds(PING_SECONDS - 1)
    assert watched.peers[0].pings == 0, "the quiet time begins with the end of the write"
    watched.pass_seconds(1)
    assert watched.peers[0].pings == 1


def test_a_write_that_stalls_after_the_ping_does_not_count_as_silence():
    watched = Watched()
    watched.pass_seconds(PING_SECONDS)
    watched.peers[0].writing = True
    watched.pass_seconds(PONG_SECONDS * 3)
    assert watched.peers[0].dropped == 0


def test_a_forgotten_peer_is_left_alone():
    watched = Watched()
    watched.keepalive.forget(watched.peers[0])
    watched.keepalive.forget(watched.peers[0])
    watched.keepalive.heard(watched.peers[0])
    watched.pass_seconds(PING_SECONDS + PONG_SECONDS + 1)
    assert (watched.peers[0].pings, watched.peers[0].dropped) == (0, 0)


def test_a_pong_that_nobody_asked_for_counts_as_a_sign_of_life():
    watched = Watched()
    watched.pass_seconds(PING_SECONDS - 1)
    watched.keepalive.heard(watched.peers[0])
    watched.pass_seconds(PING_SECONDS - 1)
    assert watched.peers[0].pings == 0


def test_peers_that_leave_during_a_tick_disturb_nobody():
    watched = Watched(3)

    def leave_with_a_friend() -> None:
        for peer in watched.peers[:2]:
            watched.keepalive.forget(peer)

    watched.peers[0].send_ping = leave_with_a_friend  # type: ignore[method-assign]
    watched.pass_seconds(PING_SECONDS)
    assert watched.peers[2].pings == 1


async def test_run_ticks_until_it_is_cancelled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yoi_runtime.server.keepalive._TICK_SECONDS", 0.01)
    loop = asyncio.get_running_loop()
    peer = FakePeer()
    keepalive = Keepalive(loop.time, 0, 0)
    keepalive.watch(peer)
    running = loop.create_task(keepalive.run())
    await wait_until_async(lambda: peer.dropped)
    running.cancel()
    assert await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()


async def test_running_looks_at_every_socket_in_turn_and_at_a_part_of_them_at_a_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yoi_runtime.server.keepalive._TICK_SECONDS", 0.01)
    clock = ManualClock()
    keepalive = Keepalive(clock.monotonic)
    peers = [FakePeer() for _ in range(200)]
    for peer in peers:
        keepalive.watch(peer)
    clock.pass_seconds(PING_SECONDS)
    running = asyncio.ensure_future(keepalive.run())
    await wait_until_async(lambda: any(peer.pings for peer in peers))
    first = sum(peer.pings for peer in peers)
    assert 0 < first < 150, "a part of them"
    await wait_until_async(lambda: all(peer.pings for peer in peers))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert {peer.pings for peer in peers} == {1}


def test_one_peer_at_which_it_fails_costs_nobody_else_his_pings(expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "the keepalive failed at a peer, and goes on")
    watched = Watched(50)
    sick = watched.peers[7]

    def fail() -> None:
        sick.pings += 1
        raise RuntimeError("a bug of ours")

    sick.send_ping = fail  # type: ignore[method-assign]
    for interval in (1, 2):
        watched.pass_seconds(PING_SECONDS)
        assert [peer.pings for peer in watched.peers if peer is not sick] == [interval] * 49
        for peer in watched.peers:
            if peer is not sick:
                watched.keepalive.heard(peer)
    assert (sick.pings, sick.dropped) == (1, 1), "unheard, it is dropped like a half-open one"

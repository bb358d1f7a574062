"""Limits by token and by Worker, of real programs over real sockets: typed, counted, and free again once somebody has gone."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.hostile import DEADLINE_SECONDS, HANDSHAKE, Target, target_in
from tests.server.scraping import Scraped
from tests.support.deadline import wait_until
from yoi_runtime.server.token_file import add_token

EVERYTHING, OF_A, OF_B = "/v1/events/ws", "/v1/workers/a/events/ws", "/v1/workers/b/events/ws"
TOKEN, WORKER = "subscribers_per_token", "subscribers_per_worker"


def scraped(target: Target) -> Scraped:
    """Return what the server says of itself; a scrape is no subscriber."""
    return Scraped(target.ask("/metrics", target.bearer).body.decode())


def subscribers(target: Target, **labels: str) -> float:
    return scraped(target).total("yoi_subscribers", **labels)


def is_let_in(target: Target, path: str, token: str) -> bool:
    """Ask for a stream and leave at once."""
    return target.ask(path, [*HANDSHAKE, ("Authorization", f"Bearer {token}")]).status == 101


def refused_as(target: Target, path: str, token: str) -> str:
    """Ask for a stream that there is no place for, and return by which limit."""
    before = scraped(target)
    answer = target.ask(path, [*HANDSHAKE, ("Authorization", f"Bearer {token}")])
    assert (answer.status, answer.code) == (429, "runtime.too_many_subscribers"), answer
    assert int(answer.headers["retry-after"]) >= 1
    after = scraped(target)
    reasons = [
        reason
        for reason in ("subscribers", TOKEN, WORKER)
        if after.total("yoi_refused_total", reason=reason) > before.total("yoi_refused_total", reason=reason)
    ]
    assert len(reasons) == 1, reasons
    code = "too_many_subscribers"
    grown = [found.total("yoi_requests_refused_total", code=code) for found in (before, after)]
    assert grown[1] == grown[0] + 1
    return reasons[0]


@contextmanager
def limited(directory: Path, *options: str) -> Iterator[tuple[Target, str]]:
    """Serve, with one more token of everything beside the target's own."""
    with target_in(directory, *options) as target:
        other, _ = add_token(target.token_file, label="other", workers=[], expires_at=None)
        wait_until(lambda: is_let_in(target, EVERYTHING, other), DEADLINE_SECONDS, "the new token is known")
        wait_until(lambda: subscribers(target) == 0, DEADLINE_SECONDS, "nobody is here")
        yield target, other


def leave(connection: socket.socket) -> None:
    connection.close()


@pytest.mark.parametrize("go", [leave, Target.reset], ids=["a close", "a reset"])
def test_a_token_has_so_many_places_and_gets_them_back(tmp_path: Path, go: Callable[[socket.socket], None]):
    with limited(tmp_path, "--max-subscribers-per-token", "2") as (target, other):
        for _ in range(3):
            one, two = target.subscribed(), target.subscribed(OF_A)
            assert subscribers(target) == 2
            for path in (EVERYTHING, OF_A, OF_B):
                assert refused_as(target, path, target.token) == TOKEN
            assert is_let_in(target, OF_A, other), "another token has places of its own"
            go(one)
            wait_until(lambda: is_let_in(target, OF_B, target.token), DEADLINE_SECONDS, "a place is free")
            go(two)
            wait_until(lambda: subscribers(target) == 0, DEADLINE_SECONDS, "all are gone")


@pytest.mark.parametrize("go", [leave, Target.reset], ids=["a close", "a reset"])
def test_a_worker_has_so_many_places_whoever_takes_them(tmp_path: Path, go: Callable[[socket.socket], None]):
    with limited(tmp_path, "--max-subscribers-per-worker", "1") as (target, other):
        for _ in range(3):
            one = target.subscribed(OF_A)
            for token in (target.token, other):
                assert refused_as(target, OF_A, token) == WORKER
                assert is_let_in(target, OF_B, token)
                assert is_let_in(target, EVERYTHING, token), "who follows everything takes no Worker's place"
            go(one)
            wait_until(lambda: is_let_in(target, OF_A, other), DEADLINE_SECONDS, "the place is free")
            wait_until(lambda: subscribers(target) == 0, DEADLINE_SECONDS, "all are gone")


def test_places_are_taken_by_streams_and_not_by_what_only_asks(tmp_path: Path):
    """Neither a request that fails before the upgrade nor one whose cursor is refused after it keeps a place."""
    with limited(tmp_path, "--max-subscribers-per-token", "1", "--max-subscribers-per-worker", "1") as (target, _):
        bearer = target.bearer
        for _ in range(5):
            assert target.ask(OF_A, bearer).status == 426
            assert target.ask(f"{OF_A}?from=nowhere", [*HANDSHAKE, *bearer]).status == 400
            assert target.ask("/v1/workers/nobody/events/ws", [*HANDSHAKE, *bearer]).status == 404
            wait_until(
                lambda: target.ask(f"{OF_A}?cursor=nonsense", [*HANDSHAKE, *bearer]).status == 101, DEADLINE_SECONDS
            )
        wait_until(lambda: is_let_in(target, OF_A, target.token), DEADLINE_SECONDS, "the place is free")


@pytest.mark.parametrize("go", [leave, Target.reset], ids=["a close", "a reset"])
def test_with_two_processes_each_has_its_own_places(tmp_path: Path, go: Callable[[socket.socket], None]):
    """Which of them gets a connection is the kernel's affair: asked again and again, both fill up, and no more is let in."""
    options = ("--processes", "2", "--max-subscribers-per-worker", "1", "--max-subscribers-per-token", "3")
    with limited(tmp_path, *options) as (target, other), ExitStack() as open_streams:
        wait_until(
            lambda: {sample.labels["process"] for sample in scraped(target).samples} == {"0", "1"}, DEADLINE_SECONDS
        )
        streams = list[socket.socket]()

        def are_full() -> bool:
            """Take a place if there is one for us."""
            try:
                streams.append(target.subscribed(OF_A))
            except AssertionError:  # refused
                pass
            else:
                open_streams.callback(streams[-1].close)
            return len(streams) >= 2

        wait_until(are_full, DEADLINE_SECONDS, "a place in each process")
        assert [subscribers(target, process=number) for number in ("0", "1")] == [1, 1]
        for _ in range(10):
            assert refused_as(target, OF_A, other) == WORKER
        go(streams[0])
        wait_until(lambda: is_let_in(target, OF_A, other), DEADLINE_SECONDS, "one place is free")
        go(streams[1])
        wait_until(lambda: subscribers(target) == 0, DEADLINE_SECONDS, "all are gone")

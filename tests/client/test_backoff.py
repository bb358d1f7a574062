from __future__ import annotations

import random

import pytest

from yoi_runtime.client.backoff import HEALTHY_SECONDS, Backoff


def largest() -> Backoff:
    return Backoff(lambda: 1.0)


def test_the_ceiling_doubles_from_a_quarter_second_to_half_a_minute():
    backoff = largest()
    delays = [backoff.next_delay_seconds() for _ in range(9)]
    assert delays == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_the_jitter_is_full():
    numbers = random.Random(1)
    backoff = Backoff(numbers.random)
    for _ in range(7):
        backoff.next_delay_seconds()
    delays = [backoff.next_delay_seconds() for _ in range(1000)]
    assert min(delays) < 1
    assert 29 < max(delays) <= 30


def test_it_waits_as_long_as_the_peer_asks_with_the_jitter_on_top():
    backoff = largest()
    assert backoff.next_delay_seconds(retry_after_ms=5000) == 5.25
    assert backoff.next_delay_seconds(retry_after_ms=1) == pytest.approx(0.501)
    assert backoff.next_delay_seconds(retry_after_ms=0) == 1


def test_a_peer_cannot_send_it_to_sleep_for_a_year():
    assert largest().next_delay_seconds(retry_after_ms=365 * 24 * 3600 * 1000) <= 301


def test_tries_are_counted():
    backoff = largest()
    assert backoff.tries == 0
    backoff.next_delay_seconds()
    backoff.next_delay_seconds()
    assert backoff.tries == 2


def test_only_a_connection_that_lived_long_enough_begins_anew():
    backoff = largest()
    for _ in range(4):
        backoff.next_delay_seconds()
    backoff.connection_ended(HEALTHY_SECONDS - 0.1)
    assert (backoff.tries, backoff.next_delay_seconds()) == (4, 4)
    backoff.connection_ended(HEALTHY_SECONDS)
    assert (backoff.tries, backoff.next_delay_seconds()) == (0, 0.25)


def test_reset_begins_anew():
    backoff = largest()
    backoff.next_delay_seconds()
    backoff.reset()
    assert (backoff.tries, backoff.next_delay_seconds()) == (0, 0.25)

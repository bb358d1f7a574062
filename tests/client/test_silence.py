from __future__ import annotations

from yoi_runtime.client.silence import HEARTBEATS_UNTIL_GONE, TICKS_PER_HEARTBEAT, SilenceCount, SilenceVerdict

FINE, STALLED, GONE = SilenceVerdict.FINE, SilenceVerdict.STALLED, SilenceVerdict.GONE


def ticks(count: SilenceCount, number: int, *, listening: bool = True) -> list[SilenceVerdict]:
    return [count.tick(listening=listening) for _ in range(number)]


def test_three_heartbeats_without_a_word_are_too_many_and_the_second_is_a_warning():
    assert HEARTBEATS_UNTIL_GONE * TICKS_PER_HEARTBEAT == 6
    assert ticks(SilenceCount(), 7) == [FINE, FINE, STALLED, FINE, FINE, GONE, GONE]


def test_whatever_is_heard_begins_the_count_anew():
    count = SilenceCount()
    for _ in range(5):
        assert GONE not in ticks(count, 5)
        count.heard()


def test_while_nobody_listens_the_peer_is_not_to_blame():
    count = SilenceCount()
    ticks(count, 5)
    assert ticks(count, 100, listening=False) == [FINE] * 100
    assert ticks(count, 6) == [FINE, FINE, STALLED, FINE, FINE, GONE]

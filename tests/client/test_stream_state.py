from __future__ import annotations

from yoi_runtime.client.stream_state import StateDetail, StreamState


def test_states_are_words():
    assert [str(state) for state in StreamState] == [
        "connecting",
        "replaying",
        "live",
        "stalled",
        "waiting",
        "ended",
    ]


def test_a_detail_says_nothing_unless_told():
    assert StateDetail() == StateDetail(tries=0, delay_seconds=None, reason="", code="")

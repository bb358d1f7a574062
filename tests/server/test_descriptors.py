from __future__ import annotations

import socket

import pytest

from tests.conftest import ExpectLog
from yoi_runtime.errors import DescriptorLimitError
from yoi_runtime.server.descriptors import connection_room, open_descriptors, wanted_descriptors
from yoi_runtime.server.limits import USUAL_SUBSCRIBERS, Limits


def test_what_is_open_is_counted():
    before = open_descriptors()
    with socket.socket(), socket.socket():
        assert open_descriptors() == before + 2
    assert open_descriptors() == before


def test_with_plenty_the_limits_are_what_they_are():
    limits = Limits()
    room = connection_room(limits, 100_000, 30)
    assert room.limits.subscribers == USUAL_SUBSCRIBERS
    assert room.limits.unfinished == limits.unfinished
    assert room.connections == 100_000 - 30 - limits.reserve_descriptors


def test_with_few_the_usual_number_is_lowered_and_told(expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "only 400 files and sockets")
    room = connection_room(Limits(), 400, 30)
    assert room.limits.subscribers is not None
    assert 0 < room.limits.subscribers < USUAL_SUBSCRIBERS
    # Whoever is refused needs a descriptor to be told so.
    assert room.limits.subscribers + 2 * room.limits.unfinished <= room.connections == 400 - 30 - 128


@pytest.mark.parametrize("allowed", range(48, 80))
def test_with_very_few_they_are_shared_with_the_log(allowed: int, expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "files and sockets")
    room = connection_room(Limits(), allowed, 24)
    assert room.limits.subscribers is not None
    assert room.limits.subscribers >= 1
    assert room.connections <= (allowed - 24 + 1) // 2
    assert room.limits.subscribers + 2 * room.limits.unfinished <= room.connections


def test_with_none_left_there_is_no_serving():
    with pytest.raises(DescriptorLimitError) as raised:
        connection_room(Limits(), 32, 24)
    assert raised.value.limit == 32
    assert raised.value.wanted > 32


def test_a_number_that_was_asked_for_is_kept_or_refused():
    assert connection_room(Limits(subscribers=5), 1000, 30).limits.subscribers == 5
    with pytest.raises(DescriptorLimitError, match="raise the limit"):
        connection_room(Limits(subscribers=5000), 1000, 30)
    with pytest.raises(DescriptorLimitError):
        connection_room(Limits(subscribers=5), 64, 30)
    limits = Limits(subscribers=5000)
    assert connection_room(limits, wanted_descriptors(limits, 30), 30).limits.subscribers == 5000

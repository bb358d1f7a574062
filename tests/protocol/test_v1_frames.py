"""The frames of v1, as exact bytes."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from yoi_runtime.protocol.v1_frames import (
    BATCH_JOINT,
    Behind,
    Bookmark,
    CaughtUp,
    End,
    Filters,
    Hello,
    RetentionRule,
    Scope,
    batch_of_lines,
)


def test_hello_says_where_the_stream_starts_and_of_what():
    hello = Hello(
        runtime_id="rt-1",
        log_id="1",
        scope=Scope(worker_id="a"),
        filters=Filters(events=("status", "text_done")),
        resumed_from="c0",
        oldest_cursor="c1",
        latest_cursor="c2",
        durable_cursor="c3",
        heartbeat_ms=15_000,
        max_frame_bytes=524_288,
        retention=RetentionRule(retain_bytes=1, retain_age_seconds=2.5, retain_segments=None),
    )
    assert hello.frame() == (
        b'{"kind":"hello","protocol":"yoi.events.v1","runtime_id":"rt-1","log_id":"1","scope":{"worker_id":"a"},'
        b'"filters":{"events":["status","text_done"]},"resumed_from":"c0","oldest_cursor":"c1","latest_cursor":"c2",'
        b'"durable_cursor":"c3","heartbeat_ms":15000,"max_frame_bytes":524288,'
        b'"retention":{"retain_bytes":1,"retain_age_seconds":2.5,"retain_segments":null}}'
    )


def test_caught_up_says_how_many_events_came():
    assert CaughtUp(cursor="c", replayed=7).frame() == b'{"kind":"caught_up","cursor":"c","replayed":7}'


def test_a_bookmark_says_what_is_behind_it_even_when_the_workers_number_is_unknown():
    mark = Bookmark(
        cursor="c",
        durable_cursor="d",
        worker_seq=None,
        behind=Behind(events=1, bytes=2),
        time="2026-11-22T00:00:00.000000Z",
    )
    assert mark.frame() == (
        b'{"kind":"bookmark","cursor":"c","durable_cursor":"d","worker_seq":null,'
        b'"behind":{"events":1,"bytes":2},"time":"2026-11-22T00:00:00.000000Z"}'
    )


def test_end_carries_the_outcome():
    assert End(worker_id="a", outcome="crashed", cursor="c").frame() == (
        b'{"kind":"end","worker_id":"a","outcome":"crashed","cursor":"c"}'
    )


def test_nothing_but_the_closed_set_of_outcomes_is_sent():
    with pytest.raises(ValidationError):
        End.model_validate({"worker_id": "a", "outcome": "vanished", "cursor": "c"})


@pytest.mark.parametrize("lines", [[b'{"a":1}'], [b'{"a":1}', '{"b":"\u2028,"}'.encode(), b'{"c":[]}']])
def test_a_batch_is_an_object_of_the_frames_and_can_be_split_without_parsing(lines: list[bytes]):
    batch = batch_of_lines(b"\n".join(lines))
    assert json.loads(batch) == {"kind": "batch", "frames": [json.loads(line) for line in lines]}
    inside = batch.removeprefix(b'{"kind":"batch","frames":[').removesuffix(b"]}")
    assert inside.split(BATCH_JOINT) == lines

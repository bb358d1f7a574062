from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from yoi_runtime.protocol.transcript_items import BLOCK_KINDS, ITEM_KINDS, InProgress, TranscriptAnswer, TranscriptItem


def test_an_item_leaves_out_what_is_not_said_of_it_and_keeps_nulls_in_its_data():
    item = TranscriptItem(index=3, kind="system_item", event_id="e", worker_seq=5, time="t", data={"item": {"a": None}})
    assert item.model_dump_json() == (
        '{"index":3,"kind":"system_item","event_id":"e","worker_seq":5,"time":"t","data":{"item":{"a":null}}}'
    )


def test_a_block_says_when_it_began_and_whether_it_was_finished():
    item = TranscriptItem(
        index=3,
        kind="text",
        event_id="e",
        worker_seq=5,
        time="t",
        started_at="s",
        finished=False,
        omitted_characters=7,
        data={"text": "a"},
    )
    assert item.model_dump_json() == (
        '{"index":3,"kind":"text","event_id":"e","worker_seq":5,"time":"t","started_at":"s","finished":false,'
        '"omitted_characters":7,"data":{"text":"a"}}'
    )
    assert set(BLOCK_KINDS) < set(ITEM_KINDS)


def test_what_a_newer_runtime_adds_is_passed_over():
    block = {"kind": "text", "event_id": "e", "worker_seq": 1, "time": "t", "started_at": "t", "data": {}, "new": 1}
    answer = {
        "worker_id": "a",
        "start": 0,
        "limit": 1,
        "thinking": False,
        "total_items": 0,
        "oldest_start": 0,
        "items": [],
        "next_start": 0,
        "in_progress": [block],
        "worker_seq": 1,
        "as_of_cursor": "wo1",
        "new": 2,
    }
    read = TranscriptAnswer.model_validate_json(json.dumps(answer))
    assert read.in_progress == (InProgress(kind="text", event_id="e", worker_seq=1, time="t", started_at="t", data={}),)


@pytest.mark.parametrize("change", [{"index": -1}, {"kind": "status"}, {"data": None}, {"worker_seq": "x"}])
def test_nothing_else_is_an_item(change: dict[str, object]):
    fields: dict[str, object] = {"index": 0, "kind": "error", "event_id": "e", "worker_seq": 1, "time": "t", "data": {}}
    TranscriptItem.model_validate(fields)
    with pytest.raises(ValidationError):
        TranscriptItem.model_validate({**fields, **change})

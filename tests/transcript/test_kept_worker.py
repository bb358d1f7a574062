from __future__ import annotations

import json

from yoi_runtime.protocol.transcript_fold import TranscriptFold
from yoi_runtime.protocol.transcript_items import TranscriptItem
from yoi_runtime.transcript.database import row_crc
from yoi_runtime.transcript.kept_worker import ItemRow, KeptWorker


def item(index: int, kind: str = "text", text: str = "日本") -> TranscriptItem:
    fields = {"index": index, "kind": kind, "event_id": "e", "worker_seq": 1, "time": "t", "data": {"text": text}}
    return TranscriptItem.model_validate(fields)


def test_an_item_is_stored_as_it_is_answered():
    row = ItemRow.of(7, item(3))
    assert json.loads(row.body) == item(3).model_dump()
    assert (row.worker, row.number, row.thinking, row.size) == (7, 3, False, len(row.body))
    assert row.crc == row_crc(7, 3, row.body)
    assert ItemRow.of(7, item(3, "thinking")).thinking


def test_what_is_new_is_counted():
    kept = KeptWorker(1, "a", TranscriptFold(5), oldest_index=5)
    added = kept.add([item(8), item(9)])
    assert (kept.oldest_index, kept.items, kept.size) == (8, 2, added)
    kept.add([item(10)])
    assert (kept.oldest_index, kept.items, [row.number for row in kept.new_items]) == (8, 3, [8, 9, 10])


def test_a_row_is_sound_only_as_it_was_made():
    row = KeptWorker(1, "a", TranscriptFold(5, 9, "wo1"), 2, 3, 400).row()
    assert row.is_sound
    assert row[:-1] == (1, "a", 9, "wo1", 5, 2, 3, 400)
    assert not row._replace(next_index=4).is_sound

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from yoi_log.filler import LOST, LostEvent, fill, share_out, smallest_sizes

from yoi_runtime.events.envelope import decode_record, parse_head, payload_bytes
from yoi_runtime.events.v0_payload import wrap_for_v0
from yoi_runtime.segment_log.cursor import decode_token, worker_tag
from yoi_runtime.segment_log.record import RecordEncoder, RecordFormat, scan_records

NONCE = 0x0123456789ABCDEF
LOG_ID = "ab" * 8
TIME = "2026-11-22T17:37:23.123456Z"
EVENTS = [LostEvent(8, "coder", 3, TIME), LostEvent(9, None, 0, TIME), LostEvent(10, "coder", 4, TIME)]


def filled(sizes: list[int], start: int = 500) -> bytes:
    return fill(LOG_ID, 2, NONCE, start, EVENTS, sizes)


def test_fillers_are_records_of_the_sizes_that_were_asked_for():
    smallest = smallest_sizes(EVENTS)
    for spare in ([0, 0, 0], [1, 0, 7], [4000, 17, 1]):
        sizes = [one + more for one, more in zip(smallest, spare, strict=True)]
        data = filled(sizes)
        assert scan_records(data, RecordFormat(NONCE), 7) == (sum(sizes), 3, None)
        lines = data.split(b"\n")[:-1]
        assert [len(line) + 1 for line in lines] == sizes
        end = 500
        for line, event in zip(lines, EVENTS, strict=True):
            end += len(line) + 1
            envelope = decode_record(line)
            cursor = decode_token(envelope.cursor)
            assert (cursor.offset, cursor.seq, cursor.segment) == (end, event.seq, 2)
            assert (envelope.worker_id, envelope.worker_seq or 0) == (event.worker_id, event.worker_seq)
            assert envelope.payload.event_name == LOST


def test_everybody_who_handles_records_understands_a_filler():
    line = filled([one + 30 for one in smallest_sizes(EVENTS)]).split(b"\n")[0]
    head = parse_head(line)
    assert head is not None
    assert json.loads(payload_bytes(line, head)) == {"event": LOST}
    item = json.loads(wrap_for_v0(line))["envelope"]["payload"]["data"]["item"]
    assert (item["kind"], item["event"], item["data"]) == ("yoi.event", LOST, None)


def test_the_filler_of_an_event_fits_where_the_shortest_event_of_the_vocabulary_stood():
    body = '"worker_id":"coder","worker_seq":3,"time":"%s","payload":{"event":"shutdown"}' % TIME
    original = RecordEncoder(LOG_ID, 2, NONCE).encode(500, 8, body, b"", worker_tag("coder"), 3)[1]
    assert smallest_sizes(EVENTS[:1])[0] <= len(original)


@pytest.mark.parametrize("total", [900, 901, 5000, 700_000, 3 * (256 << 10)])
def test_sizes_add_up_to_what_there_is_and_none_is_larger_than_a_record_may_be(total: int):
    sizes = share_out([280, 260, 280], total)
    assert sizes is not None
    assert sum(sizes) == total
    assert all(280 - 20 <= size <= 256 << 10 for size in sizes)
    assert max(abs(a - b) for a, b in pairwise(sizes)) <= 40


def test_wanted_sizes_are_taken_when_they_are_enough():
    assert share_out([280, 260, 280], 900, [300, 310, 290]) == [300, 310, 290]
    assert share_out([280, 260, 280], 900, [200, 400, 300]) != [200, 400, 300]


def test_what_has_no_room_is_refused():
    assert share_out([280, 260], 539) is None
    assert share_out([280], (256 << 10) + 1) is None

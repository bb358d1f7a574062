from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.events.examples import FULL, MINIMAL, TOKEN, Example, record
from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events import (
    HEAD_PATTERN,
    RecordHead,
    SystemItem,
    TextDelta,
    UnknownEvent,
    WorkerCreated,
    decode_record,
    encode_payload,
    parse_head,
    payload_bytes,
)
from yoi_runtime.events.vocabulary import EVENT_CLASSES

WORKER_IDS = st.none() | st.text(
    alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=64
)
U64 = st.integers(min_value=0, max_value=2**64 - 1)
# Texts made to look like the beginning, the middle and the end of a record.
LOOKALIKES = st.sampled_from(
    [
        record(b'{"event":"shutdown"}').decode(),
        record(b'{"event":"shutdown"}').decode() + "\n",
        '"worker_id":"x"',
        '","worker_id":"x","worker_seq":1,',
        ',"payload":{"event":"shutdown"}},"crc":"00000000"}',
        '},"crc":"0a1b2c3d"}',
        "}}",
        "\\",
        '"',
        "\u2028\u0085\u2029\r\n\x0b\x0c\x1c",
        "世界\x00\x7f",
    ]
)
TEXTS = st.lists(LOOKALIKES | st.text(max_size=20), max_size=4).map("".join)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["worker_id", "kind", "envelope", "payload", "event", "crc"]) | TEXTS, inner)
    ),
    max_leaves=8,
) | st.just(json.loads(record(b'{"event":"shutdown"}', worker_id="x")))
PAYLOADS = (
    st.builds(TextDelta, text=TEXTS)
    | st.builds(SystemItem, item=JSON_VALUES)
    | st.builds(UnknownEvent, name=TEXTS.filter(lambda name: name not in EVENT_CLASSES))
    | st.builds(UnknownEvent, name=TEXTS.filter(lambda name: name not in EVENT_CLASSES), data=JSON_VALUES)
    | st.just(WorkerCreated(worker_id="a"))
).map(encode_payload)
RECORDS = st.builds(record, PAYLOADS, worker_id=WORKER_IDS, worker_seq=st.none() | U64, seq=U64)


def expected_head(line: bytes) -> tuple[object, ...]:
    envelope = json.loads(line)["envelope"]
    return (
        envelope["cursor"].encode(),
        envelope["event_id"].encode(),
        envelope["seq"],
        envelope["worker_id"],
        envelope["worker_seq"],
        envelope["time"].encode(),
        envelope["payload"]["event"],
    )


@given(RECORDS)
@example(record(b'{"event":"","data":null}'))
@example(record(encode_payload(SystemItem(item=json.loads(record(b'{"event":"shutdown"}'))))))
def test_the_head_agrees_with_a_json_parser(line):
    head = parse_head(line)
    assert head is not None
    assert head[:7] == expected_head(line)
    assert line[head.payload_start :].startswith(b'{"event":"')
    payload = payload_bytes(line, head)
    assert json.dumps(json.loads(payload)) == json.dumps(json.loads(line)["envelope"]["payload"])
    assert payload_bytes(line[:-18] + b"}", head) == payload  # without its checksum


OTHER_LINES = [b"", b"{}", b'{"kind":"segment_header","log_id":"00"}', b'{"seen":%s}' % record(b'{"event":"shutdown"}')]


@given(st.lists(RECORDS | st.sampled_from(OTHER_LINES)))
@example(OTHER_LINES)
def test_the_pattern_finds_every_record_of_a_chunk_and_nothing_else(lines):
    chunk = b"".join(line + b"\n" for line in lines)
    found = list(HEAD_PATTERN.finditer(chunk))
    records = [line for line in lines if line.startswith(b'{"kind":"event"')]
    assert [match[0] for match in found] == records
    for match, line in zip(found, records, strict=True):
        cursor, event_id, seq, worker_id, worker_seq, time, name = expected_head(line)
        assert chunk[match.start() - 1 : match.start()] in (b"", b"\n")
        assert (match["cursor"], match["event_id"], match["time"]) == (cursor, event_id, time)
        assert int(match["seq"]) == seq
        assert match["worker_id"] == (None if worker_id is None else str(worker_id).encode())
        assert (match["worker_seq"] and int(match["worker_seq"])) == worker_seq
        assert json.loads(b'"' + match["event_name"] + b'"') == name


@given(RECORDS)
def test_a_record_decodes_in_our_order_and_in_any_other(line):
    envelope = decode_record(line)
    parsed = json.loads(line)
    assert (envelope.seq, envelope.worker_id, envelope.worker_seq) == tuple(
        parsed["envelope"][key] for key in ("seq", "worker_id", "worker_seq")
    )
    assert encode_payload(envelope.payload) == payload_bytes(line, parse_head(line) or pytest.fail("no head"))
    shuffled = {"crc": "x", "envelope": dict(reversed(parsed["envelope"].items())), "kind": "event", "new": 1}
    assert decode_record(json.dumps(shuffled, indent=1).encode()) == envelope
    assert parse_head(json.dumps(shuffled).encode()) is None


@pytest.mark.parametrize("row", [*FULL, *MINIMAL], ids=str)
def test_every_event_is_found_in_its_record(row: Example):
    line = record(row.json.encode())
    head = parse_head(line)
    assert head is not None
    assert head.event_name == row.event.event_name
    assert payload_bytes(line, head).decode() == row.json
    assert decode_record(line).payload == row.event


def test_a_head_holds_these_fields():
    line = record(b'{"event":"text_delta","data":{"text":"hi"}}', worker_id="coder", worker_seq=3, seq=7)
    assert parse_head(line) == RecordHead(
        cursor=TOKEN.encode(),
        event_id=b"k3J9-_abcde-7",
        seq=7,
        worker_id="coder",
        worker_seq=3,
        time=b"2026-11-22T17:37:23.123456Z",
        event_name="text_delta",
        payload_start=line.index(b'{"event"'),
    )


def test_an_envelope_holds_these_fields_and_cannot_be_changed():
    envelope = decode_record(record(b'{"event":"brain_wave"}', worker_id=None, worker_seq=None))
    assert envelope.model_dump() == {
        "cursor": TOKEN,
        "event_id": "k3J9-_abcde-7",
        "seq": 7,
        "worker_id": None,
        "worker_seq": None,
        "time": "2026-11-22T17:37:23.123456Z",
        "payload": {"event": "brain_wave"},
    }
    assert envelope.payload == UnknownEvent(name="brain_wave")
    with pytest.raises(ValueError, match="frozen"):
        envelope.seq = 8


def test_an_event_name_with_escapes_is_read_as_json_reads_it():
    head = parse_head(record(b'{"event":"a\\"b\\\\\\u0041\\ud83d\\ude00\\/"}'))
    assert head is not None
    assert head.event_name == 'a"b\\A😀/'


def damaged_heads() -> Iterator[tuple[str, bytes]]:
    whole = record(b'{"event":"text_delta","data":{"text":"hi"}}')
    for what, old, new in (
        ("space", b'"kind":"event"', b'"kind": "event"'),
        ("another kind", b'"kind":"event"', b'"kind":"batch"'),
        ("empty cursor", TOKEN.encode(), b""),
        ("long cursor", TOKEN.encode(), b"w" * 65),
        ("cursor outside of its alphabet", TOKEN.encode(), b"wo1\\u0041"),
        ("seq as text", b'"seq":7', b'"seq":"7"'),
        ("negative seq", b'"seq":7', b'"seq":-7'),
        ("seq with a zero before it", b'"seq":7', b'"seq":07'),
        ("no Worker id", b'"worker_id":"a"', b'"worker_id":""'),
        ("long Worker id", b'"worker_id":"a"', b'"worker_id":"%s"' % (b"a" * 65)),
        ("Worker id with a quote", b'"worker_id":"a"', b'"worker_id":"a\\"b"'),
        ("another order", b'"seq":7,"worker_id":"a"', b'"worker_id":"a","seq":7'),
        ("data first", b'{"event":"text_delta","data":{"text":"hi"}}', b'{"data":{"text":"hi"},"event":"text_delta"}'),
        ("name is a number", b'"text_delta"', b"7"),
        ("name is not UTF-8", b'"text_delta"', b'"\xff"'),
        ("name with a bad escape", b'"text_delta"', b'"\\x"'),
        ("name with a lone surrogate", b'"text_delta"', b'"\\ud800"'),
        ("name with a raw newline", b'"text_delta"', b'"text\ndelta"'),
        ("name without an end", b'"text_delta","data":{"text":"hi"}}},"crc":"', b'"text_delta'),
        ("name that ends in a backslash", b'"text_delta"', b'"text_delta\\"'),
    ):
        damaged = whole.replace(old, new, 1)
        assert damaged != whole, what
        yield what, damaged[: damaged.index(b"delta") + 6] if "end" in what else damaged
    yield "something before it", b" " + whole
    yield "a newline before it", b"\n" + whole
    yield "nothing", b""


@pytest.mark.parametrize("line", [pytest.param(line, id=what) for what, line in damaged_heads()])
def test_what_does_not_begin_as_our_records_do_has_no_head(line):
    assert parse_head(line) is None


@pytest.mark.parametrize("line", [pytest.param(line, id=what) for what, line in damaged_heads() if line[:1] == b"{"])
def test_the_pattern_finds_none_of_them_between_others(line):
    good = record(b'{"event":"shutdown"}')
    names = [b"\xff", b"\\x", b"\\ud800"]  # the pattern does not read names
    if not any(b'"event":"' + name in line for name in names):
        assert [match[0] for match in HEAD_PATTERN.finditer(good + b"\n" + line + b"\n" + good)] == [good, good]


@pytest.mark.parametrize(
    "end", [b"", b"}", b'"}', b'},"crc":"0a1b2c3d"', b',"crc":"0a1b2c3d"}', b'},"cra":"0a1b2c3d"}']
)
def test_a_payload_without_a_records_end_is_refused(end):
    line = record(b'{"event":"text_delta","data":{"text":"hi"}}')
    head = parse_head(line)
    assert head is not None
    with pytest.raises(EventInvalidError, match="end of a record"):
        payload_bytes(line[: line.rindex(b'"hi"')] + end, head)


@pytest.mark.parametrize(
    "old, new, where",
    [
        (b'"kind":"event"', b'"kind":"bookmark"', "kind"),
        (b'"kind":"event",', b"", "kind"),
        (b'"envelope":{', b'"envelop":{', "envelope"),
        (TOKEN.encode(), b"w" * 65, "envelope.cursor"),
        (TOKEN.encode(), b"", "envelope.cursor"),
        (b'"k3J9-_abcde-7"', b"7", "envelope.event_id"),
        (b'"seq":7', b'"seq":7.0', "envelope.seq"),
        (b'"seq":7', b'"seq":18446744073709551616', "envelope.seq"),
        (b'"seq":7,', b"", "envelope.seq"),
        (b'"worker_id":"a"', b'"worker_id":"a b"', "envelope.worker_id"),
        (b'"worker_seq":3', b'"worker_seq":true', "envelope.worker_seq"),
        (b"2026-11-22T17", b"yesterday", "envelope.time"),
        (b'"payload":{', b'"payload":[{', ""),
        (b'"event":"text_delta"', b'"event":null', "envelope.payload"),
        (b'"text":"hi"', b'"text":1', "envelope.payload.data.text"),
        (b'"text":"hi"', b'"text":"\\ud800"', "envelope.payload.data.text"),
        (b'"text":"hi"', b'"text":"a","text":"b"', "envelope.payload.data.text"),
    ],
)
def test_a_bad_record_is_refused_with_its_place(old, new, where):
    whole = record(b'{"event":"text_delta","data":{"text":"hi"}}')
    assert old in whole
    with pytest.raises(EventInvalidError) as caught:
        decode_record(whole.replace(old, new, 1))
    assert caught.value.where == where


@pytest.mark.parametrize("line", [b"", b"[]", b"null", b"{", b"\xff", b'{"kind":["event"]}', b"[" * 1_000_000])
def test_what_is_no_record_at_all_is_refused(line):
    with pytest.raises(EventInvalidError):
        decode_record(line)


def test_a_payload_of_the_greatest_depth_fits_into_a_record():
    event = SystemItem(item=json.loads("[" * 98 + "]" * 98))
    assert decode_record(record(encode_payload(event))).payload == event

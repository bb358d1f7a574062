from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.errors import FrameInvalidError
from yoi_runtime.events.conversation_events import WorkerStatus
from yoi_runtime.protocol.diagnostics import DiagnosticCode, Recovery, diagnostic
from yoi_runtime.protocol.frames import (
    DiagnosticFrame,
    EventFrame,
    UnknownFrame,
    decode_frame,
    snapshot_frame,
    stream_opened_frame,
)

RECORD = (
    '{"kind":"event","envelope":{"cursor":"wo1c","event_id":"ab-7","seq":7,"worker_id":"w-1","worker_seq":3,'
    '"time":"2026-01-02T03:04:05.000006Z","payload":{"event":"text_delta","data":{"text":"\u2028\u65e5"}}},'
    '"crc":"00c0ffee"}'
)


def test_a_snapshot_frame_is_what_upstreams_client_decodes() -> None:
    assert snapshot_frame("wo1c", "w-1", "running") == (
        b'{"kind":"event","envelope":{"cursor":"wo1c","event_id":"snapshot:wo1c","worker_id":"w-1","payload":'
        b'{"event":"snapshot","data":{"entries":[],"greeting":{"worker_name":"w-1","cwd":"","provider":"","model":"",'
        b'"scope_summary":"","tools":[],"context_window":0,"context_tokens":0},"status":"running"}}}}'
    )


@pytest.mark.parametrize("status", ["idle", "running", "paused"])
def test_a_snapshot_frame_may_carry_seq_and_is_read_back_as_synthetic(status: WorkerStatus) -> None:
    raw = snapshot_frame("wo1c", "w-1", status, seq=9)
    assert raw.startswith(
        b'{"kind":"event","envelope":{"cursor":"wo1c","event_id":"snapshot:wo1c","seq":9,"worker_id":'
    )
    frame = decode_frame(raw)
    assert isinstance(frame, EventFrame)
    assert frame.is_synthetic
    assert (frame.cursor, frame.seq, frame.worker_id, frame.worker_seq, frame.time) == ("wo1c", 9, "w-1", None, None)
    data = frame.payload["data"]
    assert isinstance(data, dict)
    assert data["status"] == status


def test_a_stream_opened_frame_is_a_diagnostic_that_wants_nothing() -> None:
    raw = stream_opened_frame("wo1r", "wo1l")
    assert raw == (
        b'{"kind":"diagnostic","diagnostic":{"code":"runtime.stream_opened","severity":"info",'
        b'"message":"the stream is open","retryable":false,"recovery":"none",'
        b'"latest_cursor":"wo1l","resume_cursor":"wo1r"}}'
    )
    frame = decode_frame(raw)
    assert isinstance(frame, DiagnosticFrame)
    assert frame.diagnostic.code is DiagnosticCode.STREAM_OPENED


@pytest.mark.parametrize("message", [RECORD, RECORD.encode()], ids=["text", "bytes"])
def test_a_record_is_an_event_frame(message: str | bytes) -> None:
    frame = decode_frame(message)
    assert isinstance(frame, EventFrame)
    assert frame.raw == RECORD.encode()
    assert (frame.cursor, frame.event_id, frame.seq) == ("wo1c", "ab-7", 7)
    assert (frame.worker_id, frame.worker_seq, frame.time) == ("w-1", 3, "2026-01-02T03:04:05.000006Z")
    assert frame.event_name == "text_delta"
    assert frame.payload == {"event": "text_delta", "data": {"text": "\u2028\u65e5"}}
    assert not frame.is_synthetic


def test_a_runtime_event_has_no_worker_and_fields_of_a_newer_version_are_skipped() -> None:
    frame = decode_frame(
        b'{"new":1,"envelope":{"payload":{"event":"runtime_started","more":2},"worker_seq":null,"worker_id":null,'
        b'"raw":"mine","cursor":"c","event_id":"e","seq":18446744073709551615,"span":[]},"kind":"event"}'
    )
    assert isinstance(frame, EventFrame)
    assert (frame.worker_id, frame.worker_seq, frame.seq) == (None, None, 2**64 - 1)
    assert frame.raw.startswith(b'{"new":1')


def test_upstreams_own_envelope_is_read() -> None:
    frame = decode_frame(
        '{"kind":"event","envelope":{"cursor":"o1","event_id":"e1","worker_id":"w","payload":{"event":"shutdown"}}}'
    )
    assert isinstance(frame, EventFrame)
    assert (frame.seq, frame.event_name) == (None, "shutdown")


def test_a_diagnostic_is_read() -> None:
    raw = diagnostic(DiagnosticCode.CURSOR_EXPIRED, "gone", oldest_cursor="wo1o").frame()
    frame = decode_frame(raw)
    assert isinstance(frame, DiagnosticFrame)
    assert frame.raw == raw
    assert frame.diagnostic.recovery is Recovery.RESNAPSHOT
    assert frame.diagnostic.oldest_cursor == "wo1o"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('{"kind":"bookmark","cursor":"c"}', "bookmark"),
        ('{"kind":"","envelope":3,"diagnostic":null}', ""),
        ('{"kind":"Event","envelope":{}}', "Event"),
    ],
)
def test_an_unknown_kind_is_a_case_of_its_own_whatever_is_in_it(message: str, kind: str) -> None:
    assert decode_frame(message) == UnknownFrame(message.encode(), kind)


def envelope_with(**change: object) -> str:
    envelope = {"cursor": "c", "event_id": "e", "worker_id": "w", "payload": {"event": "shutdown"}}
    return json.dumps({"kind": "event", "envelope": {**envelope, **change}})


MALFORMED: dict[str, str | bytes] = {
    "empty": "",
    "blank": " ",
    "not JSON": "hello",
    "half": RECORD[:-1],
    "two": RECORD + RECORD,
    "array": "[]",
    "string": '"event"',
    "null": "null",
    "number": "7",
    "NaN": '{"kind":"new","x":NaN}',
    "infinity": '{"kind":"new","x":-Infinity}',
    "byte order mark": "\ufeff" + RECORD,
    "bad UTF-8": b'{"kind":"\xff"}',
    "surrogate in UTF-8": b'{"kind":"\xed\xa0\x80"}',
    "lone surrogate": '{"kind":"\ud800"}',
    "escaped lone surrogate": '{"kind":"\\ud800"}',
    "deep": '{"kind":"new","x":' + "[" * 5000,
    "huge number": '{"kind":"new","x":' + "1" * 5000 + "}",
    "no kind": "{}",
    "kind of another type": '{"kind":7}',
    "kind null": '{"kind":null}',
    "no envelope": '{"kind":"event"}',
    "envelope null": '{"kind":"event","envelope":null}',
    "envelope array": '{"kind":"event","envelope":[]}',
    "cursor missing": '{"kind":"event","envelope":{"event_id":"e","payload":{"event":"x"}}}',
    "cursor empty": envelope_with(cursor=""),
    "cursor null": envelope_with(cursor=None),
    "cursor number": envelope_with(cursor=1),
    "event_id missing": '{"kind":"event","envelope":{"cursor":"c","payload":{"event":"x"}}}',
    "event_id empty": envelope_with(event_id=""),
    "seq text": envelope_with(seq="7"),
    "seq zero": envelope_with(seq=0),
    "seq fraction": envelope_with(seq=7.0),
    "seq true": envelope_with(seq=True),
    "seq over u64": envelope_with(seq=2**64),
    "worker_id number": envelope_with(worker_id=7),
    "worker_id empty": envelope_with(worker_id=""),
    "worker_seq negative": envelope_with(worker_seq=-1),
    "time number": envelope_with(time=7),
    "payload missing": '{"kind":"event","envelope":{"cursor":"c","event_id":"e"}}',
    "payload text": envelope_with(payload="x"),
    "payload without event": envelope_with(payload={}),
    "event name number": envelope_with(payload={"event": 7}),
    "event name empty": envelope_with(payload={"event": ""}),
    "no diagnostic": '{"kind":"diagnostic"}',
    "diagnostic text": '{"kind":"diagnostic","diagnostic":"x"}',
    "diagnostic without message": '{"kind":"diagnostic","diagnostic":{"code":"runtime.internal"}}',
    "diagnostic code number": '{"kind":"diagnostic","diagnostic":{"code":7,"message":"m"}}',
}


def test_the_table_of_malformed_frames_changes_a_good_one() -> None:
    assert isinstance(decode_frame(envelope_with()), EventFrame)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_frame_is_a_typed_error(name: str) -> None:
    with pytest.raises(FrameInvalidError) as caught:
        decode_frame(MALFORMED[name])
    assert caught.value.reason
    assert len(str(caught.value)) < 200


def test_an_error_names_the_place_and_never_the_value() -> None:
    with pytest.raises(FrameInvalidError) as caught:
        decode_frame(envelope_with(seq="secret"))
    assert "seq" in str(caught.value)
    assert "secret" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELD_NAMES = (
    *("kind", "envelope", "cursor", "event_id", "seq", "worker_id", "worker_seq", "time", "payload", "event", "data"),
    *(
        "diagnostic",
        "code",
        "message",
        "severity",
        "retryable",
        "recovery",
        "lost",
        "events",
        "exact",
        "workers",
        "raw",
    ),
)
field_names = st.sampled_from(FIELD_NAMES)
near_objects = st.recursive(
    json_values | st.sampled_from(["event", "diagnostic", "runtime.internal"]),
    lambda inner: st.dictionaries(field_names, inner, max_size=8),
    max_leaves=20,
)
near_frames = st.one_of(
    st.fixed_dictionaries({"kind": st.just("event"), "envelope": near_objects}),
    st.fixed_dictionaries({"kind": st.just("diagnostic"), "diagnostic": near_objects}),
    st.dictionaries(field_names, near_objects, max_size=6),
)


def decodes_or_raises_the_typed_error(message: str | bytes) -> None:
    try:
        frame = decode_frame(message)
    except FrameInvalidError:
        return
    assert isinstance(frame, EventFrame | DiagnosticFrame | UnknownFrame)
    assert frame.raw == (message.encode() if isinstance(message, str) else message)


@given(st.binary())
def test_arbitrary_bytes_raise_nothing_but_the_typed_error(message: bytes) -> None:
    decodes_or_raises_the_typed_error(message)


@given(st.lists(st.characters() | st.integers(0xD800, 0xDFFF).map(chr)).map("".join))
def test_arbitrary_text_raises_nothing_but_the_typed_error(message: str) -> None:
    decodes_or_raises_the_typed_error(message)


@given(near_frames)
def test_almost_frames_raise_nothing_but_the_typed_error(value: dict[str, object]) -> None:
    decodes_or_raises_the_typed_error(json.dumps(value))


@given(st.integers(0, len(RECORD.encode()) - 1), st.binary(min_size=1, max_size=3))
def test_a_damaged_record_raises_nothing_but_the_typed_error(place: int, damage: bytes) -> None:
    raw = RECORD.encode()
    decodes_or_raises_the_typed_error(raw[:place] + damage + raw[place + 1 :])
    decodes_or_raises_the_typed_error(raw[:place])

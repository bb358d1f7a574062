from __future__ import annotations

import json
import re

import pytest

from tests.codebase.tree import ROOT
from yoi_runtime.errors import IngestRefusedError
from yoi_runtime.events import RESERVED_EVENT_NAMES, TextDone, UnknownEvent
from yoi_runtime.runtime.ingest.key_window import KEPT_KEYS
from yoi_runtime.runtime.ingest.lines import (
    FATAL_CODES,
    MAX_LINE_BYTES,
    PASSING_CODES,
    PROTOCOL,
    End,
    EventLine,
    Hello,
    RefusalCode,
    ack_line,
    ended_line,
    hello_line,
    parse_line,
    refusal_line,
)
from yoi_runtime.runtime.ingest.listener import MOST_CONNECTIONS

MANUAL = (ROOT / "docs" / "ingest.md").read_text("utf-8")
HELLO = {"kind": "hello", "protocol": PROTOCOL, "worker_id": "coder"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"event":"text_done","data":{"text":"a"}}', EventLine(TextDone(text="a"), None)),
        ('{"key":"k","data":{"text":"a"},"event":"text_done"}', EventLine(TextDone(text="a"), "k")),
        ('{"event":"brain_wave"}', EventLine(UnknownEvent(name="brain_wave"), None)),
        (' { "text" : "a\u2028b" }\r', EventLine(TextDone(text="a\u2028b"), None)),
        ('{"text":"","key":"k"}', EventLine(TextDone(text=""), "k")),
        (json.dumps(HELLO), Hello.model_validate(HELLO)),
        (
            json.dumps({**HELLO, "command": ["a", "b"], "durable": True, "reconnects": True}),
            Hello(
                kind="hello", protocol=PROTOCOL, worker_id="coder", command=["a", "b"], durable=True, reconnects=True
            ),
        ),
        ('{"kind":"end"}', End(kind="end", outcome="completed", exit_code=None)),
        ('{"kind":"end","outcome":"failed","exit_code":-3}', End(kind="end", outcome="failed", exit_code=-3)),
    ],
)
def test_a_line_says_what_it_says(line: str, said: object):
    assert parse_line(line.encode()) == said


@pytest.mark.parametrize(
    ("line", "code", "where"),
    [
        (b"", "line_invalid", ""),
        (b"hello", "line_invalid", ""),
        (b"[1]", "line_invalid", ""),
        (b"{}", "line_invalid", ""),
        (b'{"kind":"bye"}', "line_invalid", ""),
        (b'{"kind":["end"]}', "line_invalid", ""),
        (b'{"text":"\xff"}', "line_invalid", ""),
        (b'{"text":"a","text":"b"}', "line_invalid", "text"),
        (b'{"text":"a","n":1e999}', "line_invalid", "n"),
        (b'{"text":"a","wrong":1}', "line_invalid", "wrong"),
        (b'{"text":"a","event":"b"}', "line_invalid", "text"),
        (b'{"event":"text_done","dat":{}}', "line_invalid", "dat"),
        (b'{"text":1}', "event_invalid", "text"),
        (b'{"event":1}', "event_invalid", ""),
        (b'{"event":"text_done"}', "event_invalid", "data"),
        (b'{"event":"text_done","data":{"text":1}}', "event_invalid", "data.text"),
        *(
            (b'{"event":"%s","data":{}}' % name.encode(), "event_reserved", "event")
            for name in sorted(RESERVED_EVENT_NAMES)
        ),
        (b'{"text":"a","key":""}', "key_invalid", "key"),
        (b'{"text":"a","key":7}', "key_invalid", "key"),
        (b'{"text":"a","key":null}', "key_invalid", "key"),
        (b'{"text":"a","key":"a b"}', "key_invalid", "key"),
        (b'{"kind":"end","outcome":"lost"}', "end_invalid", "outcome"),
        (b'{"kind":"end","exit_code":"1"}', "end_invalid", "exit_code"),
        (b'{"kind":"end","code":1}', "end_invalid", "code"),
        (b'{"kind":"hello"}', "hello_invalid", "protocol"),
        (b'{"kind":"hello","protocol":"yoi.ingest.v1"}', "hello_invalid", "worker_id"),
        (b'{"kind":"hello","protocol":"yoi.ingest.v1","worker_id":"a b"}', "hello_invalid", "worker_id"),
        (b'{"kind":"hello","protocol":"yoi.ingest.v1","worker_id":"a","command":[]}', "hello_invalid", "command"),
        (b'{"kind":"hello","protocol":"yoi.ingest.v1","worker_id":"a","durable":1}', "hello_invalid", "durable"),
        (b'{"kind":"hello","protocol":"yoi.ingest.v2","a":1}', "protocol_unknown", "protocol"),
    ],
)
def test_what_is_wrong_with_a_line_is_told_with_its_place(line: bytes, code: str, where: str):
    with pytest.raises(IngestRefusedError) as caught:
        parse_line(line)
    assert (caught.value.code, caught.value.where) == (code, where)
    assert caught.value.reason


def test_answers_are_lines_of_json():
    assert json.loads(ack_line(7, "wo1abc")) == {"kind": "ack", "line": 7, "cursor": "wo1abc"}
    assert json.loads(ack_line(7, "wo1abc", repeated=True)) == {
        "kind": "ack",
        "line": 7,
        "cursor": "wo1abc",
        "repeated": True,
    }
    assert json.loads(ended_line(8)) == {"kind": "ended", "line": 8}
    assert json.loads(hello_line(1, "a517", "coder", 3)) == {
        "kind": "hello",
        "line": 1,
        "protocol": PROTOCOL,
        "log_id": "a517",
        "worker_id": "coder",
        "run": 3,
        "max_line_bytes": MAX_LINE_BYTES,
    }
    assert json.loads(refusal_line("event_invalid", 'a "b"\n', "data", 3)) == {
        "kind": "error",
        "line": 3,
        "code": "event_invalid",
        "message": 'a "b"\n',
        "where": "data",
        "fatal": False,
    }
    assert json.loads(refusal_line(RefusalCode.SHUTTING_DOWN, "the Runtime stops")) == {
        "kind": "error",
        "code": "shutting_down",
        "message": "the Runtime stops",
        "fatal": True,
    }
    for answer in (ack_line(1, "a"), ended_line(1), hello_line(1, "a", "b", 1), refusal_line("x", "a\nb")):
        assert answer.count(b"\n") == 1
        assert answer.endswith(b"\n")


def test_the_manual_has_every_code_and_whether_it_is_fatal_and_passes():
    rows = {
        code: (fatal.strip() == "yes", passing.strip() == "yes")
        for code, fatal, passing in re.findall(r"^\| `(\w+)` \|([^|]*)\|([^|]*)\| .*\|$", MANUAL, re.MULTILINE)
        if code in set(RefusalCode)
    }
    assert rows == {code.value: (code in FATAL_CODES, code in PASSING_CODES) for code in RefusalCode}


def test_the_manual_has_every_member_and_the_bounds_that_hold():
    for name in Hello.model_fields:
        assert name == "kind" or f"`{name}`" in MANUAL, name
    for name in End.model_fields:
        assert name == "kind" or f"`{name}`" in MANUAL, name
    assert (MAX_LINE_BYTES, KEPT_KEYS, MOST_CONNECTIONS) == (1 << 20, 10_000, 256)
    for bound in ("at most 1 MiB long", "newest 10,000 keys", "newest 64 MiB", "there are 256", "256 KiB of answers"):
        assert bound in MANUAL, bound


def test_what_passes_is_fatal_to_its_connection():
    assert PASSING_CODES <= FATAL_CODES

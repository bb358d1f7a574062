"""``lines``, ``jsonl``, and what ``auto`` shares with them."""

from __future__ import annotations

import json

import pytest

from yoi_runtime.events.conversation_events import Alert
from yoi_runtime.events.event import Event
from yoi_runtime.events.extended_event import traced
from yoi_runtime.events.output_events import TextDelta, TextDone, ThinkingStart
from yoi_runtime.events.vocabulary import RESERVED_EVENT_NAMES, UnknownEvent
from yoi_runtime.workers.adapters import ADAPTER_NAMES, Adapter, AdapterName, make_adapter
from yoi_runtime.workers.line_splitter import Line

NOW = 1_700_000_000_000


def adapter(name: AdapterName) -> Adapter:
    return make_adapter(name, lambda: NOW)


def alert(level: str, message: str) -> Alert:
    return Alert.model_validate({"level": level, "source": "worker", "message": message, "timestamp_ms": NOW})


def line(data: bytes | str, cut_bytes: int = 0) -> Line:
    return Line(data.encode() if isinstance(data, str) else data, 7, cut_bytes)


DELTA = '{"event":"text_delta","data":{"text":"x"}}'
NOT_AN_EVENT = "stdout line 7 is not an event of a Worker"


@pytest.mark.parametrize(
    "data",
    ["", " ", "hello", "null", "[1]", "{}", '"text"', '{"event"', '{"level":"info"}', '{"data":1}', "a\u2028b\0c\r"],
)
@pytest.mark.parametrize("name", ["lines", "auto"])
def test_what_is_not_shaped_like_an_event_is_text(name: AdapterName, data: str) -> None:
    assert adapter(name).stdout_line(line(data)) == [TextDone(text=data)]


@pytest.mark.parametrize(
    "data",
    [
        '{"event":"text_delta","data":{"text":"x"},"level":"info"}',
        "see " + DELTA,
        f"[{DELTA}]",
        '{"event":' + "[" * 100_000,
        '{"event":' + "9" * 5000 + "}",
    ],
    ids=["a third key", "behind text", "in an array", "too deep", "too many digits"],
)
def test_auto_takes_only_the_exact_shape_for_an_event(data: str) -> None:
    assert adapter("auto").stdout_line(line(data)) == [TextDone(text=data)]


def test_lines_takes_an_event_for_text() -> None:
    assert adapter("lines").stdout_line(line(DELTA)) == [TextDone(text=DELTA)]


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (DELTA, TextDelta(text="x")),
        (f" \t{DELTA} \t", TextDelta(text="x")),
        ('{"data":{"text":"é\\u00e9"},"event":"text_delta"}', TextDelta(text="éé")),
        ('{"event":"thinking_start"}', ThinkingStart()),
        ('{"event":"of_tomorrow","data":[1]}', UnknownEvent(name="of_tomorrow", data=[1])),
        ('{"event":"of_tomorrow"}', UnknownEvent(name="of_tomorrow")),
    ],
)
@pytest.mark.parametrize("name", ["jsonl", "auto"])
def test_a_line_with_an_event_is_that_event(name: AdapterName, data: str, event: Event) -> None:
    assert adapter(name).stdout_line(line(data)) == [event]


@pytest.mark.parametrize("data", ["", " ", "\t \r"])
def test_jsonl_skips_blank_lines(data: str) -> None:
    assert adapter("jsonl").stdout_line(line(data)) == []


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ('{"event":"text_delta","data":{"text":5}}', "data.text"),
        ('{"event":"text_delta"}', "data"),
        ('{"event":5}', "event"),
        ('{"event":null,"data":{}}', "event"),
        ('{"event":"text_delta","data":{"text":"a"},"data":{"text":"b"}}', "twice"),
        ('{"event":"text_delta","data":{"text":"\\ud800"}}', "surrogate"),
        ('{"event":"of_tomorrow","data":NaN}', "finite"),
    ],
)
@pytest.mark.parametrize("name", ["jsonl", "auto"])
def test_an_event_that_breaks_the_rules_is_an_alert_with_line_reason_and_content(
    name: AdapterName, data: str, why: str
) -> None:
    (event,) = adapter(name).stdout_line(line(data))
    assert isinstance(event, Alert)
    assert (event.level, event.source, event.timestamp_ms) == ("error", "worker", NOW)
    assert event.message.startswith(f"{NOT_AN_EVENT} (")
    assert why in event.message
    assert event.message.endswith(f"): {data}")


@pytest.mark.parametrize("data", ["hello", "{}", "[]", "null", DELTA + DELTA, "{", "\ufeff" + DELTA])
def test_jsonl_refuses_all_else_with_an_alert(data: str) -> None:
    (event,) = adapter("jsonl").stdout_line(line(data))
    assert isinstance(event, Alert)
    assert event.message.startswith(NOT_AN_EVENT)
    assert event.message.endswith(data)


@pytest.mark.parametrize("name", ["jsonl", "auto"])
@pytest.mark.parametrize("event_name", sorted(RESERVED_EVENT_NAMES))
def test_an_event_of_the_runtime_is_refused(name: AdapterName, event_name: str) -> None:
    examples = {
        "events_lost": {
            "count": 1,
            "from_time": "2024-01-01T00:00:00.000000Z",
            "to_time": "2024-01-01T00:00:00.000000Z",
        },
        "lost": {},
        "log_recovered": {"segment": 1, "kept_events": 1, "dropped_bytes": 0, "reason": "torn tail"},
        "runtime_started": {"version": "1", "pid": 1},
        "runtime_stopping": {},
        "worker_created": {"worker_id": "w"},
        "worker_ended": {"worker_id": "w", "outcome": "completed"},
        "worker_started": {"worker_id": "w", "run": 1},
    }
    data = json.dumps({"event": event_name, "data": examples[event_name]})
    assert adapter(name).stdout_line(line(data)) == [
        alert("error", f"{NOT_AN_EVENT} (event: {event_name} is said by the Runtime only): {data}")
    ]


def test_a_long_invalid_line_is_quoted_in_part() -> None:
    data = '{"event":5,"data":"' + "é" * 1000 + '"}'
    (event,) = adapter("jsonl").stdout_line(line(data))
    assert isinstance(event, Alert)
    assert event.message.endswith(f"{data[:200]}… ({len(data)} characters)")
    assert len(event.message) < 600


@pytest.mark.parametrize("name", ADAPTER_NAMES)
@pytest.mark.parametrize("data", ["", "Traceback", DELTA])
def test_a_stderr_line_is_an_alert_whatever_is_in_it(name: AdapterName, data: str) -> None:
    assert adapter(name).stderr_line(line(data)) == [alert("warn", data)]


NOT_UTF8 = "is not UTF-8: what could not be decoded became U+FFFD, here and in later lines"


def test_bytes_that_are_not_utf8_are_replaced_and_announced_once_in_a_run() -> None:
    lines = adapter("lines")
    assert lines.stdout_line(line(b"fine")) == [TextDone(text="fine")]
    assert lines.stdout_line(line(b"a\xffb")) == [TextDone(text="a\ufffdb"), alert("warn", f"stdout line 7 {NOT_UTF8}")]
    assert lines.stdout_line(line(b"\xe2\x82")) == [TextDone(text="\ufffd")]
    assert lines.stderr_line(line(b"\xed\xa0\x80")) == [alert("warn", "\ufffd" * 3)]


def test_the_announcement_names_the_stream() -> None:
    assert adapter("auto").stderr_line(line(b"\xff")) == [
        alert("warn", "\ufffd"),
        alert("warn", f"stderr line 7 {NOT_UTF8}"),
    ]


@pytest.mark.parametrize("name", ["jsonl", "auto"])
def test_bytes_that_are_not_utf8_inside_an_event_are_replaced_too(name: AdapterName) -> None:
    assert adapter(name).stdout_line(line(DELTA.encode().replace(b'"x"', b'"\xff"'))) == [
        TextDelta(text="\ufffd"),
        alert("warn", f"stdout line 7 {NOT_UTF8}"),
    ]


@pytest.mark.parametrize("name", ["lines", "auto"])
def test_a_cut_line_is_text_and_the_cut_is_announced(name: AdapterName) -> None:
    assert adapter(name).stdout_line(line(DELTA, 10)) == [
        TextDone(text=DELTA),
        alert("warn", f"stdout line 7 is too long: 10 bytes after its first {len(DELTA)} were cut"),
    ]


def test_a_cut_line_is_no_event() -> None:
    message = f"{NOT_AN_EVENT} (the line was cut): {DELTA}"
    events = adapter("jsonl").stdout_line(line(DELTA, 10))
    assert events[0] == alert("error", message)
    assert [type(event) for event in events] == [Alert, Alert]


def test_a_cut_blank_line_is_not_skipped() -> None:
    assert len(adapter("jsonl").stdout_line(line("   ", 10))) == 2


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_cut_inside_a_character_takes_the_whole_character(kept: int) -> None:
    character = "😀".encode()
    assert adapter("lines").stdout_line(line(b"ab" + character[:kept], 5)) == [
        TextDone(text="ab"),
        alert("warn", f"stdout line 7 is too long: {5 + kept} bytes after its first 2 were cut"),
    ]


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("name", ["jsonl", "auto"])
def test_a_traceparent_beside_an_event_is_kept_and_other_members_are_not(name: AdapterName):
    made = adapter(name)
    assert made.stdout_line(line(DELTA[:-1] + f',"traceparent":"{TRACE}"}}')) == [traced(TextDelta(text="x"), TRACE)]
    assert adapter("jsonl").stdout_line(line(DELTA[:-1] + ',"key":"k"}')) == [TextDelta(text="x")]


@pytest.mark.parametrize("name", ["jsonl", "auto"])
def test_a_traceparent_that_is_none_costs_the_event_nothing_and_is_told_once(name: AdapterName):
    made = adapter(name)
    wrong = line(DELTA[:-1] + f',"traceparent":"ff{TRACE[2:]}"}}')
    first, told = made.stdout_line(wrong)
    assert first == TextDelta(text="x")
    assert isinstance(told, Alert)
    assert told.message.startswith("stdout line 7: its traceparent is none, and is left out, here and in later lines: ")
    assert made.stdout_line(wrong) == [TextDelta(text="x")]

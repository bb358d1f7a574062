from __future__ import annotations

import json

import pytest

from yoi_runtime.events import TextDone
from yoi_runtime.runtime.ingest.conversation import Conversation, Heard, Phase, Refused
from yoi_runtime.runtime.ingest.lines import End, EventLine
from yoi_runtime.workers.line_splitter import Line

HELLO = b'{"kind":"hello","protocol":"yoi.ingest.v1","worker_id":"coder"}'
TEXT = b'{"text":"a"}'
END = b'{"kind":"end"}'


def hear(conversation: Conversation, data: bytes, number: int = 1, cut_bytes: int = 0) -> Heard | Refused:
    return conversation.hear(Line(data, number, cut_bytes))


def refusal(heard: Heard | Refused) -> dict[str, object]:
    assert isinstance(heard, Refused)
    answer: dict[str, object] = json.loads(heard.answer)
    assert answer["line"] == heard.number
    return answer


def test_from_hello_to_end():
    conversation = Conversation()
    assert isinstance(hear(conversation, HELLO), Heard)
    assert conversation.phase is Phase.OPEN
    assert hear(conversation, TEXT, 2) == Heard(2, EventLine(TextDone(text="a"), None))
    assert hear(conversation, END, 3) == Heard(3, End(kind="end"))
    assert conversation.phase.value == "over"


@pytest.mark.parametrize("line", [TEXT, END, b"GET / HTTP/1.1\r", b"", b'{"kind":"bye"}', b'{"text":1}'])
def test_who_does_not_begin_with_a_hello_is_sent_away(line: bytes):
    conversation = Conversation()
    answer = refusal(hear(conversation, line))
    assert (answer["code"], answer["fatal"]) == ("hello_expected", True)
    assert conversation.phase is Phase.OVER


def test_a_first_line_without_end_is_no_hello():
    conversation = Conversation()
    assert refusal(hear(conversation, b"x" * 10, cut_bytes=5))["code"] == "hello_expected"
    assert conversation.phase is Phase.OVER


@pytest.mark.parametrize(
    ("line", "cut_bytes", "code"),
    [
        (b"x", 0, "line_invalid"),
        (TEXT, 4, "line_too_long"),
        (HELLO, 0, "line_invalid"),
        (b'{"text":1}', 0, "event_invalid"),
    ],
)
def test_a_bad_line_costs_itself_alone(line: bytes, cut_bytes: int, code: str):
    conversation = Conversation()
    hear(conversation, HELLO)
    answer = refusal(hear(conversation, line, 2, cut_bytes))
    assert (answer["code"], answer["fatal"]) == (code, False)
    assert isinstance(hear(conversation, TEXT, 3), Heard)


def test_a_hello_of_another_version_is_told_which_there_is():
    conversation = Conversation()
    answer = refusal(hear(conversation, HELLO.replace(b"v1", b"v9")))
    assert answer["code"] == "protocol_unknown"
    assert "yoi.ingest.v1" in str(answer["message"])
    assert conversation.phase is Phase.OVER

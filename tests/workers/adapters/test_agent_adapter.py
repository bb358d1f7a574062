from __future__ import annotations

import pytest

from tests.workers.adapters.mapping import NOW, alert, event, kept, line, payloads, told, usage
from yoi_runtime.events.event import Event
from yoi_runtime.workers.adapters.agent_adapter import AgentAdapter
from yoi_runtime.workers.adapters.json_message import Message, string
from yoi_runtime.workers.line_splitter import Line


class Echo(AgentAdapter):
    """Tells what it is told to."""

    name = "echo"

    def translate(self, message: Message) -> list[Event]:
        match message.get("do"):
            case "text":
                return self.conversation.text(string(message, "text"))
            case "alert":
                return [self.alert("error", string(message, "text"))]
            case "error":
                return self.error("tool_error", string(message, "text"))
            case _:
                return [self.keep(string(message, "do"), message)]


def echo() -> Echo:
    return Echo(lambda: NOW)


def test_an_object_is_translated():
    assert told(echo(), {"do": "alert", "text": "x"}, ' {"do":"alert","text":"y"} ') == [
        alert("error", "x"),
        alert("error", "y"),
    ]
    assert not Echo.recognises({"do": "alert"})


@pytest.mark.parametrize("text", ["hello", " hello ", "[1]", "null", '"x"', "12", "a {b}"])
def test_a_line_without_an_object_is_text(text: str):
    assert told(echo(), text) == [event("text_done", text=text)]


@pytest.mark.parametrize("text", ["", " ", "\t\r"])
def test_a_blank_line_is_nothing(text: str):
    assert told(echo(), text) == []


@pytest.mark.parametrize("text", ['{"do":"te', "{", ' {"do":"alert"} x', '{"a":' + "[" * 90 + "]" * 90 + "}"])
def test_an_object_that_broke_off_is_kept_and_is_no_text(text: str):
    assert told(echo(), text) == [kept("echo.broken_line", text)]


@pytest.mark.parametrize("text", ["hello", '{"do":"alert"}', ""])
def test_a_line_that_was_cut_is_kept_and_announced(text: str):
    cut = Line(text.encode(), 7, 5)
    assert payloads(echo().stdout_line(cut)) == [
        kept("echo.broken_line", text),
        alert("warn", f"stdout line 7 is too long: 5 bytes after its first {len(text)} were cut"),
    ]


def test_what_is_not_utf8_is_mended_and_announced_once():
    agent = echo()
    first, second = (payloads(agent.stdout_line(Line(b'{"do":"alert","text":"\xff"}', number))) for number in (1, 2))
    assert first[0] == second[0] == alert("error", "\ufffd")
    assert [len(first), len(second)] == [2, 1]


def test_half_a_character_in_a_message_is_mended():
    assert told(echo(), '{"do":"text","text":"\\ud83d"}') == [event("text_delta", text="\ufffd")]


def test_what_is_kept_bears_its_origin():
    long = {"do": "x" * 200}
    assert told(echo(), {"do": "plan"}, {"a": 1}, long) == [
        kept("echo.plan", {"do": "plan"}),
        kept("echo.unknown", {"a": 1}),
        kept("echo." + "x" * 100, long),
    ]


def test_a_cost_of_which_nothing_is_known_is_not_told():
    assert payloads(echo().usage(None, None, 7)) == []
    assert payloads(echo().usage(None, 3, None)) == [usage(None, 3)]
    assert payloads(echo().usage(5, 3, 4)) == [usage(5, 3, 4)]


def test_an_error_ends_what_was_said():
    assert told(echo(), {"do": "text", "text": "a"}, {"do": "error", "text": "b"}, {"do": "error"}) == [
        event("text_delta", text="a"),
        event("text_done", text="a"),
        event("error", code="tool_error", message="b"),
        event("error", code="tool_error", message="unknown"),
    ]


def test_the_end_finishes_what_is_open_and_stderr_is_an_alert():
    agent = echo()
    assert agent.stdout_end() == []
    told(agent, {"do": "text", "text": "a"})
    assert payloads(agent.stderr_line(line('{"do":"text"}'))) == [alert("warn", '{"do":"text"}')]
    assert payloads(agent.stdout_end()) == [event("text_done", text="a")]

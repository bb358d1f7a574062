from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, timedelta, timezone
from typing import Any

from rich.text import Text

from yoi_runtime.cli.render import Renderer, worker_style

TIME = "2025-03-01T12:00:01.250000Z"


@dataclass(frozen=True)
class Shown:
    event_name: str
    data: dict[str, Any] = field(default_factory=dict)
    worker_id: str | None = "coder"
    time: str | None = TIME

    @property
    def payload(self) -> dict[str, Any]:
        return {"event": self.event_name, "data": self.data}


def delta(text: str, worker_id: str = "coder") -> Shown:
    return Shown("text_delta", {"text": text}, worker_id)


def done(text: str, worker_id: str = "coder") -> Shown:
    return Shown("text_done", {"text": text}, worker_id)


def call(part: str, **data: Any) -> Shown:
    return Shown(f"tool_call_{part}", {"id": "1", **data})


def rendered(*events: Shown) -> str:
    renderer = Renderer(UTC)
    text = "".join(renderer.render(event).plain for event in events)
    return text + renderer.close().plain


HEAD = "12:00:01 coder        "
OTHER = "12:00:01 other        "
INDENT = " " * len(HEAD)


def test_an_event_is_a_line_with_time_and_worker():
    assert rendered(Shown("status", {"status": "idle"})) == f"{HEAD}○ idle\n"
    assert rendered(Shown("shutdown", worker_id=None)) == "12:00:01 runtime      shutdown\n"
    assert rendered(Shown("shutdown", worker_id="a-longer-worker-id")) == "12:00:01 a-longer-worker-id shutdown\n"


def test_times_are_shown_in_the_zone_and_a_missing_one_as_missing():
    renderer = Renderer(timezone(timedelta(hours=9)))
    assert renderer.render(Shown("shutdown")).plain.startswith("21:00:01 ")
    for time in (None, "", "yesterday", "0001-01-01T00:00:00Z\x1b"):
        assert renderer.render(Shown("shutdown", time=time)).plain.startswith("--:--:-- ")


def test_pieces_of_a_text_join_on_one_line_and_the_whole_is_not_repeated():
    assert rendered(delta("Hel"), delta("lo "), delta("you"), done("Hello you")) == f"{HEAD}Hello you\n"


def test_a_piece_is_shown_before_its_line_is_complete():
    renderer = Renderer(UTC)
    assert renderer.render(delta("Hel")).plain == f"{HEAD}Hel"
    assert renderer.render(delta("lo")).plain == "lo"
    assert renderer.render(Shown("shutdown")).plain == f"\n{HEAD}shutdown\n"
    assert renderer.close().plain == ""


def test_another_worker_begins_its_own_line_and_the_first_takes_up_again():
    events = [delta("a"), delta("x", "other"), delta("y", "other"), delta("b"), done("xy", "other"), done("ab")]
    assert rendered(*events) == f"{HEAD}a\n{OTHER}xy\n{HEAD}b\n"


def test_a_whole_of_which_not_every_piece_was_seen_is_shown():
    assert rendered(done("Hello")) == f"{HEAD}Hello\n"
    assert rendered(delta("lo"), done("Hello")) == f"{HEAD}lo\n{HEAD}Hello\n"


def test_a_second_text_does_not_count_the_pieces_of_the_first():
    assert rendered(delta("ab"), done("ab"), done("cd")) == f"{HEAD}ab\n{HEAD}cd\n"
    assert rendered(delta("ab"), done("ab"), delta("cd"), done("cd")) == f"{HEAD}ab\n{HEAD}cd\n"


def test_later_lines_of_a_text_stand_below_the_first():
    assert rendered(done("a\nb\n\nc\n")) == f"{HEAD}a\n{INDENT}b\n{INDENT}\n{INDENT}c\n"
    assert rendered(delta("a\nb"), delta("\nc"), done("a\nb\nc")) == f"{HEAD}a\n{INDENT}b\n{INDENT}c\n"


def test_newlines_at_the_ends_of_a_stream_leave_no_empty_lines():
    assert rendered(delta("\n\na"), delta("\n"), delta("\n"), done("\n\na\n\n")) == f"{HEAD}a\n"
    assert rendered(delta("a\n"), delta("\nb"), done("a\n\nb")) == f"{HEAD}a\n{INDENT}\n{INDENT}b\n"
    assert rendered(delta("a\n"), Shown("shutdown")) == f"{HEAD}a\n{HEAD}shutdown\n"


def test_a_tool_call_streams_on_one_line():
    events = [call("start", name="ls"), call("args_delta", json='{"a"'), call("args_delta", json=":1}")]
    events.append(call("done", name="ls", arguments='{"a":1}'))
    assert rendered(*events) == f'{HEAD}→ ls {{"a":1}}\n'


def test_a_tool_call_that_was_interrupted_is_shown_whole_at_its_end():
    events = [call("start", name="ls"), call("args_delta", json='{"a"'), delta("x", "other")]
    events += [call("args_delta", json=":1}"), call("done", name="ls", arguments='{"a":1}')]
    assert rendered(*events) == f'{HEAD}→ ls {{"a"\n{OTHER}x\n{HEAD}→ ls {{"a":1}}\n'


def test_a_tool_call_without_streamed_arguments_is_a_line():
    assert rendered(call("done", name="ls", arguments="{}")) == f"{HEAD}→ ls {{}}\n"
    assert rendered(call("start", name="ls"), call("done", name="ls", arguments='{"a":1}'), delta("x")) == (
        f'{HEAD}→ ls {{"a":1}}\n{HEAD}x\n'
    )
    interrupted = [call("start", name="ls"), delta("x"), call("done", name="ls", arguments="{}")]
    assert rendered(*interrupted) == f"{HEAD}→ ls \n{HEAD}x\n{HEAD}→ ls {{}}\n"


def test_long_arguments_are_cut_once():
    pieces = [call("args_delta", json="x" * 90) for _ in range(5)]
    shown = rendered(call("start", name="write"), *pieces, call("done", name="write", arguments="x" * 450))
    assert shown == f"{HEAD}→ write {'x' * 200}…\n"


def test_thinking_without_content_shows_nothing():
    assert rendered(Shown("thinking_start"), Shown("thinking_done", {"text": ""})) == ""


def test_an_agent_cannot_forge_another_workers_line():
    shown = rendered(done(f"x\n{OTHER}I am somebody else\r\x1b[1A"))
    assert all(line.startswith((HEAD, INDENT)) for line in shown.splitlines())
    assert "\x1b" not in shown
    assert "\n" not in rendered(Shown("shutdown", worker_id="a\nb"))[:-1]


def test_a_worker_keeps_its_colour_and_two_rarely_share_one():
    assert worker_style("agent") == worker_style("agent")
    assert worker_style("agent") != worker_style("counter")
    assert len({worker_style(f"worker-{number}") for number in range(50)}) == 8


def test_names_are_coloured_and_text_is_not():
    text = Renderer(UTC).render(delta("hello"))
    styles = {text.plain[span.start : span.end].strip(): str(span.style) for span in text.spans}
    assert styles["coder"] == worker_style("coder")
    assert "hello" not in styles


def test_memory_does_not_grow_with_streams_that_never_end():
    renderer = Renderer(UTC)
    for number in range(3000):
        renderer.render(Shown("tool_call_start", {"id": str(number), "name": "x"}))
    assert len(renderer._shown_characters) <= 1000


def test_what_is_returned_is_new_text_each_time():
    renderer = Renderer(UTC)
    first = renderer.render(delta("a"))
    renderer.render(delta("b"))
    assert isinstance(first, Text)
    assert first.plain == f"{HEAD}a"

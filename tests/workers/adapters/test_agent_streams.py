"""Whole streams, and whatever may become of one on its way."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.adapters.mapping import NOW, Payload, event, payloads
from tests.workers.adapters.streams import ADAPTER_OF, DIRECTORY, STREAMS, story_of, stream_lines, told_lines
from yoi_runtime.workers.adapters import Adapter, make_adapter
from yoi_runtime.workers.adapters.auto_adapter import AGENT_ADAPTERS
from yoi_runtime.workers.line_splitter import Line

AGENTS = [adapter.name for adapter in AGENT_ADAPTERS]


def adapter(name: str) -> Adapter:
    return make_adapter(name, lambda: NOW)


def stream(name: str) -> list[bytes]:
    return stream_lines(DIRECTORY / f"{name}.stream")


def test_every_agent_has_a_stream_and_every_stream_names_its_source():
    assert set(ADAPTER_OF.values()) == set(AGENTS)
    readme = (DIRECTORY / "README.md").read_text("utf-8")
    assert [path.name for path in STREAMS if f"| `{path.name}` |" not in readme] == []


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_auto_recognises_the_agent_and_then_says_the_same(path: Path):
    lines = stream_lines(path)
    told = told_lines(adapter("auto"), lines)
    assert told == told_lines(adapter(ADAPTER_OF[path]), lines)
    assert len(told) > len(lines) / 2


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_one_run_begins_and_ends_and_every_call_is_answered(path: Path):
    told = told_lines(adapter("auto"), stream_lines(path))
    count = Counter(payload["event"] for payload in told)
    assert [count[name] for name in ("invoke_start", "turn_start", "turn_end", "run_end")] == [1, 1, 1, 1]
    assert event("run_end", result="finished") in told
    story = story_of(told)
    assert len({call_id for call_id, _, _ in story.calls}) == len(story.calls) >= 2
    assert {call_id for call_id, _, _ in story.calls} == {call_id for call_id, _, _ in story.answers}
    assert all(json.loads(arguments) for _, _, arguments in story.calls)
    assert count["tool_call_start"] == len(story.calls)
    assert count["error"] == 0


def test_claude_tells_the_same_story_whole_and_in_pieces():
    whole, pieces = (told_lines(adapter("auto"), stream(name)) for name in ("claude-code", "claude-code-partial"))
    story, same = story_of(whole), story_of(pieces)
    assert same._replace(calls=[]) == story._replace(calls=[])
    assert [(*call, json.loads(arguments)) for *call, arguments in same.calls] == [
        (*call, json.loads(arguments)) for *call, arguments in story.calls
    ]
    assert len(story.texts) == 3
    # Nothing is said twice: the pieces of the texts are the texts, and so it is with arguments.
    said = "".join(payload["data"]["text"] for payload in pieces if payload["event"] == "text_delta")
    assert said == "".join(story.texts)
    for call_id, name, arguments in same.calls:
        grown = [item["data"] for item in pieces if item["event"] == "tool_call_args_delta"]
        came = "".join(data["json"] for data in grown if data["id"] == call_id)
        assert came == (arguments if name != "Grep" else ""), "the sub-agent's call comes whole"


@pytest.mark.parametrize("cut", [0.3, 0.5, 0.9])
def test_whatever_is_lost_of_the_pieces_the_whole_message_says_it(cut: float):
    lines = stream("claude-code-partial")
    # Every so often a piece is missing, as after a torn line.
    kept = [
        line for number, line in enumerate(lines) if b"stream_event" not in line or (number * 7919) % 100 < 100 * cut
    ]
    assert len(kept) < len(lines)
    whole = story_of(told_lines(adapter("claude-code"), stream("claude-code")))
    story = story_of(told_lines(adapter("claude-code"), kept))
    assert {call_id for call_id, _, _ in story.calls} == {call_id for call_id, _, _ in whole.calls}
    assert story.answers == whole.answers


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_a_stream_that_breaks_off_anywhere_leaves_nothing_open(path: Path):
    data = b"\n".join(stream_lines(path))
    broken = 0
    for end in range(1, len(data), 97):
        told = told_lines(adapter(ADAPTER_OF[path]), data[:end].split(b"\n"))
        names = [payload["event"] for payload in told]
        for kind in ("text", "thinking"):
            last = [name for name in names if name.startswith(kind)][-1:]
            assert last in ([], [f"{kind}_done"])
        broken += any(
            name == "system_item" and payload["data"]["item"]["kind"].endswith(".broken_line")
            for name, payload in zip(names, told, strict=True)
        )
    assert broken > 5


# Anything


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
LINES = {
    name: [
        json.loads(line)
        for path in STREAMS
        if ADAPTER_OF[path] == name
        for line in stream_lines(path)
        if line.startswith(b"{")
    ]
    for name in AGENTS
}
exercised: Counter[str] = Counter()


@st.composite
def mutated(draw: st.DrawFn, name: str) -> object:
    """Draw a message of an agent in which one value, somewhere, is another one, is gone or stands elsewhere."""
    message = json.loads(json.dumps(draw(st.sampled_from(LINES[name]))))
    place: object = message
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place))) if isinstance(place, list) else []
        if not keys:
            return draw(JSON)
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):  # type: ignore[index]
            break
        place = place[key]  # type: ignore[index]
    match draw(st.sampled_from(["replace", "delete", "swap"])):
        case "replace":
            place[key] = draw(JSON)  # type: ignore[index]
        case "delete":
            del place[key]  # type: ignore[attr-defined]
        case "swap":
            place[key] = draw(st.sampled_from(LINES[name]))  # type: ignore[index]
    return message


@pytest.mark.parametrize("name", AGENTS)
@given(data=st.data())
def test_an_adapter_survives_whatever_comes_and_all_its_events_can_be_written(name: str, data: st.DataObject):
    forced, auto = adapter(name), adapter("auto")
    messages = data.draw(st.lists(mutated(name) | st.sampled_from(LINES[name]) | JSON, max_size=12))
    for number, message in enumerate(messages, 1):
        text = json.dumps(message).encode()
        cut = data.draw(st.sampled_from([0, 0, 0, 5]))
        line = Line(text[:-cut] if cut else text, number, cut)
        told = payloads(forced.stdout_line(line))
        payloads(auto.stdout_line(line))
        exercised[name] += len(told)
    payloads([*forced.stdout_end(), *auto.stdout_end()])


@pytest.mark.parametrize("name", AGENTS)
@given(lines=st.lists(st.binary(max_size=60) | st.text(max_size=30).map(str.encode), max_size=6))
def test_an_adapter_survives_bytes(name: str, lines: list[bytes]):
    exercised[f"{name}, bytes"] += len(told_lines(adapter(name), lines))


def test_the_counts_of_what_was_exercised(capsys: pytest.CaptureFixture[str]):
    with capsys.disabled():
        print("\nevents of arbitrary lines:", dict(exercised))  # noqa: T201  # the only trace of what chance chose


def marked(message: object, mark: str) -> object:
    """Return a message with every text replaced by a mark, but for those that say what kind it is."""
    if isinstance(message, dict):
        fixed = (
            "type",
            "subtype",
            "role",
            "method",
            "jsonrpc",
            "sessionUpdate",
            "status",
            "kind",
            "reason",
            "stopReason",
        )
        return {key: value if key in fixed else marked(value, mark) for key, value in message.items()}
    if isinstance(message, list):
        return [marked(value, mark) for value in message]
    return mark if isinstance(message, str) else message


def texts_in(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts_in(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts_in(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", AGENTS)
def test_no_text_is_in_the_events_that_was_not_in_the_lines(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    agent = adapter(name)
    found = 0
    for number, message in enumerate(LINES[name], 1):
        told: list[Payload] = payloads(agent.stdout_line(Line(json.dumps(marked(message, "§")).encode(), number)))
        for text in texts_in([payload.get("data") for payload in told]):
            found += "§" in text
            assert "sk-secret" not in text
            assert str(Path.cwd()) not in text
    assert found > 10

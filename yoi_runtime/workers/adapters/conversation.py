"""The course of one conversation: what of it is open, and the events that open and close it.

Agents tell their story in different words. What they have in common is held here: a run with its turn, one
text or block of thinking that grows, tools that are called and answer. So every adapter's events come in the
order that a transcript needs: a text that was begun is done before the next thing begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from yoi_runtime.events.conversation_events import InvokeKind, InvokeStart, RunEnd, RunResult, TurnEnd, TurnStart
from yoi_runtime.events.event import Event
from yoi_runtime.events.output_events import (
    TextDelta,
    TextDone,
    ThinkingDelta,
    ThinkingDone,
    ThinkingStart,
    ToolCallArgsDelta,
    ToolCallDone,
    ToolCallStart,
    ToolResult,
)
from yoi_runtime.workers.adapters.json_message import json_text, summary_of

__all__ = ["Conversation"]

# The size of the largest record: what is longer has to be cut there, and is announced there.
MAX_HELD_CHARACTERS: Final = 262_144
# Calls whose arguments still come, and calls remembered so that none is told twice.
MAX_GROWING_CALLS: Final = 16
MAX_KNOWN_CALLS: Final = 1000

_NOTHING: Mapping[str, object] = {}


class _Growing:
    """A text of which pieces come; its beginning is held."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0

    def add(self, piece: str) -> None:
        piece = piece[: MAX_HELD_CHARACTERS - self._size]
        self._size += len(piece)
        self._pieces.append(piece)

    def __str__(self) -> str:
        return "".join(self._pieces)


class _Call:
    """What was told of a tool call."""

    __slots__ = ("answered", "done", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.done = False
        self.answered = False


class Conversation:
    """Every method returns the events that come of it, in order.

    ``extra`` are further members of a call's events, and say that somebody else calls: that interrupts nothing.
    """

    def __init__(self) -> None:
        self._turn = 0
        self._is_running = False
        self._open: Literal["text", "thinking"] | None = None
        self._held = _Growing()
        self._growing: dict[str, _Growing] = {}
        self._calls: dict[str, _Call] = {}

    # The run.

    def begin(self, *said: Event, kind: InvokeKind = "user_send") -> list[Event]:
        """Begin a run with one turn, unless one is on; ``said`` is what set the agent to work."""
        if self._is_running:
            return [*self.close(), *said] if said else []
        self._is_running = True
        self._turn += 1
        return [*self.close(), InvokeStart(kind=kind), *said, TurnStart(turn=self._turn)]

    def end(self, result: RunResult = "finished") -> list[Event]:
        """End the run, if one is on."""
        events = self.close()
        if self._is_running:
            self._is_running = False
            turn_result: Literal["paused", "finished"] = "paused" if result == "paused" else "finished"
            events += [TurnEnd(turn=self._turn, result=turn_result), RunEnd(result=result)]
        return events

    # Text and thinking.

    def text(self, piece: str) -> list[Event]:
        """Go on with the text."""
        events = [*self._opened("text"), TextDelta(text=piece)]
        self._held.add(piece)
        return events

    def say(self, text: str) -> list[Event]:
        """Say a whole text; of one that was growing, it is all."""
        if self._open != "text":
            return [*self.close(), TextDone(text=text)]
        self._forget()
        return [TextDone(text=text)]

    def think(self, piece: str) -> list[Event]:
        """Go on with the thinking; an empty piece only begins it."""
        events = self._opened("thinking")
        if piece:
            events.append(ThinkingDelta(text=piece))
            self._held.add(piece)
        return events

    def thought(self, text: str) -> list[Event]:
        """Tell a whole block of thinking; of one that was growing, it is all."""
        events = self._opened("thinking")
        self._forget()
        return [*events, ThinkingDone(text=text)]

    def close(self) -> list[Event]:
        """Finish the text or the thinking that was growing."""
        if self._open is None:
            return []
        held = str(self._held)
        done = TextDone(text=held) if self._open == "text" else ThinkingDone(text=held)
        self._forget()
        return [done]

    def is_growing(self, kind: Literal["text", "thinking"]) -> bool:
        return self._open == kind

    def is_all_of(self, kind: Literal["text", "thinking"], text: str) -> bool:
        """Whether what is growing is the beginning of ``text``."""
        return self._open == kind and text.startswith(str(self._held))

    def _opened(self, kind: Literal["text", "thinking"]) -> list[Event]:
        if self._open == kind:
            return []
        events = self.close()
        self._open = kind
        return [*events, ThinkingStart()] if kind == "thinking" else events

    def _forget(self) -> None:
        self._open = None
        self._held = _Growing()

    # Tools.

    def start_call(self, call_id: str, name: str, extra: Mapping[str, object] = _NOTHING) -> list[Event]:
        """Begin a call, unless it was begun."""
        if call_id in self._calls:
            return []
        while len(self._calls) >= MAX_KNOWN_CALLS:
            del self._calls[next(iter(self._calls))]
        self._calls[call_id] = _Call(name)
        return [*self._interrupted(extra), ToolCallStart.model_validate({"id": call_id, "name": name, **extra})]

    def grow_call(self, call_id: str, piece: str) -> list[Event]:
        """Go on with a call's arguments."""
        if call_id not in self._growing:
            while len(self._growing) >= MAX_GROWING_CALLS:
                del self._growing[next(iter(self._growing))]
            self._growing[call_id] = _Growing()
        self._growing[call_id].add(piece)
        return [ToolCallArgsDelta(id=call_id, json=piece)]

    def grown_arguments(self, call_id: str) -> str:
        """Return what came of a call's arguments in pieces."""
        return str(self._growing.get(call_id, ""))

    def call(self, call_id: str, name: str, arguments: str, extra: Mapping[str, object] = _NOTHING) -> list[Event]:
        """Tell a whole call, or what was not told of it yet; ``arguments`` is JSON text."""
        events = self.start_call(call_id, name, extra)
        known = self._calls[call_id]
        self._growing.pop(call_id, None)
        if not known.done:
            known.done = True
            data = {"id": call_id, "name": known.name or name, "arguments": arguments, **extra}
            events += [*self._interrupted(extra), ToolCallDone.model_validate(data)]
        return events

    def is_called(self, call_id: str) -> bool:
        """Whether a call was told to its end."""
        return call_id in self._calls and self._calls[call_id].done

    def answer(
        self,
        call_id: str,
        output: str,
        *,
        is_error: bool = False,
        summary: str = "",
        extra: Mapping[str, object] = _NOTHING,
    ) -> list[Event]:
        """Tell what a tool answered, unless it was told."""
        known = self._calls.get(call_id)
        if known is not None:
            if known.answered:
                return []
            known.answered = True
        result: dict[str, object] = {
            "id": call_id,
            "summary": summary or summary_of(output),
            "output": output or None,
            "is_error": is_error,
        }
        return [*self._interrupted(extra), ToolResult.model_validate({**result, **extra})]

    def _interrupted(self, extra: Mapping[str, object]) -> list[Event]:
        return [] if extra else self.close()

    def whole_call(
        self, call_id: str, name: str, arguments: object, output: str, *, is_error: bool, summary: str = ""
    ) -> list[Event]:
        """Tell a call and its answer, as far as they were not told yet."""
        return [
            *self.call(call_id, name, json_text(arguments)),
            *self.answer(call_id, output, is_error=is_error, summary=summary),
        ]

"""``claude-code``: Claude Code's ``--output-format stream-json``, with and without ``--include-partial-messages``.

A message of the model comes whole, block by block (``assistant``), and with partial messages also in pieces before
that (``stream_event``): the pieces are told as they come, and of the whole only what was not told. Sub-agents speak
in lines that bear ``parent_tool_use_id``: their tool calls are told as calls, and what they say is kept, because the
text of a Worker is what the agent itself says. Mapping: docs/adapters.md, "Claude Code".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import ClassVar, Final
from uuid import UUID

from yoi_runtime.events.conversation_events import LlmCallEnd, LlmCallStart, LlmRetry, RunResult, UserMessage
from yoi_runtime.events.event import Event
from yoi_runtime.events.input_segments import TextSegment
from yoi_runtime.events.session_events import CompactDone, CompactStart
from yoi_runtime.workers.adapters.adapter import NowMs
from yoi_runtime.workers.adapters.agent_adapter import AgentAdapter
from yoi_runtime.workers.adapters.json_message import (
    Message,
    count,
    json_text,
    object_in,
    objects,
    parse_message,
    string,
    sum_of,
)

__all__ = ["ClaudeCodeAdapter"]

_LIMITS: Final = ("error_max_turns", "error_max_budget_usd", "error_max_structured_output_retries")
# Messages whose pieces are remembered until they have come whole: one at a time, and a few to be safe.
_MAX_STREAMED: Final = 8
_NO_PARENT: Mapping[str, object] = {}
_U32_MAX: Final = 2**32 - 1
_U16_MAX: Final = 2**16 - 1


class ClaudeCodeAdapter(AgentAdapter):
    """One run of ``claude``."""

    name: ClassVar[str] = "claude-code"

    def __init__(self, now_ms: NowMs) -> None:
        super().__init__(now_ms)
        self._llm_call = 0
        self._retry_waited_ms = 0
        # By message id: how many blocks of each kind were told in pieces and have not come whole.
        self._streamed: dict[str, Counter[str]] = {}
        self._streaming_id = ""
        self._block_begun: Message = {}
        self._start_usage: Message = {}
        # Of the run that is on.
        self._has_spoken = self._has_told_usage = self._has_told_error = False

    @classmethod
    def recognises(cls, message: Message) -> bool:
        match message:
            case {"type": "system", "subtype": str(), "session_id": str()}:
                return True
            case {"type": "assistant" | "user", "message": dict(), "session_id": str()}:
                return True
            case {"type": "stream_event", "event": dict(), "session_id": str()}:
                return True
            case {"type": "result", "subtype": str(), "session_id": str()}:
                return True
            case _:
                return False

    def translate(self, message: Message) -> list[Event]:
        match message.get("type"):
            case "system":
                return self._system(message)
            case "assistant":
                return self._assistant(message)
            case "user":
                return self._user(message)
            case "stream_event" if string(message, "parent_tool_use_id"):
                # A sub-agent's message comes whole as well.
                return []
            case "stream_event":
                return self._stream_event(object_in(message, "event"))
            case "result":
                return self._result(message)
            case _:
                return [self.keep(string(message, "type"), message)]

    # What the program says of itself.

    def _system(self, message: Message) -> list[Event]:
        kept = self.keep(f"system.{string(message, 'subtype')}", message)
        match message.get("subtype"):
            case "init":
                self._forget_run()
                return [kept, *self.conversation.begin()]
            case "api_retry":
                retry = self._llm_retry(message)
                return [kept] if retry is None else [retry]
            case "thinking_tokens":
                # An estimate for every few tokens of thinking, most lines of some streams; the cost comes as usage.
                return []
            case "status" if message.get("status") == "requesting":
                return []
            case "status" if message.get("status") == "compacting":
                return [*self.conversation.close(), CompactStart()]
            case "compact_boundary":
                try:
                    return [CompactDone(new_segment_id=UUID(string(message, "uuid"))), kept]
                except ValueError:
                    return [kept]
            case _:
                return [kept]

    def _llm_retry(self, message: Message) -> Event | None:
        attempt, attempts, wait_ms = (count(message, name) for name in ("attempt", "max_retries", "retry_delay_ms"))
        if attempt is None or attempts is None or wait_ms is None or max(attempt, attempts) > _U32_MAX:
            return None
        status = count(message, "error_status")
        error = message.get("error")
        waited_ms = 0 if attempt <= 1 else self._retry_waited_ms
        self._retry_waited_ms = min(waited_ms + wait_ms, 2**64 - 1)
        return LlmRetry(
            llm_call=self._llm_call + 1,
            failed_attempt=attempt,
            max_attempts=attempts,
            wait_ms=wait_ms,
            # Claude Code does not say: what it has waited so far, at least that.
            elapsed_ms=waited_ms,
            status=status if status is not None and status <= _U16_MAX else None,
            error=error if isinstance(error, str) else json_text(error),
        )

    def _result(self, message: Message) -> list[Event]:
        events = self.conversation.close()
        subtype, text = string(message, "subtype"), string(message, "result")
        is_error = message.get("is_error") is True or subtype.startswith("error_")
        if text and not is_error and not self._has_spoken:
            events += self.conversation.say(text)
        if not self._has_told_usage:
            events += self._usage(object_in(message, "usage"))
        result: RunResult = "limit_reached" if subtype in _LIMITS else "finished"
        if is_error and result == "finished" and not self._has_told_error:
            errors = message.get("errors")
            said = [error for error in errors if isinstance(error, str)] if isinstance(errors, list) else []
            events += self.error("provider_error", text or "\n".join(said) or subtype)
        # The text is the last one that was said.
        rest = {name: value for name, value in message.items() if name != "result"}
        self._forget_run()
        return [*events, self.keep("result", rest), *self.conversation.end(result)]

    def _forget_run(self) -> None:
        self._has_spoken = self._has_told_usage = self._has_told_error = False

    def _usage(self, usage: Message) -> list[Event]:
        """Return the cost of one request, or of all of a run; the API does not count cache hits as input."""
        read = count(usage, "cache_read_input_tokens")
        tokens_in = sum_of(count(usage, "input_tokens"), count(usage, "cache_creation_input_tokens"), read)
        events = self.usage(tokens_in, count(usage, "output_tokens"), read)
        self._has_told_usage = self._has_told_usage or bool(events)
        return events

    # Whole messages.

    def _assistant(self, line: Message) -> list[Event]:
        message = object_in(line, "message")
        parent = string(line, "parent_tool_use_id")
        blocks = objects(message, "content")
        if parent:
            return [event for block in blocks for event in self._sub_agent_block(parent, block)]
        events = self.conversation.begin()
        for block in blocks:
            events += self._block(string(message, "id"), block)
        failure = line.get("error")
        if failure:
            self._has_told_error = True
            name = failure if isinstance(failure, str) else json_text(failure)
            said = " ".join(string(block, "text") for block in blocks).strip()
            events += self.error("provider_error", f"{name}: {said}" if said else name)
        return events

    def _block(self, message_id: str, block: Message) -> list[Event]:
        kind, text = string(block, "type"), string(block, "text")
        match kind:
            case "text" if text:
                self._has_spoken = True
                if not self._came_in_pieces(message_id, kind) or self.conversation.is_all_of("text", text):
                    return self.conversation.say(text)
                return []
            case "text":
                return []
            case "thinking" | "redacted_thinking":
                thinking = string(block, "thinking")
                if not self._came_in_pieces(message_id, kind) or self.conversation.is_all_of("thinking", thinking):
                    return self.conversation.thought(thinking)
                return []
            case _:
                told = self._tool_block(block, _NO_PARENT)
                return [self.keep(f"assistant.{kind}", block)] if told is None else told

    def _came_in_pieces(self, message_id: str, kind: str) -> bool:
        """Whether a block of this kind was told in pieces; each such block is asked for once."""
        # Where the beginning of a message was lost, its pieces bear no id.
        told = self._streamed.get(message_id) or self._streamed.get("")
        if told is None or told[kind] == 0:
            return False
        told[kind] -= 1
        return True

    def _sub_agent_block(self, parent: str, block: Message) -> list[Event]:
        told = self._tool_block(block, {"parent_tool_use_id": parent})
        return [self.keep("subagent", {"parent_tool_use_id": parent, "block": block})] if told is None else told

    def _tool_block(self, block: Message, extra: Mapping[str, object]) -> list[Event] | None:
        """Return the events of a call, or of an answer, to a tool, also one that runs at the provider; else None."""
        kind = string(block, "type")
        if kind.endswith("tool_use"):
            call_id, whole = string(block, "id"), block.get("input", {})
            # Where the pieces say the same, they are the arguments to the letter.
            grown = self.conversation.grown_arguments(call_id)
            arguments = grown if grown and parse_message(grown) == whole else json_text(whole)
            return self.conversation.call(call_id, string(block, "name"), arguments, extra)
        if not kind.endswith("tool_result"):
            return None
        call_id, is_error, content = string(block, "tool_use_id"), block.get("is_error") is True, block.get("content")
        if isinstance(content, str):
            return self.conversation.answer(call_id, content, is_error=is_error, extra=extra)
        parts = objects(block, "content")
        texts = [string(part, "text") for part in parts if part.get("type") == "text"]
        others = [part for part in parts if part.get("type") != "text"]
        if not isinstance(content, list):
            texts = [] if content is None else [json_text(content)]
        summary = "" if texts else ", ".join(string(part, "type") for part in others)
        return [
            *self.conversation.answer(call_id, "\n".join(texts), is_error=is_error, summary=summary, extra=extra),
            *(self.keep(f"{kind}.{string(part, 'type')}", {"tool_use_id": call_id, "part": part}) for part in others),
        ]

    def _user(self, line: Message) -> list[Event]:
        message = object_in(line, "message")
        parent = string(line, "parent_tool_use_id")
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else objects(message, "content")
        if parent:
            return [event for block in blocks for event in self._sub_agent_block(parent, block)]
        said: list[Event] = []
        events: list[Event] = []
        for block in blocks:
            told = self._tool_block(block, _NO_PARENT)
            if told is not None:
                events += told
            elif block.get("type") == "text" and line.get("isSynthetic") is not True:
                said.append(UserMessage(segments=(TextSegment(content=string(block, "text")),)))
            else:
                events.append(self.keep(f"user.{string(block, 'type')}", block))
        return [*(self.conversation.begin(*said) if said else ()), *events]

    # Messages in pieces.

    def _stream_event(self, event: Message) -> list[Event]:
        match event.get("type"):
            case "message_start":
                return self._message_start(object_in(event, "message"))
            case "content_block_start":
                self._block_begun = object_in(event, "content_block")
                return self._block_start(self._block_begun)
            case "content_block_delta":
                return self._delta(object_in(event, "delta"))
            case "content_block_stop":
                block, self._block_begun = self._block_begun, {}
                return [*self._call_stop(block), *self.conversation.close()]
            case "message_delta":
                more = {name: value for name, value in object_in(event, "usage").items() if value is not None}
                return self._usage({**self._start_usage, **more}) if more else []
            case "message_stop":
                self._streaming_id = ""
                return [*self.conversation.close(), LlmCallEnd(llm_call=self._llm_call)]
            case "ping":
                return []
            case "error":
                self._has_told_error = True
                return self.error("provider_error", string(object_in(event, "error"), "message"))
            case _:
                return [self.keep(f"stream_event.{string(event, 'type')}", event)]

    def _message_start(self, message: Message) -> list[Event]:
        self._streaming_id = string(message, "id")
        self._start_usage = object_in(message, "usage")
        self._streamed.pop(self._streaming_id, None)
        while len(self._streamed) >= _MAX_STREAMED:
            del self._streamed[next(iter(self._streamed))]
        self._streamed[self._streaming_id] = Counter()
        self._llm_call += 1
        return [*self.conversation.begin(), *self.conversation.close(), LlmCallStart(llm_call=self._llm_call)]

    def _block_start(self, block: Message) -> list[Event]:
        kind = string(block, "type")
        if kind in ("thinking", "redacted_thinking"):
            events = self.conversation.close()
            self._note_piece(kind)
            return [*events, *self.conversation.think(string(block, "thinking"))]
        if kind == "text" and string(block, "text"):
            return self._text_piece(string(block, "text"))
        if kind.endswith("tool_use"):
            return self.conversation.start_call(string(block, "id"), string(block, "name"))
        # Of all others the whole comes.
        return []

    def _delta(self, delta: Message) -> list[Event]:
        kind = string(delta, "type")
        match kind:
            case "text_delta":
                return self._text_piece(string(delta, "text"))
            case "thinking_delta":
                if not self.conversation.is_growing("thinking"):
                    self._note_piece("thinking")
                return self.conversation.think(string(delta, "thinking"))
            case "input_json_delta":
                call_id, piece = string(self._block_begun, "id"), string(delta, "partial_json")
                return self.conversation.grow_call(call_id, piece) if call_id and piece else []
            case "signature_delta":
                return []
            case _:
                return [self.keep(f"stream_event.{kind}", delta)]

    def _text_piece(self, piece: str) -> list[Event]:
        self._has_spoken = True
        if not self.conversation.is_growing("text"):
            self._note_piece("text")
        return self.conversation.text(piece) if piece else []

    def _note_piece(self, kind: str) -> None:
        """Note that a block of this kind is told in pieces."""
        self._streamed.setdefault(self._streaming_id, Counter())[kind] += 1

    def _call_stop(self, block: Message) -> list[Event]:
        call_id = string(block, "id")
        if not string(block, "type").endswith("tool_use") or not call_id:
            return []
        arguments = self.conversation.grown_arguments(call_id) or json_text(block.get("input", {}))
        return self.conversation.call(call_id, string(block, "name"), arguments)

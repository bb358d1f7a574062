"""``acp``: the Agent Client Protocol: JSON-RPC 2.0, one message a line, of an agent or of both sides.

A program that drives an agent can write down what passes between them; the agent alone sends updates and responses.
A prompt is a run; its response ends it. Mapping: docs/adapters.md, "Agent Client Protocol".
"""

from __future__ import annotations

from typing import ClassVar, Final

from yoi_runtime.events.conversation_events import RunResult, Status, UserMessage
from yoi_runtime.events.event import Event
from yoi_runtime.events.input_segments import FileRefSegment, InputSegment, TextSegment
from yoi_runtime.workers.adapters.adapter import NowMs
from yoi_runtime.workers.adapters.agent_adapter import AgentAdapter
from yoi_runtime.workers.adapters.json_message import Message, count, json_text, object_in, objects, string, sum_of

__all__ = ["AcpAdapter"]

_RUN_RESULTS: Final[dict[str, RunResult]] = {
    "end_turn": "finished",
    "refusal": "finished",
    "max_tokens": "limit_reached",
    "max_turn_requests": "limit_reached",
    "cancelled": "paused",
}
_MAX_HELD_CHARACTERS: Final = 262_144
_MAX_REQUESTS: Final = 100
_MAX_CALLS: Final = 200


class _ToolCall:
    """What updates have said of a tool call so far; each says only what changed."""

    def __init__(self) -> None:
        self.name = ""
        self.input: object = None
        self.output: object = None
        self.content: list[Message] = []


class AcpAdapter(AgentAdapter):
    """One connection to an agent."""

    name: ClassVar[str] = "acp"

    def __init__(self, now_ms: NowMs) -> None:
        super().__init__(now_ms)
        # Requests without an answer yet, oldest first: (id, method). Both sides number their own.
        self._requests: list[tuple[object, str]] = []
        self._has_seen_prompts = False
        self._calls: dict[str, _ToolCall] = {}
        # Pieces of a user's message, which has no event for a piece.
        self._user_text: list[str] = []
        self._user_characters = 0
        self._message_id: object = None

    @classmethod
    def recognises(cls, message: Message) -> bool:
        if message.get("jsonrpc") != "2.0":
            return False
        if string(message, "method").startswith("session/"):
            return True
        # MCP, which is JSON-RPC as well, has texts for versions.
        both = (object_in(message, "params"), object_in(message, "result"))
        return any(count(said, "protocolVersion") is not None for said in both) or "stopReason" in both[1]

    def translate(self, message: Message) -> list[Event]:
        method = string(message, "method")
        params = object_in(message, "params")
        if method == "session/update":
            return self._update(object_in(params, "update"), message)
        events = self._user_message()
        if method:
            if "id" in message:
                self._requests = [*self._requests[-_MAX_REQUESTS:], (message["id"], method)]
            return events + (self._prompt(params) if method == "session/prompt" else [self.keep(method, message)])
        answered = self._answered(message.get("id"))
        if "error" in message:
            return events + self._failure(answered, message)
        if "stopReason" in object_in(message, "result"):
            return events + self._response(object_in(message, "result"))
        return [*events, self.keep("response" if "result" in message else "unknown", message)]

    def _answered(self, request_id: object) -> str:
        """Return the method of the request that a response answers: the latest of this id."""
        for index in range(len(self._requests) - 1, -1, -1):
            if self._requests[index][0] == request_id:
                return self._requests.pop(index)[1]
        return ""

    def stdout_end(self) -> list[Event]:
        return [*self._user_message(), *super().stdout_end()]

    # Prompts and what they come to.

    def _prompt(self, params: Message) -> list[Event]:
        self._has_seen_prompts = True
        blocks = objects(params, "prompt")
        segments: list[InputSegment] = []
        others: list[Event] = []
        for block in blocks:
            match block:
                case {"type": "text", "text": str(text)}:
                    segments.append(TextSegment(content=text))
                case {"type": "resource_link", "uri": str(uri)}:
                    segments.append(FileRefSegment(path=uri))
                case _:
                    others.append(self.keep(f"prompt.{string(block, 'type')}", block))
        return [
            Status(status="running"),
            *self.conversation.begin(UserMessage(segments=tuple(segments))),
            *others,
        ]

    def _response(self, result: Message) -> list[Event]:
        reason = string(result, "stopReason")
        events = self.conversation.close()
        usage = object_in(result, "usage")
        # Cache hits are counted beside the input.
        read = count(usage, "cachedReadTokens")
        tokens_in = sum_of(count(usage, "inputTokens"), read, count(usage, "cachedWriteTokens"))
        events += self.usage(tokens_in, count(usage, "outputTokens"), read)
        if reason == "refusal":
            events.append(self.alert("warn", "the agent refused to go on"))
        return [*events, *self._ended(_RUN_RESULTS.get(reason, "finished"))]

    def _failure(self, method: str, message: Message) -> list[Event]:
        if method.startswith(("fs/", "terminal/")):
            # What the agent asked of its client; the tool call tells what came of it.
            return [self.keep("error", message)]
        error = object_in(message, "error")
        events = self.error("provider_error", string(error, "message"))
        if "data" in error:
            events.append(self.keep("error", message))
        # Of an agent alone the requests are not heard.
        is_prompt = method == "session/prompt" or not (method or self._has_seen_prompts)
        return events + self._ended("finished") if is_prompt else events

    def _ended(self, result: RunResult) -> list[Event]:
        return [*self.conversation.end(result), Status(status="idle")]

    # Updates.

    def _update(self, update: Message, message: Message) -> list[Event]:
        kind = string(update, "sessionUpdate")
        content = object_in(update, "content")
        if kind == "user_message_chunk" and content.get("type") == "text":
            return self._user_piece(update.get("messageId"), string(content, "text"))
        events = self._user_message()
        match kind:
            case "agent_message_chunk" if content.get("type") == "text":
                events += self._new_message(update)
                events += self._begun_unheard()
                return events + self.conversation.text(string(content, "text"))
            case "agent_thought_chunk" if content.get("type") == "text":
                events += self._new_message(update)
                events += self._begun_unheard()
                return events + self.conversation.think(string(content, "text"))
            case "tool_call" | "tool_call_update":
                events += self._begun_unheard()
                return events + self._tool_call(update)
            case _:
                return [*events, self.keep(kind, object_in(message, "params"))]

    def _begun_unheard(self) -> list[Event]:
        """Begin a run where the agent alone is heard; an update that comes after an answered prompt begins none."""
        return [] if self._has_seen_prompts else self.conversation.begin()

    def _new_message(self, update: Message) -> list[Event]:
        """Finish what was growing when a piece says that it belongs to another message."""
        message_id = update.get("messageId")
        if message_id == self._message_id:
            return []
        self._message_id = message_id
        return self.conversation.close()

    def _user_piece(self, message_id: object, text: str) -> list[Event]:
        events = self._user_message() if message_id != self._message_id else []
        self._message_id = message_id
        text = text[: _MAX_HELD_CHARACTERS - self._user_characters]
        self._user_characters += len(text)
        self._user_text.append(text)
        return events

    def _user_message(self) -> list[Event]:
        """Tell the user's message of which pieces were held."""
        if not self._user_text:
            return []
        text = "".join(self._user_text)
        self._user_text, self._user_characters = [], 0
        return self.conversation.begin(UserMessage(segments=(TextSegment(content=text),)))

    def _tool_call(self, update: Message) -> list[Event]:
        call_id = string(update, "toolCallId")
        call = self._calls.pop(call_id, None) or _ToolCall()
        while len(self._calls) >= _MAX_CALLS:
            del self._calls[next(iter(self._calls))]
        call.name = string(update, "name") or call.name or string(update, "title") or string(update, "kind")
        if update.get("rawInput") is not None:
            call.input = update["rawInput"]
        if update.get("rawOutput") is not None:
            call.output = update["rawOutput"]
        if isinstance(update.get("content"), list):
            call.content = objects(update, "content")
        status = string(update, "status")
        if status not in ("completed", "failed"):
            self._calls[call_id] = call
        events = self.conversation.start_call(call_id, call.name)
        # Pending, with no input or an empty one: the input may still stream.
        if call.input or status in ("in_progress", "completed", "failed"):
            events += self.conversation.call(call_id, call.name, json_text({} if call.input is None else call.input))
        if status in ("completed", "failed"):
            events += self._tool_answer(call_id, call, is_error=status == "failed")
        return events

    def _tool_answer(self, call_id: str, call: _ToolCall, *, is_error: bool) -> list[Event]:
        texts = [string(object_in(part, "content"), "text") for part in call.content if _is_text(part)]
        others = [part for part in call.content if not _is_text(part)]
        if not texts and call.output is not None:
            texts = [call.output if isinstance(call.output, str) else json_text(call.output)]
        summary = "" if texts else ", ".join(_described(part) for part in others)
        return [
            *self.conversation.answer(call_id, "\n".join(texts), is_error=is_error, summary=summary),
            *(self.keep(f"tool_call.{string(part, 'type')}", {"toolCallId": call_id, "part": part}) for part in others),
        ]


def _is_text(part: Message) -> bool:
    return part.get("type") == "content" and object_in(part, "content").get("type") == "text"


def _described(part: Message) -> str:
    where = string(part, "path") or string(part, "terminalId") or string(object_in(part, "content"), "type")
    return f"{string(part, 'type')} {where}".strip()

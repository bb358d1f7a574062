"""The fold from a Worker's events to its transcript: pure, and part of the protocol.

Whoever holds an answer of the transcript goes on with the stream from its ``as_of_cursor``:

    fold = TranscriptFold.resume(answer)
    for event in stream:
        items += fold.apply(event)

and then has exactly what the Runtime would answer. That holds from any page, because all that an event can
still change stands in ``in_progress``; items are only ever added. Specification: docs/transcript.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from yoi_runtime.protocol.frames import SNAPSHOT_PREFIX
from yoi_runtime.protocol.transcript_items import (
    BLOCK_KINDS,
    BlockKind,
    InProgress,
    ItemKind,
    TranscriptAnswer,
    TranscriptItem,
)

__all__ = [
    "ENDING_EVENT_NAMES",
    "MAX_OPEN_BLOCKS",
    "MAX_OPEN_CHARACTERS",
    "TRANSCRIPT_EVENT_NAMES",
    "Block",
    "TranscriptEvent",
    "TranscriptFold",
]

# The size of the largest record: a text that streams on beyond it would not fit into its text_done either.
MAX_OPEN_CHARACTERS = 262_144
"""So much text of the blocks of one kind in progress is kept, for one Worker; more is counted."""

MAX_OPEN_BLOCKS = 64
"""So many blocks may be in progress; one more, and the oldest is taken for cut off."""

_TEXT_OF: dict[BlockKind, str] = {"text": "text", "thinking": "text", "tool_call": "arguments"}


class TranscriptEvent(NamedTuple):
    """What the fold needs of an event. ``data``: its payload's data; empty where there is none."""

    event_name: str
    data: Mapping[str, object]
    event_id: str
    cursor: str
    worker_seq: int
    time: str


class Block:
    """A block in progress. ``text`` is ``saved`` and then ``parts``: whoever keeps it knows what is new since."""

    __slots__ = ("event_id", "fixed", "kind", "omitted", "parts", "saved", "size", "started_at", "time", "worker_seq")

    def __init__(self, kind: BlockKind, fixed: dict[str, object], started_at: str) -> None:
        self.kind = kind
        self.fixed = fixed
        self.started_at = started_at
        self.saved = ""
        self.parts: list[str] = []
        self.size = 0
        self.omitted = 0
        self.event_id = ""
        self.worker_seq = 0
        self.time = started_at

    @property
    def text(self) -> str:
        return self.saved + "".join(self.parts)

    @property
    def data(self) -> dict[str, object]:
        return {**self.fixed, _TEXT_OF[self.kind]: self.text}

    def touched(self, event: TranscriptEvent) -> None:
        """Take note of the latest event that belongs to the block."""
        self.event_id, self.worker_seq, self.time = event.event_id, event.worker_seq, event.time

    def in_progress(self) -> InProgress:
        """Return the block as it is answered."""
        return self.with_text(self.text)

    def with_text(self, text: str) -> InProgress:
        """Return the block as it is answered, but for its text."""
        return InProgress(
            kind=self.kind,
            event_id=self.event_id,
            worker_seq=self.worker_seq,
            time=self.time,
            started_at=self.started_at,
            omitted_characters=self.omitted,
            data={**self.fixed, _TEXT_OF[self.kind]: text},
        )

    @classmethod
    def of(cls, shown: InProgress) -> Block:
        """Return the block that was answered as ``shown``."""
        member = _TEXT_OF[shown.kind]
        block = cls(shown.kind, {name: value for name, value in shown.data.items() if name != member}, shown.started_at)
        block.saved = _text(shown.data, member)
        block.size, block.omitted = len(block.saved), shown.omitted_characters
        block.event_id, block.worker_seq, block.time = shown.event_id, shown.worker_seq, shown.time
        return block


class TranscriptFold:
    """The state of one Worker's transcript behind its finished items. Not for two threads at once.

    Feed it every event of the Worker, in order; those that concern no transcript only move its place.
    """

    __slots__ = ("as_of_cursor", "next_index", "open", "open_size", "worker_seq")

    def __init__(
        self, next_index: int = 0, worker_seq: int = 0, as_of_cursor: str = "", blocks: Iterable[Block] = ()
    ) -> None:
        self.next_index = next_index
        self.worker_seq = worker_seq
        self.as_of_cursor = as_of_cursor
        # In the order in which they began.
        self.open: dict[str, Block] = {_key_of(block): block for block in blocks}
        # Characters by kind: thinking, which not everybody is shown, must not take the room of the rest.
        self.open_size: dict[BlockKind, int] = dict.fromkeys(BLOCK_KINDS, 0)
        for block in self.open.values():
            self.open_size[block.kind] += block.size

    @classmethod
    def resume(cls, answer: TranscriptAnswer) -> TranscriptFold:
        """Go on where ``answer``, whatever page of a transcript, was taken."""
        blocks = [Block.of(shown) for shown in answer.in_progress]
        return cls(answer.total_items, answer.worker_seq, answer.as_of_cursor, blocks)

    def in_progress(self) -> tuple[InProgress, ...]:
        """Return the blocks of which more is to come."""
        return tuple(block.in_progress() for block in self.open.values())

    def apply(self, event: TranscriptEvent) -> list[TranscriptItem]:
        """Take in the next event, and return the items that it completes.

        An event that was taken in before changes nothing. One whose number is higher than the next puts a ``gap``
        first. The snapshot with which a v0 stream begins is no event of the log and is passed over.
        """
        if event.worker_seq <= self.worker_seq or event.event_id.startswith(SNAPSHOT_PREFIX):
            return []
        items = [] if event.worker_seq == self.worker_seq + 1 else self.lose(event.worker_seq - 1, event.time)
        self.worker_seq = event.worker_seq
        self.as_of_cursor = event.cursor
        take = _TAKERS.get(event.event_name)
        if take is not None:
            take(self, event, items)
        return items

    def lose(self, last_worker_seq: int, time: str) -> list[TranscriptItem]:
        """Take note that the events up to ``last_worker_seq`` are missing; returns what is cut off, and the gap."""
        items: list[TranscriptItem] = []
        self._cut_off(items)
        items.append(
            TranscriptItem(
                index=self._take_index(),
                kind="gap",
                worker_seq=last_worker_seq,
                time=time,
                data={"events": last_worker_seq - self.worker_seq},
            )
        )
        self.worker_seq = last_worker_seq
        return items

    # What each event does.

    def _take_whole(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        """Make an item of an event as it is."""
        items.append(self._of_event(event.event_name, event))  # type: ignore[arg-type]  # the table says of which

    def _take_end(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        """Cut off what is in progress, then make an item of the event."""
        self._cut_off(items)
        self._take_whole(event, items)

    def _take_boundary(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        """What was in progress before this event gets no more."""
        self._cut_off(items)

    def _take_snapshot(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        """Begin anew from the snapshot; what it says is in progress replaces what was."""
        blocks = list(_in_flight(event))
        if blocks:
            self.open.clear()
            self.open_size = dict.fromkeys(BLOCK_KINDS, 0)
        else:
            self._cut_off(items)
        self._take_whole(event, items)
        for block, text in blocks:
            self._cut_off(items, _key_of(block))
            self._open(_key_of(block), block, items)
            self._grow(block, text, event)

    def _take_text_delta(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        block = self.open.get("text") or self._begin("text", "text", {}, event, items)
        self._grow(block, _text(event.data, "text"), event)

    def _take_text_done(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        self._finish("text", "text", event, items)

    def _take_thinking_start(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        self._cut_off(items, "thinking")
        self._begin("thinking", "thinking", {}, event, items).touched(event)

    def _take_thinking_delta(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        block = self.open.get("thinking") or self._begin("thinking", "thinking", {}, event, items)
        self._grow(block, _text(event.data, "text"), event)

    def _take_thinking_done(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        self._finish("thinking", "thinking", event, items)

    def _take_tool_call_start(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        key = _call_key(event.data)
        self._cut_off(items, key)
        fixed: dict[str, object] = {"id": _text(event.data, "id"), "name": _text(event.data, "name")}
        self._begin("tool_call", key, fixed, event, items).touched(event)

    def _take_tool_call_args_delta(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        key = _call_key(event.data)
        block = self.open.get(key)
        if block is None:
            block = self._begin("tool_call", key, {"id": _text(event.data, "id")}, event, items)
        self._grow(block, _text(event.data, "json"), event)

    def _take_tool_call_done(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        self._finish("tool_call", _call_key(event.data), event, items)

    def _take_lost(self, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        """Put a gap where a repaired log says that an event was."""
        self.worker_seq -= 1
        items += self.lose(event.worker_seq, event.time)

    # Blocks and items.

    def _begin(
        self,
        kind: BlockKind,
        key: str,
        fixed: dict[str, object],
        event: TranscriptEvent,
        items: list[TranscriptItem],
    ) -> Block:
        block = Block(kind, fixed, event.time)
        self._open(key, block, items)
        return block

    def _open(self, key: str, block: Block, items: list[TranscriptItem]) -> None:
        if len(self.open) >= MAX_OPEN_BLOCKS:
            self._cut_off(items, next(iter(self.open)))
        self.open[key] = block

    def _grow(self, block: Block, text: str, event: TranscriptEvent) -> None:
        room = MAX_OPEN_CHARACTERS - self.open_size[block.kind]
        size = len(text)
        if size > room or block.omitted:
            # Once something is left out, all that follows is: what is kept is a beginning.
            text = "" if block.omitted else text[:room]
            block.omitted += size - len(text)
            size = len(text)
        block.parts.append(text)
        block.size += size
        self.open_size[block.kind] += size
        block.touched(event)

    def _finish(self, kind: ItemKind, key: str, event: TranscriptEvent, items: list[TranscriptItem]) -> None:
        block = self.open.pop(key, None)
        started_at = event.time
        if block is not None:
            self.open_size[block.kind] -= block.size
            started_at = block.started_at
        items.append(self._of_event(kind, event, started_at, finished=True))

    def _cut_off(self, items: list[TranscriptItem], only: str | None = None) -> None:
        """Make items of the blocks that get no ``…_done`` any more: all, or ``only`` this one, if it is there."""
        for key in list(self.open) if only is None else [only] if only in self.open else []:
            block = self.open.pop(key)
            self.open_size[block.kind] -= block.size
            items.append(
                TranscriptItem(
                    index=self._take_index(),
                    kind=block.kind,
                    event_id=block.event_id,
                    worker_seq=block.worker_seq,
                    time=block.time,
                    started_at=block.started_at,
                    finished=False,
                    omitted_characters=block.omitted,
                    data=block.data,
                )
            )

    def _of_event(
        self, kind: ItemKind, event: TranscriptEvent, started_at: str | None = None, *, finished: bool | None = None
    ) -> TranscriptItem:
        return TranscriptItem(
            index=self._take_index(),
            kind=kind,
            event_id=event.event_id,
            worker_seq=event.worker_seq,
            time=event.time,
            started_at=started_at,
            finished=finished,
            data=dict(event.data),
        )

    def _take_index(self) -> int:
        index = self.next_index
        self.next_index = index + 1
        return index


def _in_flight(event: TranscriptEvent) -> Iterable[tuple[Block, str]]:
    """Read the unfinished blocks of a snapshot, with the text they have so far."""
    holder = event.data.get("in_flight")
    blocks = holder.get("blocks") if isinstance(holder, Mapping) else None
    for shown in blocks if isinstance(blocks, list | tuple) else ():
        if not isinstance(shown, Mapping):
            continue
        match shown.get("kind"):
            case "text" | "thinking" as kind if shown.get("finished") is not True:
                yield Block(kind, {}, event.time), _text(shown, "text")
            case "tool_call" if shown.get("state") != "done":
                fixed: dict[str, object] = {"id": _text(shown, "id"), "name": _text(shown, "name")}
                yield Block("tool_call", fixed, event.time), _text(shown, "args")
            case _:
                continue


def _key_of(block: Block) -> str:
    return _call_key(block.fixed) if block.kind == "tool_call" else block.kind


def _call_key(data: Mapping[str, object]) -> str:
    return "tool_call:" + _text(data, "id")


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


_Taker = Callable[[TranscriptFold, TranscriptEvent, list[TranscriptItem]], None]
_TAKERS: dict[str, _Taker] = {
    **dict.fromkeys(
        (
            "user_message",
            "tool_result",
            "system_item",
            "error",
            "compact_done",
            "compact_failed",
            "segment_rotated",
            "events_lost",
        ),
        TranscriptFold._take_whole,
    ),
    "text_delta": TranscriptFold._take_text_delta,
    "text_done": TranscriptFold._take_text_done,
    "thinking_start": TranscriptFold._take_thinking_start,
    "thinking_delta": TranscriptFold._take_thinking_delta,
    "thinking_done": TranscriptFold._take_thinking_done,
    "tool_call_start": TranscriptFold._take_tool_call_start,
    "tool_call_args_delta": TranscriptFold._take_tool_call_args_delta,
    "tool_call_done": TranscriptFold._take_tool_call_done,
    "lost": TranscriptFold._take_lost,
    "run_end": TranscriptFold._take_end,
    "rewind_applied": TranscriptFold._take_end,
    "snapshot": TranscriptFold._take_snapshot,
    "invoke_start": TranscriptFold._take_boundary,
    "turn_start": TranscriptFold._take_boundary,
    "turn_end": TranscriptFold._take_boundary,
    "shutdown": TranscriptFold._take_boundary,
}

TRANSCRIPT_EVENT_NAMES: frozenset[str] = frozenset(_TAKERS)
"""The events whose data the fold looks at; of all others it needs only the numbers."""

ENDING_EVENT_NAMES: frozenset[str] = frozenset(
    name
    for name, take in _TAKERS.items()
    if take in (TranscriptFold._take_end, TranscriptFold._take_boundary, TranscriptFold._take_snapshot)
)
"""The events behind which nothing of before them is in progress: from there on a fold needs to know nothing earlier."""

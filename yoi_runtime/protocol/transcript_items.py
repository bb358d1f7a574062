"""The transcript of a Worker as it is answered: items, blocks that are still in progress, and the page around them.

An item is complete: once answered it never changes, and its ``index`` is never given to another one. What
still grows stands in ``in_progress`` and becomes an item when it is done. Specification: docs/transcript.md.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field

from yoi_runtime.events.scalars import Omittable

__all__ = ["BLOCK_KINDS", "ITEM_KINDS", "BlockKind", "InProgress", "ItemKind", "TranscriptAnswer", "TranscriptItem"]

BlockKind = Literal["text", "thinking", "tool_call"]
"""Folded from several events."""

# All but the folded ones and gap bear the name of the one event they come from.
ItemKind = Literal[
    "text",
    "thinking",
    "tool_call",
    "user_message",
    "tool_result",
    "system_item",
    "run_end",
    "error",
    "snapshot",
    "segment_rotated",
    "rewind_applied",
    "compact_done",
    "compact_failed",
    "events_lost",
    "gap",
]
BLOCK_KINDS: tuple[BlockKind, ...] = get_args(BlockKind)
ITEM_KINDS: tuple[ItemKind, ...] = get_args(ItemKind)

_Count: TypeAlias = Annotated[int, Field(ge=0)]


def _is_zero(count: object) -> bool:
    return not count


class _Model(BaseModel):
    # A newer Runtime may say more.
    model_config = ConfigDict(frozen=True, extra="ignore")


class TranscriptItem(_Model):
    """One item. ``event_id``, ``worker_seq`` and ``time`` are those of the last event that belongs to it.

    ``data``: that event's data, unchanged; of a block that was cut off, what there was. ``started_at`` and
    ``finished`` are said of blocks alone; not finished: no ``…_done`` came. ``omitted_characters`` of an unfinished
    block are not kept. A ``gap`` has no event: ``data`` is ``{"events": n}``, ``worker_seq`` that of the last one missing,
    ``time`` when the loss ended at the latest.
    """

    index: _Count
    kind: ItemKind
    event_id: Omittable[str] = None
    worker_seq: _Count
    time: str
    started_at: Omittable[str] = None
    finished: Omittable[bool] = None
    omitted_characters: Annotated[int, Field(ge=0, exclude_if=_is_zero)] = 0
    data: dict[str, object]


class InProgress(_Model):
    """A block of which more is to come; ``event_id``, ``worker_seq`` and ``time`` are its latest event's.

    ``data`` has the members that the finished block's data will have, as far as they are known. Thinking that was not
    asked for is listed with an empty text.
    """

    kind: BlockKind
    event_id: str
    worker_seq: _Count
    time: str
    started_at: str
    omitted_characters: Annotated[int, Field(ge=0, exclude_if=_is_zero)] = 0
    data: dict[str, object]


class TranscriptAnswer(_Model):
    """``/v1/workers/{worker_id}/transcript``: a page.

    ``total_items``: the index that the next new item gets. ``oldest_start``: of the oldest item that is kept.
    ``next_start``: where to ask on; at the end it equals ``total_items``. ``as_of_cursor``: the place of the stream up
    to which events are folded, ``worker_seq`` the newest of the Worker's events there.
    """

    worker_id: str
    start: _Count
    limit: Annotated[int, Field(ge=1)]
    thinking: bool
    total_items: _Count
    oldest_start: _Count
    items: tuple[TranscriptItem, ...]
    next_start: _Count
    in_progress: tuple[InProgress, ...]
    worker_seq: _Count
    as_of_cursor: str

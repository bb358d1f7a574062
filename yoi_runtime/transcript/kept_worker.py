"""One Worker's transcript as the writer holds it: the fold, what of it is stored, and what is not yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from yoi_runtime.protocol.transcript_fold import Block, TranscriptFold
from yoi_runtime.protocol.transcript_items import TranscriptItem
from yoi_runtime.transcript.database import row_crc

__all__ = ["ItemRow", "KeptWorker", "WorkerRow"]


class ItemRow(NamedTuple):
    """An item as it is stored: ``body`` is its JSON as it is answered."""

    worker: int
    number: int
    thinking: bool
    size: int
    crc: int
    body: bytes

    @classmethod
    def of(cls, worker: int, item: TranscriptItem) -> ItemRow:
        body = item.model_dump_json().encode()
        crc = row_crc(worker, item.index, body)
        return cls(worker, item.index, item.kind == "thinking", len(body), crc, body)


class WorkerRow(NamedTuple):
    """What is stored of a Worker beside its items. ``crc`` last, of all before it."""

    id: int
    worker_id: str
    worker_seq: int
    as_of: str
    next_index: int
    oldest_index: int
    items: int
    size: int
    crc: int

    @property
    def is_sound(self) -> bool:
        return self.crc == row_crc(*self[:-1])


@dataclass(slots=True)
class KeptWorker:
    """``oldest_index``, ``items`` and ``size`` (bytes) are of what will be stored once ``new_items`` are.

    ``stored_blocks``: the blocks that have rows, and the number that orders them.
    """

    id: int
    worker_id: str
    fold: TranscriptFold
    oldest_index: int = 0
    items: int = 0
    size: int = 0
    is_stored: bool = False
    new_items: list[ItemRow] = field(default_factory=list)
    stored_blocks: dict[str, tuple[Block, int]] = field(default_factory=dict)
    next_ordinal: int = 0

    def row(self) -> WorkerRow:
        values = (
            self.id,
            self.worker_id,
            self.fold.worker_seq,
            self.fold.as_of_cursor,
            self.fold.next_index,
            self.oldest_index,
            self.items,
            self.size,
        )
        return WorkerRow(*values, row_crc(*values))

    def add(self, items: list[TranscriptItem]) -> int:
        """Take in finished items; returns their bytes."""
        rows = [ItemRow.of(self.id, item) for item in items]
        added = sum(row.size for row in rows)
        if not self.items:
            self.oldest_index = rows[0].number
        self.items += len(rows)
        self.size += added
        self.new_items += rows
        return added

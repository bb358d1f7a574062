"""What can be wrong with a log: one kind, one place, one reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Defect", "DefectKind"]

DefectKind: TypeAlias = Literal[
    "record_damaged",
    "record_misplaced",
    "records_missing",
    "worker_seq_broken",
    "header_damaged",
    "chain_broken",
    "segment_missing",
    "bytes_after_end",
    "watermark_damaged",
    "watermark_wrong",
    "index_damaged",
    "index_wrong",
    "places_damaged",
    "catalog_missing",
    "catalog_damaged",
    "catalog_wrong",
    "transcript_damaged",
    "transcript_wrong",
]


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing that is wrong. ``first_seq`` to ``last_seq`` are the events it costs or touches, where that is known."""

    kind: DefectKind
    file: str
    offset: int | None
    first_seq: int | None
    last_seq: int | None
    reason: str
    worker_id: str | None = None

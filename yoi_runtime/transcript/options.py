"""How much of the transcripts is kept."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MIN_BYTES", "TranscriptOptions"]

# Room for the largest item, whose event may fill a record, several times over: an item just made is never gone at once.
MIN_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TranscriptOptions:
    """Bounds of what is kept, in items and in bytes of their JSON; the oldest items go first, one by one.

    ``max_items`` and ``max_bytes`` are a Worker's, ``max_total_bytes`` all Workers' together. The file is about a
    quarter larger than its items.
    """

    max_items: int = 10_000
    max_bytes: int = 16 << 20
    max_total_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if self.max_items < 1:
            raise ValueError(f"{self.max_items} items are none at all; keep at least 1")
        if min(self.max_bytes, self.max_total_bytes) < MIN_BYTES:
            raise ValueError(f"transcripts of less than {MIN_BYTES} bytes would lose items as they come")

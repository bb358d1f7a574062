"""How a log is written: the settings of the engine."""

from __future__ import annotations

from dataclasses import dataclass

from yoi_runtime.segment_log.commit import Durability
from yoi_runtime.segment_log.record import MAX_RECORD_BYTES

__all__ = ["LogOptions"]


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How a log is written. Sizes in bytes."""

    segment_bytes: int = 16 << 20
    durability: Durability = "synced"
    max_record_bytes: int = 256 << 10
    max_unsynced_bytes: int = 8 << 20
    append_deadline_seconds: float = 5.0
    allow_network_filesystem: bool = False

    def __post_init__(self) -> None:
        if self.segment_bytes < 4096:
            raise ValueError(f"segment_bytes is {self.segment_bytes}; at least 4096 is needed")
        if self.max_record_bytes > MAX_RECORD_BYTES:
            raise ValueError(f"max_record_bytes is {self.max_record_bytes}; at most {MAX_RECORD_BYTES} can be read")

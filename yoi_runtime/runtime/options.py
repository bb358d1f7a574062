"""How a Runtime keeps its log: one place for the settings that people see."""

from __future__ import annotations

from dataclasses import dataclass

from yoi_runtime.segment_log.commit import Durability
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.writer import LogOptions

__all__ = ["RuntimeOptions"]


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """Settings of a Runtime's log. Sizes in bytes, times in seconds; ``None`` switches a retention rule off.

    ``durability="synced"``: readers see an event once it survives a power cut. ``"written"``: at once.
    ``allow_network_filesystem``: there, a lock may hold nobody off and a sync may keep nothing; for who knows that his does.
    ``ingest``: programs of this machine may bring Workers through a socket in the data directory, ``Runtime.listen``.
    """

    segment_bytes: int = 16 << 20
    retain_bytes: int | None = 1 << 30
    retain_age_seconds: float | None = 7 * 86_400.0
    retain_segments: int | None = None
    durability: Durability = "synced"
    allow_network_filesystem: bool = False
    ingest: bool = False

    @property
    def log(self) -> LogOptions:
        return LogOptions(
            segment_bytes=self.segment_bytes,
            durability=self.durability,
            allow_network_filesystem=self.allow_network_filesystem,
        )

    @property
    def retention(self) -> RetentionPolicy:
        return RetentionPolicy(self.retain_bytes, self.retain_age_seconds, self.retain_segments)

    @property
    def maintenance_interval_seconds(self) -> float:
        """How often age is looked at: a tenth of the shortest age that is kept, between 0.1 s and a minute."""
        if self.retain_age_seconds is None:
            return 60.0
        return min(60.0, max(0.1, self.retain_age_seconds / 10))

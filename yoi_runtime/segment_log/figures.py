"""What a writer can tell of itself while it works: for whoever watches, in the same process. Decides nothing.

Counting costs the appending thread nothing that can be measured: an append is timed when it brings the log over a
multiple of 64 events, and a sync is a matter of milliseconds anyway.
"""

from __future__ import annotations

from yoi_runtime.errors import LogError
from yoi_runtime.latencies import Latencies
from yoi_runtime.segment_log.commit import Commit

__all__ = ["TIMED_EVERY", "LogFigures"]

# A power of two.
TIMED_EVERY = 64


class LogFigures:
    """The figures of one open log. Any thread may read them."""

    __slots__ = ("_commit", "_refused", "append_seconds")

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        # Of calls, with all that they had to wait for: room below the bound of unsynced bytes, a roll.
        self.append_seconds = Latencies()
        self._refused: tuple[int, str] | None = None

    def note_refused(self, seq: int, reason: str) -> None:
        """Take note that the disk took no record ``seq``."""
        self._refused = seq, reason

    @property
    def refused_because(self) -> str | None:
        """Return why the disk refused the last append, None when it took that, or there was none."""
        refused = self._refused
        return refused[1] if refused is not None and refused[0] > self._commit.appended.seq else None

    @property
    def sync_seconds(self) -> Latencies:
        """Return how long ``fdatasync`` of the active segment took, for each commit."""
        return self._commit.sync_latencies

    @property
    def unsynced_bytes(self) -> int:
        """Return how many appended bytes still wait for the disk."""
        return self._commit.unsynced_bytes

    @property
    def failure(self) -> LogError | None:
        """Return what put the log out of service, None while it takes events."""
        return self._commit.failure

    def stuck_seconds(self) -> float:
        """Return how long the sync that runs now has been running; without end where nobody commits any more."""
        return self._commit.stuck_seconds()

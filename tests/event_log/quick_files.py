"""Real files without their syncs, for tests that roll and open often and never cut the power.

A killed process loses nothing of what was written, synced or not; a sync takes milliseconds on a busy disk.
"""

from __future__ import annotations

from pathlib import Path

from yoi_runtime.segment_log.platform import RealFileOps

__all__ = ["QuickFiles"]


class QuickFiles(RealFileOps):
    """The file system of this machine; syncs return at once."""

    def fdatasync(self, fd: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass

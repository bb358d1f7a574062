"""The transcripts of a directory in the process that writes its log: kept by a thread, and read beside it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from yoi_runtime.transcript.options import TranscriptOptions
from yoi_runtime.transcript.projection import TranscriptProjection
from yoi_runtime.transcript.reader import TranscriptReader

__all__ = ["KeptTranscripts"]


class KeptTranscripts:
    """Keeps them from the first moment on until ``stop``; ``reader`` answers what is asked of them."""

    def __init__(self, data_dir: Path, log_directory: Path, options: TranscriptOptions | None = None) -> None:
        """Start at once. Raises nothing: what fails is logged and tried again."""
        self._projection = TranscriptProjection(data_dir, log_directory, options)
        self.reader = TranscriptReader(data_dir, self._projection.distrust)
        self._projection.start()

    async def stop(self) -> None:
        """Take in what the log shows by now, for 3 s at most, and close. May be repeated."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Do as ``stop`` does, and block meanwhile."""
        # The one that writes closes last: it puts everything into one file, which a reader cannot.
        self.reader.close()
        self._projection.stop()

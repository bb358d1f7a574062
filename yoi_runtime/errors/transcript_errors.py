"""What goes wrong with the transcripts kept beside a log. The whole tree is drawn in ``yoi_runtime.errors``."""

from __future__ import annotations

from pathlib import Path

from yoi_runtime.errors.root import YoiError

__all__ = [
    "TranscriptDamagedError",
    "TranscriptError",
    "TranscriptExpiredError",
    "TranscriptUnavailableError",
]


class TranscriptError(YoiError):
    """Something about the transcripts in ``directory``."""

    def __init__(self, directory: Path, message: str) -> None:
        self.directory = directory
        super().__init__(message)


class TranscriptDamagedError(TranscriptError):
    """The file of the transcripts does not hold what was written; it can be made anew from the log."""

    def __init__(self, file: Path, reason: str) -> None:
        self.file = file
        self.reason = reason
        super().__init__(file.parent, f"{file}: {reason}")


class TranscriptUnavailableError(TranscriptError):
    """The transcripts cannot be read, or not be written, at present. Retry later."""

    def __init__(self, directory: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(directory, f"{directory}: {reason}")


class TranscriptExpiredError(TranscriptError):
    """Items from ``start`` on were asked for; the oldest that is kept is ``oldest_start``."""

    def __init__(self, directory: Path, start: int, oldest_start: int) -> None:
        self.start = start
        self.oldest_start = oldest_start
        super().__init__(directory, f"{directory}: items {start} to {oldest_start - 1} are no longer kept")

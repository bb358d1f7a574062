"""Where a server's transcripts come from: it keeps none itself, whoever starts it hands a source over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from yoi_runtime.protocol.transcript_query import TranscriptPage, TranscriptQuery

__all__ = ["TranscriptSource"]


class TranscriptSource(Protocol):
    """Where transcripts come from. Any thread may call."""

    def page(
        self, log_id: str, worker_id: str, query: TranscriptQuery, is_known: Callable[[str], bool]
    ) -> TranscriptPage:
        """Return a page of a Worker's transcript, without a body when ``is_known`` says so of its tag. May block.

        Raises:
            TranscriptUnavailableError: nothing can be answered of this log at present.
            TranscriptExpiredError: the page begins below the oldest item that is kept.
        """
        ...

    def as_of_seq(self, log_id: str) -> int:
        """Return up to which event of a log they are made. May block. Raises ``TranscriptUnavailableError``."""
        ...

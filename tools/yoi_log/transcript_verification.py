"""The transcripts of a data directory verified: the file by itself, then against the log."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from yoi_log.defect import Defect
from yoi_log.transcript_comparison import compare_with_log
from yoi_log.transcript_rows import check_rows
from yoi_runtime.errors import LogError
from yoi_runtime.segment_log.reader import LogReader

__all__ = ["TranscriptReport", "verify_transcripts"]


@dataclass(slots=True)
class TranscriptReport:
    """What is kept, up to the event ``seq``; ``compared`` of the items can still be made from the log, and were.

    ``unread`` says why nothing, or nothing of the log, was looked at.
    """

    workers: int = 0
    items: int = 0
    seq: int = 0
    compared: int = 0
    unread: str | None = None


def verify_transcripts(uri: str, log_directory: Path) -> tuple[TranscriptReport, list[Defect]]:
    """Verify the transcripts at ``uri``, which were taken before this looks up the log's end.

    Raises:
        OSError: the disk refused.
    """
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        rows = check_rows(connection)
        place = rows.place
        report = TranscriptReport(len(rows.workers), rows.items, place.position.seq if place is not None else 0)
        if rows.defects:
            # Where rows are damaged, what they say is not worth a comparison.
            return report, rows.defects
        try:
            reader = LogReader(log_directory)
            try:
                comparison = compare_with_log(connection, rows, reader)
            finally:
                reader.close()
        except LogError as error:
            report.unread = f"the log cannot be read as readers read it: {error}"
            return report, []
        report.compared = comparison.items
        return report, comparison.defects

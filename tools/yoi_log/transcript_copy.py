"""Transcripts put beside a copy of their log: as they are, or under the log id of a fork.

They are worth it: they hold what the log has rotated out. Items name events by their ids, which both kinds of copies
keep; only the place and the Workers' cursors say which log they are of.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from yoi_log.log_place import LogPlace
from yoi_log.transcript_file import has_transcripts, taken_transcripts, transcript_path
from yoi_log.transcript_rows import check_rows
from yoi_log.transcript_verification import verify_transcripts
from yoi_log.wording import count
from yoi_runtime.errors import TranscriptUnavailableError
from yoi_runtime.segment_log.cursor import CursorToken, decode_token, encode_token
from yoi_runtime.transcript.database import row_crc
from yoi_runtime.transcript.kept_worker import WorkerRow
from yoi_runtime.transcript.saved_place import SavedPlace

__all__ = ["copy_transcripts", "keep_sound_transcripts"]


def copy_transcripts(place: LogPlace, target_directory: Path, log_id: str, new_log_id: str) -> str | None:
    """Write the transcripts of ``place``, of the log ``log_id``, into a new data directory; say why not when they are no good.

    Raises:
        OSError: the disk refused.
    """
    if place.data_directory is None or not has_transcripts(place.data_directory):
        return None
    try:
        with taken_transcripts(transcript_path(place.data_directory)) as uri:
            reason = _copy(uri, target_directory, log_id, new_log_id)
    except TranscriptUnavailableError as error:
        reason = error.reason
    except sqlite3.Error as error:
        reason = str(error)
    return _leave_out(target_directory, reason) if reason is not None else None


def keep_sound_transcripts(data_directory: Path) -> str | None:
    """Hold copied transcripts against the copied log; say what became of them, None where there are none.

    Raises:
        OSError: the disk refused.
    """
    if not has_transcripts(data_directory):
        return None
    with taken_transcripts(transcript_path(data_directory)) as uri:
        report, defects = verify_transcripts(uri, data_directory / "log")
    if defects:
        return _leave_out(data_directory, defects[0].reason)
    return f"copied, {count(report.items, 'item')} of {count(report.workers, 'Worker')}"


def _leave_out(data_directory: Path, reason: str) -> str:
    shutil.rmtree(transcript_path(data_directory).parent, ignore_errors=True)
    return f"left out, a Runtime makes them anew from the copy: {reason}"


def _copy(uri: str, target_directory: Path, log_id: str, new_log_id: str) -> str | None:
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as source:
        rows = check_rows(source)
        if rows.defects:
            return rows.defects[0].reason
        if rows.place is None:
            return "nothing was folded yet"
        if rows.place.log_id != log_id:
            return f"they are folded from another log, {rows.place.log_id}"
        path = transcript_path(target_directory)
        path.parent.mkdir(mode=0o750)
        with closing(sqlite3.connect(path, isolation_level=None)) as copy:
            source.backup(copy)
            if new_log_id != log_id:
                _rename_log(copy, rows.place, list(rows.workers.values()), new_log_id)
    return None


def _rename_log(copy: sqlite3.Connection, place: SavedPlace, workers: list[WorkerRow], log_id: str) -> None:
    copy.execute("BEGIN")
    SavedPlace(log_id, place.position, _of_log(place.origin, log_id)).save(copy)
    for row in workers:
        renamed = row._replace(as_of=_of_log(row.as_of, log_id))
        copy.execute(
            "UPDATE worker SET as_of = ?, crc = ? WHERE id = ?", (renamed.as_of, row_crc(*renamed[:-1]), row.id)
        )
    copy.execute("COMMIT")


def _of_log(token: str, log_id: str) -> CursorToken:
    return encode_token(decode_token(token)._replace(log_id=log_id))

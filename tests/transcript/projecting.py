"""A log, its transcripts folded to the end in the test's own thread, and the transcripts read back page by page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.deadline import wait_until
from yoi_runtime.errors import RecordCorruptError, SegmentGoneError
from yoi_runtime.protocol.transcript_items import TranscriptAnswer, TranscriptItem
from yoi_runtime.protocol.transcript_query import TranscriptQuery
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import LOG_DIRECTORY
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.transcript.database import DATABASE, TRANSCRIPT_DIRECTORY
from yoi_runtime.transcript.following import Following, Signals
from yoi_runtime.transcript.options import TranscriptOptions
from yoi_runtime.transcript.reader import TranscriptReader
from yoi_runtime.transcript.store import TranscriptStore

__all__ = [
    "QUICK",
    "SMALL",
    "Witness",
    "database_path",
    "follow",
    "page",
    "project",
    "read_all",
    "store_in",
    "wait_until_shown",
    "whole_transcript",
]

# No waiting for the disk: what is folded is what is shown, either way.
QUICK = RuntimeOptions(segment_bytes=1 << 20, durability="written")
# The smallest segments there are, and three of them kept.
SMALL = RuntimeOptions(segment_bytes=4096, retain_segments=3, durability="written")


def database_path(data_dir: Path) -> Path:
    return data_dir / TRANSCRIPT_DIRECTORY / DATABASE


@contextmanager
def store_in(
    data_dir: Path, options: TranscriptOptions | None = None, now_seconds: Callable[[], float] = time.time
) -> Iterator[TranscriptStore]:
    path = database_path(data_dir)
    path.parent.mkdir(exist_ok=True)
    with closing(TranscriptStore(path, options or TranscriptOptions(), now_seconds)) as store:
        yield store


def project(data_dir: Path, options: TranscriptOptions | None = None) -> None:
    """Fold everything that the log shows, from what is stored on, and store it; as a projection that is stopped."""
    with store_in(data_dir, options) as store:
        follow(data_dir, store)


def wait_until_shown(data_dir: Path) -> None:
    """Return when readers see all that was written: the commit is another thread's."""
    with closing(LogReader(data_dir / LOG_DIRECTORY, REAL_PLATFORM)) as reader:

        def shows_all() -> bool:
            reader.refresh()
            reader.relist()
            newest = reader.segment_numbers()[-1]
            return (newest, reader.segment_size(newest)) == (reader.end.segment, reader.end.offset)

        wait_until(shows_all)


def follow(data_dir: Path, store: TranscriptStore) -> None:
    wait_until_shown(data_dir)
    signals = Signals()
    signals.stopping.set()
    signals.stop_by = float("inf")
    with closing(LogReader(data_dir / LOG_DIRECTORY, REAL_PLATFORM)) as reader:
        following = Following(data_dir, reader, store, REAL_PLATFORM, signals)
        following.run()
        # What comes between two looks at the log, and never in a stop.
        following._settle()


def page(data_dir: Path, worker_id: str, query: TranscriptQuery | None = None) -> TranscriptAnswer:
    """Read one page, of whatever log the transcripts are."""
    with (
        closing(LogReader(data_dir / LOG_DIRECTORY, REAL_PLATFORM)) as log,
        closing(TranscriptReader(data_dir)) as reader,
    ):
        found = reader.page(log.log_id, worker_id, query or TranscriptQuery(), lambda etag: False)
    assert found.body is not None
    return TranscriptAnswer.model_validate_json(found.body)


def whole_transcript(
    data_dir: Path, worker_id: str, limit: int = 1000, *, thinking: bool = True
) -> tuple[list[TranscriptItem], TranscriptAnswer]:
    """Read page after page; returns all items and the last answer."""
    items: list[TranscriptItem] = []
    start = None
    while True:
        answer = page(data_dir, worker_id, TranscriptQuery(start, limit, thinking))
        assert len(answer.items) <= limit
        items += answer.items
        start = answer.next_start
        if start >= answer.total_items:
            return items, answer


class Witness:
    """Reads a log along with whoever writes it, and keeps every record: also those that rotate out later."""

    def __init__(self, data_dir: Path) -> None:
        self.lines: list[bytes] = []
        self._data_dir = data_dir
        self._reader = LogReader(data_dir / LOG_DIRECTORY, REAL_PLATFORM)
        self._position = self._reader.floor()

    def look(self) -> None:
        wait_until_shown(self._data_dir)
        self._reader.refresh()
        while (chunk := self._reader.read(self._position, 1 << 20)) is not None:
            self.lines += chunk.data.split(b"\n")[:-1]
            self._position = chunk.end

    def close(self) -> None:
        self._reader.close()


def read_all(data_dir: Path) -> list[bytes]:
    """Return the records that the log can still show; what is damaged is left out."""
    lines: list[bytes] = []
    with closing(LogReader(data_dir / LOG_DIRECTORY, REAL_PLATFORM)) as reader:
        position = reader.floor()
        while True:
            try:
                chunk = reader.read(position, 1 << 20)
            except RecordCorruptError as error:
                position = reader.after_damage(error)
                continue
            except SegmentGoneError:
                position = reader.floor()
                continue
            if chunk is None:
                return lines
            lines += chunk.data.split(b"\n")[:-1]
            position = chunk.end

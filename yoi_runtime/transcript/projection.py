"""The projection: follows the log in a thread of its own and keeps the transcripts up to it.

A consumer of the log like any other: it reads with a ``LogReader`` up to the watermark, and its place in the log
is stored with what it folded. One process at a time writes, by a lock beside the file.

Whatever fails, the log does not notice: the projection says so once in its own log, lets go of everything,
tries again from what is stored, and until then readers are answered from there.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from yoi_runtime.errors import (
    LogError,
    LogHeldError,
    TranscriptDamagedError,
    TranscriptError,
    TranscriptUnavailableError,
)
from yoi_runtime.notices import Notice, named
from yoi_runtime.segment_log.doorbell import doorbell_of
from yoi_runtime.segment_log.lock import WriterLock
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform, abandon_after_fork
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.transcript.database import DATABASE, TRANSCRIPT_DIRECTORY, is_damage, set_aside
from yoi_runtime.transcript.following import Following, Signals
from yoi_runtime.transcript.options import TranscriptOptions
from yoi_runtime.transcript.store import TranscriptStore

__all__ = ["TranscriptProjection"]

_log = logging.getLogger("yoi_runtime.transcript")

# How long to wait before it is tried again: short at first, for what passes by itself.
_RETRY_SECONDS = (0.25, 1.0, 5.0, 30.0)


class TranscriptProjection:
    """Keeps the transcripts in ``data_dir``. Started by ``start``, ended by ``stop``; any thread may call either."""

    def __init__(
        self,
        data_dir: Path,
        log_directory: Path,
        options: TranscriptOptions | None = None,
        platform: Platform = REAL_PLATFORM,
        now_seconds: Callable[[], float] = time.time,
    ) -> None:
        self._data_dir = data_dir
        self._log_directory = log_directory
        self._directory = data_dir / TRANSCRIPT_DIRECTORY
        self._options = options or TranscriptOptions()
        self._platform = platform
        self._now_seconds = now_seconds
        self._signals = Signals()
        self._failures = 0
        self._lock: WriterLock | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow the log. Returns at once and raises nothing: what fails is tried again. Call once."""
        abandon_after_fork(self)
        self._stop_listening = doorbell_of(self._log_directory).listen(self._signals.ring)
        self._thread = threading.Thread(target=self._run, name="yoi-transcript", daemon=True)
        self._thread.start()

    def stop(self, deadline_seconds: float = 3.0) -> None:
        """Fold what the log shows by now, save, and end. What the deadline leaves is folded at the next start."""
        if self._thread is None:
            return
        self._signals.stop_by = self._platform.clock.monotonic() + deadline_seconds
        self._signals.stopping.set()
        self._signals.ring()
        self._thread.join()
        self._stop_listening()

    def distrust(self) -> None:
        """Take note that a reader found the file damaged: it is set aside and made anew. Returns at once."""
        self._signals.distrusted = True
        self._signals.ring()

    def abandon_in_child(self) -> None:
        """Let go of the lock in a forked child, which has no thread of ours and must not hold it."""
        self._let_go_of_lock()

    def _let_go_of_lock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # The thread.

    def _run(self) -> None:
        while True:
            try:
                self._follow()
                return
            except TranscriptDamagedError as error:
                self._set_aside(error)
            except (TranscriptError, LogError, sqlite3.Error, OSError) as error:
                if isinstance(error, sqlite3.Error) and is_damage(error):
                    self._set_aside(error)
                else:
                    self._tell(error)
            except Exception:  # noqa: BLE001 - whatever it is, the thread must live and the log go on
                _log.exception("the transcripts cannot be kept, will try again", extra=named(Notice.TRANSCRIPTS_FAILED))
            wait = _RETRY_SECONDS[min(self._failures, len(_RETRY_SECONDS) - 1)]
            self._failures += 1
            if self._signals.stopping.wait(wait):
                return

    def _tell(self, error: Exception) -> None:
        if not self._failures:
            _log.warning(
                "the transcripts cannot be kept at present, will try again: %s",
                error,
                extra=named(Notice.TRANSCRIPTS_PAUSED),
            )

    def _set_aside(self, error: Exception) -> None:
        _log.error(
            "the transcripts are damaged and are made anew from the log: %s",
            error,
            extra=named(Notice.TRANSCRIPTS_DAMAGED),
        )
        self._signals.distrusted = False
        try:
            set_aside(self._directory / DATABASE)
        except OSError as problem:
            _log.error(
                "the damaged transcripts cannot be set aside: %s",
                problem,
                extra=named(Notice.TRANSCRIPTS_NOT_SET_ASIDE),
            )

    def _follow(self) -> None:
        """Open everything and follow the log until it is time to stop; in the end close everything.

        Raises:
            TranscriptError, LogError, sqlite3.Error, OSError: it has to be tried again.
        """
        self._directory.mkdir(mode=0o750, exist_ok=True)
        try:
            self._lock = WriterLock(self._directory, self._platform)
        except LogHeldError as error:
            holder = f"process {error.pid}" if error.pid is not None else "another process"
            raise TranscriptUnavailableError(self._directory, f"they are written by {holder}") from error
        try:
            reader = LogReader(self._log_directory, self._platform)
            try:
                store = TranscriptStore(self._directory / DATABASE, self._options, self._now_seconds)
                try:
                    self._signals.has_saved = False
                    Following(self._data_dir, reader, store, self._platform, self._signals).run()
                finally:
                    store.close()
                    # Not when it could merely be opened: a disk that is full can be read.
                    if self._signals.has_saved:
                        self._failures = 0
            finally:
                reader.close()
        finally:
            self._let_go_of_lock()

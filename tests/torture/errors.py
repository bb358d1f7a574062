"""The k-th file call fails, for every k, in every way, once and for ever: in the writer, retention, recovery and reader.

After each failure the caller goes on as a caller would: it tries again, or opens the log anew. What comes out of
the engine is a typed error or the ``OSError`` itself. A failing disk is never taken for a damaged log: nothing that
was shown or acknowledged is lost or announced as lost, and what was refused is not there. After a failed sync the
kernel may have dropped the pages (``MemoryFiles.lose_unsynced_pages``): then a power cut follows, too.
"""

from __future__ import annotations

import errno
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from tests.faults.clocks import ManualClock
from tests.faults.failing_files import FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.torture.judge import adopt, check_books, check_kept, check_tokens, read_out
from tests.torture.report import Budget, Report
from tests.torture.rig import DATA, LOG, SMALL, Rig, Step, make_script, platform_with
from tests.torture.witness import Witness, live_mark, names_in, segment_files
from yoi_runtime.errors import LogBrokenError, LogError, LogFullError
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.retention import RetentionPolicy

__all__ = ["run"]

_RETENTION = RetentionPolicy(None, 50.0, None)


class _Fault(NamedTuple):
    """``error`` None: writes write ``short`` bytes and say so."""

    name: str
    error: int | None
    short: int
    for_ever: bool

    def plan(self, files: FailingFiles, at: int) -> None:
        if self.error is not None:
            files.fail(self.error, at=at, for_ever=self.for_ever)
        else:
            files.write_short(self.short, at=at, for_ever=self.for_ever)


_ERRORS = {name: getattr(errno, name) for name in ("ENOSPC", "EIO", "EINTR", "EMFILE", "EROFS")}
_FAULTS = [
    *(_Fault(name, number, 0, for_ever) for name, number in _ERRORS.items() for for_ever in (False, True)),
    *(_Fault(f"write of {size}", None, size, for_ever) for size in (0, 1, 150) for for_ever in (False, True)),
]


class _FaultyFiles(FailingFiles):
    """Failing files in memory: a witness sees each segment before it is deleted, a failed sync loses its pages."""

    def __init__(self, memory: MemoryFiles, witness: Witness) -> None:
        super().__init__(memory)
        self.memory = memory
        self.witness = witness

    def unlink(self, path: Path) -> None:
        self.witness.look(self.memory)
        super().unlink(path)

    def fdatasync(self, fd: int) -> None:
        try:
            super().fdatasync(fd)
        except OSError:
            self.memory.lose_unsynced_pages_of(fd)
            raise

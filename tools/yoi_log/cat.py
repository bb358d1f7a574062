"""``yoi-log cat``: the request as typed, and the loop that shows what it asks for."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from yoi_log.cat_output import CatOutput
from yoi_log.log_place import LogPlace
from yoi_log.record_stream import Found, Step, Unreadable, follow, select, select_tail
from yoi_log.selection import Selection, SelectionError, parse_moment, parse_seqs
from yoi_log.walk import Damage, Gone
from yoi_runtime.errors import CursorError
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.reader import LogReader

__all__ = ["CatRequest", "CatWords", "cat_log"]

# How soon something appended by another process is seen; looking costs 6 µs.
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class CatWords:
    """The filters as typed."""

    workers: list[str]
    events: list[str]
    since: str | None = None
    until: str | None = None
    seqs: str | None = None
    after: str | None = None
    before: str | None = None
    grep: str | None = None

    def selection(self) -> Selection:
        """Return what they mean now.

        Raises:
            SelectionError: one cannot be read.
            CursorMalformedError: a cursor is none.
        """
        now = datetime.now(UTC)
        first, last = parse_seqs(self.seqs) if self.seqs is not None else (None, None)
        try:
            grep = re.compile(self.grep) if self.grep is not None else None
        except re.error as error:
            raise SelectionError(f"{self.grep!r} is not a regular expression: {error}") from None
        return Selection(
            worker_ids=frozenset(self.workers),
            event_names=frozenset(self.events),
            since=parse_moment(self.since, now) if self.since is not None else None,
            until=parse_moment(self.until, now) if self.until is not None else None,
            first_seq=first,
            last_seq=last,
            after=decode_token(self.after) if self.after is not None else None,
            before=decode_token(self.before) if self.before is not None else None,
            grep=grep,
        )


@dataclass(frozen=True, slots=True)
class CatRequest:
    """What to show: of ``selection`` the first ``limit``, or the last ``tail``, or also what comes."""

    selection: Selection
    limit: int | None = None
    tail: int | None = None
    follow: bool = False


def cat_log(place: LogPlace, request: CatRequest, output: CatOutput, tell: Callable[[str], None]) -> bool:
    """Show what is asked for; says whether something was damaged, or a cursor of the request would not resume.

    ``tell`` gets a sentence for each place that could not be read.

    Raises:
        LogError, OSError: the log cannot be read.
        BrokenPipeError: nobody reads.
    """
    reader = LogReader(place.log_directory)
    try:
        shower = _Shower(output, tell, request.limit)
        end = reader.end
        if request.tail is not None:
            steps: Iterable[Step] = select_tail(reader, request.selection, request.tail)
        else:
            steps = select(reader, request.selection)
        try:
            more = shower.show(steps)
        except CursorError as error:
            tell(str(error))
            return True
        if request.follow and more:
            output.flush()

            def wait() -> None:
                output.flush()
                threading.Event().wait(_POLL_SECONDS)

            shower.show(follow(reader, request.selection, end, wait))
        output.close()
        return shower.damage
    finally:
        reader.close()


class _Shower:
    def __init__(self, output: CatOutput, tell: Callable[[str], None], limit: int | None) -> None:
        self._output, self._tell, self._left = output, tell, limit
        self.damage = False

    def show(self, steps: Iterable[Step]) -> bool:
        """Show records and tell damage; False when the limit is reached."""
        for step in steps:
            if isinstance(step, Found):
                self._output.show(step)
                if self._left is not None:
                    self._left -= 1
                    if not self._left:
                        return False
                continue
            self._output.flush()
            self.damage = True
            self._tell(_sentence(step))
        return True


def _sentence(step: Damage | Gone | Unreadable) -> str:
    match step:
        case Damage(error, resume):
            lost = f"seq {error.seq} to {resume.seq}" if resume.seq > error.seq else f"seq {error.seq}"
            return f"{error.file.name} offset {error.offset}: {lost} cannot be read: {error.reason}"
        case Gone(start, resume):
            return f"seq {start.seq + 1} to {resume.seq} were rotated out meanwhile"
        case Unreadable(file, reason):
            return f"{file} cannot be read: {reason}"

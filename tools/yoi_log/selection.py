"""Which records somebody asks for: the filters of ``yoi-log cat``, read from text and held against records."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from yoi_runtime.catalog.worker_state import Tally
from yoi_runtime.segment_log.cursor import Cursor

__all__ = ["Selection", "SelectionError", "parse_moment", "parse_seqs"]

_AGO = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|h|d|w)")
_UNIT = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
# A record's time is the wall clock's, which may be set back within a segment; an index has its first and last time only.
_CLOCK_JUMP = timedelta(hours=1)


class SelectionError(ValueError):
    """A filter that cannot be read; says how it is written."""


def parse_moment(text: str, now: datetime) -> str:
    """Return the moment that ``2h`` (ago) or an RFC 3339 time names, as records write times.

    Raises:
        SelectionError: it is neither.
    """
    if (ago := _AGO.fullmatch(text)) is not None:
        try:
            moment = now - timedelta(**{_UNIT[ago[2]]: float(ago[1])})
        except OverflowError:
            raise SelectionError(f"{text!r} is longer ago than a calendar goes") from None
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise SelectionError(
                f"{text!r} is neither a span (90s, 15m, 2h, 3d, 1w) nor a time (2026-11-22T17:37:23Z)"
            ) from None
        if moment.tzinfo is None:
            moment = moment.astimezone()
    return _text(moment)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0") + "Z"


def parse_seqs(text: str) -> tuple[int | None, int | None]:
    """Return the first and last seq that ``7``, ``7-12``, ``7-`` or ``-12`` names. Raises ``SelectionError``."""
    found = re.fullmatch(r"([0-9]{1,17})?(-)?([0-9]{1,17})?", text)
    if found is None or not (found[1] or found[3]) or (found[1] and found[3] and int(found[1]) > int(found[3])):
        raise SelectionError(f"{text!r} is not a range of seqs: 7, 7-12, 7- or -12")
    first = int(found[1]) if found[1] else None
    last = int(found[3]) if found[3] else None
    return (first, first) if found[2] is None else (first, last)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for; all filters must agree. Times are texts as in records: they sort as the moments do."""

    worker_ids: frozenset[str] = frozenset()
    event_names: frozenset[str] = frozenset()
    since: str | None = None
    until: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    after: Cursor | None = None
    before: Cursor | None = None
    grep: re.Pattern[str] | None = None

    def takes(self, seq: int, worker_id: str | None, time: str, event_name: str, payload: bytes) -> bool:
        """Say whether a record is asked for."""
        return (
            (not self.worker_ids or worker_id in self.worker_ids)
            and (not self.event_names or event_name in self.event_names)
            and (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
            and (self.first_seq is None or seq >= self.first_seq)
            and (self.last_seq is None or seq <= self.last_seq)
            and (self.grep is None or self.grep.search(payload.decode("utf-8", "replace")) is not None)
        )

    def may_be_in(self, tallies: dict[str, Tally]) -> bool:
        """Say whether a segment with these tallies can hold a record that is asked for."""
        own = {name: tally for name, tally in tallies.items() if not self.worker_ids or name in self.worker_ids}
        if not own:
            return False
        latest = max(max(tally.from_time, tally.to_time) for tally in own.values())
        earliest = min(min(tally.from_time, tally.to_time) for tally in own.values())
        too_early = self.since is not None and latest < _moved(self.since, -_CLOCK_JUMP)
        too_late = self.until is not None and earliest > _moved(self.until, _CLOCK_JUMP)
        return not (too_early or too_late)


def _moved(time: str, by: timedelta) -> str:
    try:
        return _text(datetime.fromisoformat(time) + by)
    except OverflowError:
        return time

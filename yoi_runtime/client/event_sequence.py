"""Each event once and none left out: the check on what arrives, over every seam between connections."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from yoi_runtime.errors import StreamGapError
from yoi_runtime.protocol.frames import EventFrame

__all__ = ["REMEMBERED_EVENT_IDS", "EventSequence"]

# A resume is exclusive, so repeats are few: what was under way when a connection broke. 24 characters each.
REMEMBERED_EVENT_IDS: Final = 4096


class EventSequence:
    """Judges the events of one stream in the order of their arrival.

    A Worker's stream is contiguous in ``worker_seq``, the stream of everything in ``seq``. An event without the
    number cannot be judged by it.
    """

    def __init__(self, url: str, *, of_one_worker: bool) -> None:
        self._url = url
        self._numbering = "worker_seq" if of_one_worker else "seq"
        self._expected: int | None = None
        self._cursor = ""
        self._seen: OrderedDict[str, None] = OrderedDict()

    def admit(self, event: EventFrame) -> bool:
        """Say whether ``event`` is to be handed over; False: it was already.

        Raises:
            StreamGapError: events are missing before it, or the numbers went back. It counts as not arrived.
        """
        if event.event_id in self._seen:
            return False
        number = event.worker_seq if self._numbering == "worker_seq" else event.seq
        if number is not None and self._expected is not None and number != self._expected:
            raise StreamGapError(
                self._url,
                self._expected,
                number,
                numbering=self._numbering,
                cursor=self._cursor,
                cursor_after=event.cursor,
            )
        self._expected = None if number is None else number + 1
        self._cursor = event.cursor
        self._seen[event.event_id] = None
        if len(self._seen) > REMEMBERED_EVENT_IDS:
            self._seen.popitem(last=False)
        return True

    def expect_gap(self) -> None:
        """Take any number for the next: the gap before it has been announced."""
        self._expected = None

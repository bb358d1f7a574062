"""What the client under test says it handed to its consumer, line by line, and what is wrong with that.

A line is an event id; or ``!`` and a word: the consumer was told that the stream stopped or that events are missing. Lines that
begin with ``#`` and empty ones are passed over.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from yoi_runtime.conformance.case import Case, Level, Need
from yoi_runtime.conformance.result import RULES, Finding
from yoi_runtime.protocol.frames import SNAPSHOT_PREFIX

__all__ = ["Deliveries", "judge_deliveries"]

_SECTION: Final = "event"
_MAX_SHOWN: Final = 5


class Deliveries:
    """The report as it comes in. ``reported`` False: this client reports nothing, and nothing is judged by it."""

    def __init__(self, *, reported: bool) -> None:
        self.reported = reported
        self.event_ids: list[str] = []
        self.told: list[str] = []
        # None as long as it runs, or when nobody knows.
        self.exit_code: int | None = None
        self._changed = asyncio.Event()

    def delivered(self, event_id: str) -> None:
        # v0's first frame of a Worker's stream is no event of the log; a client may hand it over or not.
        if not event_id.startswith(SNAPSHOT_PREFIX):
            self.event_ids.append(event_id)
            self._changed.set()

    def tell(self, word: str) -> None:
        self.told.append(word)
        self._changed.set()

    def ended(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self._changed.set()

    def wake(self) -> None:
        """Have ``wait_for`` look again: something else that it waits for has happened."""
        self._changed.set()

    @property
    def is_gone(self) -> bool:
        """Whether the client has ended and will do nothing more."""
        return self.exit_code is not None

    def line(self, line: str) -> None:
        """Take one line of a report."""
        line = line.strip()
        if line.startswith("!"):
            self.tell(line[1:].strip())
        elif line and not line.startswith("#"):
            self.delivered(line)

    @property
    def announced(self) -> bool:
        """Whether the consumer knows that something is wrong; a program that fails has said so."""
        return bool(self.told) or self.exit_code not in (None, 0)

    async def wait_for(self, predicate: Callable[[], bool], deadline_seconds: float | None) -> bool:
        """Wait until ``predicate`` is true, looking whenever the report has grown; say whether it is. One waiter."""
        try:
            async with asyncio.timeout(deadline_seconds):
                while not predicate():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        return predicate()


def judge_deliveries(case: Case, sent: Mapping[str, int], event_ids: list[str]) -> list[Finding]:
    """Compare what was sent (event id to how often, in order of the first time) with what was handed over."""
    counts = Counter(event_ids)
    findings = []
    strange = [event_id for event_id in counts if event_id not in sent]
    missing = [event_id for event_id in sent if event_id not in counts]
    if strange:
        findings.append(Finding(Level.MUST, _SECTION, "only event ids that were sent", _shown(strange)))
    if missing:
        seen = f"never handed over: {_shown(missing)}"
        findings.append(Finding(Level.MUST, _SECTION, f"all {len(sent)} events that were sent", seen))
    known = [event_id for event_id in dict.fromkeys(event_ids) if event_id in sent]
    in_order = [event_id for event_id in sent if event_id in counts]
    if known != in_order:
        at = next(i for i, (given, due) in enumerate(zip(known, in_order, strict=True)) if given != due)
        seen = f"{known[at]} where {in_order[at]} was due"
        findings.append(Finding(Level.MUST, _SECTION, "events in the order in which they were sent", seen))
    doubled = [event_id for event_id, count in counts.items() if count > 1]
    of_the_wire = [event_id for event_id in doubled if sent.get(event_id, 0) > 1]
    own = [event_id for event_id in doubled if sent.get(event_id, 0) == 1]
    if own:
        expected = "an event that was sent once to be handed over once"
        findings.append(RULES["handed_over_once"].broken("handed_over_once", expected, f"twice: {_shown(own)}"))
    # Over its own restart a client knows only what it has stored: at least once is all that can be asked.
    if of_the_wire and Need.RESTART not in case.needs:
        expected = "an event that was sent again, identical, to be known by its event_id and handed over once"
        findings.append(Finding(Level.SHOULD, _SECTION, expected, f"twice: {_shown(of_the_wire)}"))
    return findings


def _shown(event_ids: list[str]) -> str:
    more = len(event_ids) - _MAX_SHOWN
    return ", ".join(event_ids[:_MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")

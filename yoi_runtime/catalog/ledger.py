"""The ledger: a fold over records, in order, into the state of every Worker.

The same fold runs in the writing process, fed by each append, and in every server process, fed by
reading the log; it does no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence

from yoi_runtime.catalog.worker_state import Tally, WorkerState
from yoi_runtime.events import Event, Status, WorkerCreated, WorkerEnded, WorkerStarted, plain

__all__ = ["LIFECYCLE_EVENT_NAMES", "Ledger"]

# The only events whose content the ledger looks at; of all others it needs just the numbers.
LIFECYCLE_EVENT_NAMES = frozenset(event.event_name for event in (Status, WorkerCreated, WorkerStarted, WorkerEnded))


class Ledger:
    """State of all Workers as of record ``seq``, and what was rotated out of the log as a whole.

    ``segment_tallies`` counts, per Worker ("" for the Runtime), the records of the segment being written or read.
    ``unaccounted_seq``: nobody knows of which Worker the records up to here were, because the catalog was lost.
    """

    def __init__(self) -> None:
        self.workers: dict[str, WorkerState] = {}
        self.seq = 0
        self.rotated_out = Tally()
        self.unaccounted_seq = 0
        self.forgotten_seq = 0
        self.changed: set[str] = set()
        self.segment_tallies: dict[str, Tally] = {}

    @property
    def accounted_seq(self) -> int:
        """Return up to which record it is known of whom the rotated-out records were, or known that nobody knows."""
        return max(self.rotated_out.last_seq, self.unaccounted_seq)

    def apply(self, seq: int, worker_id: str | None, worker_seq: int, time: str, event: Event | None) -> None:
        """Take in the next record. ``event`` is needed when its name is in ``LIFECYCLE_EVENT_NAMES``.

        A record at or below ``self.seq`` was counted before and changes nothing.
        """
        if seq <= self.seq:
            return
        self.seq = seq
        key = worker_id or ""
        tally = self.segment_tallies.get(key)
        if tally is None:
            tally = self.segment_tallies[key] = Tally(from_time=time)
        # Tally.add, spelled out: this runs for every append.
        tally.events += 1
        tally.last_seq, tally.last_worker_seq, tally.to_time = seq, worker_seq, time
        if worker_id is not None:
            state = self.workers.get(worker_id) or self._state(worker_id)
            self.changed.add(worker_id)
            state.worker_seq, state.seq = worker_seq, seq
            # By its name, which most other events do not share a class attribute's look-up for: isinstance() of
            # a pydantic model runs Python code.
            if event is not None and event.event_name == "status" and isinstance(said := plain(event), Status):
                state.status = said.status
        elif event is not None:
            self._apply_lifecycle(event, time)

    def apply_run(self, seq: int, worker_id: str, worker_seq: int, time: str, events: Sequence[Event]) -> None:
        """Take in records of one Worker, written at one time, that follow each other from ``seq`` and ``worker_seq`` on.

        The same as ``apply`` for each, in a fifth of the time.
        """
        if not events:
            return
        if seq <= self.seq:
            for number, event in enumerate(events):
                self.apply(seq + number, worker_id, worker_seq + number, time, event)
            return
        self.apply(seq, worker_id, worker_seq, time, events[0])
        more = len(events) - 1
        self.seq += more
        tally, state = self.segment_tallies[worker_id], self.workers[worker_id]
        tally.events += more
        tally.last_seq = state.seq = seq + more
        tally.last_worker_seq = state.worker_seq = worker_seq + more
        for event in events:
            if event.event_name == "status" and isinstance(said := plain(event), Status):
                state.status = said.status

    def _state(self, worker_id: str) -> WorkerState:
        state = self.workers.get(worker_id)
        if state is None:
            state = self.workers[worker_id] = WorkerState(worker_id)
        return state

    def _apply_lifecycle(self, event: Event, time: str) -> None:
        if isinstance(event, WorkerCreated | WorkerStarted | WorkerEnded):
            self.changed.add(event.worker_id)
        if isinstance(event, WorkerCreated):
            state = self._state(event.worker_id)
            state.created_at = state.created_at or time
            state.created_seq = state.created_seq or self.seq
        elif isinstance(event, WorkerStarted):
            state = self._state(event.worker_id)
            state.run, state.started_at = event.run, time
            state.ended_at, state.outcome, state.exit_code, state.found_ended_us = None, None, None, None
            state.restart_pending = False
        elif isinstance(event, WorkerEnded):
            state = self._state(event.worker_id)
            state.ended_at, state.outcome, state.exit_code = time, event.outcome, event.exit_code
            state.restart_pending = bool(event.restart_pending)
            state.status = "idle"

    def take_newest(self, newest: dict[str, tuple[int, int]], seq: int) -> None:
        """Take in records up to ``seq`` by the newest (seq, worker_seq) of each Worker; nothing is tallied.

        For readers, who need no tallies. Lifecycle events among the records were applied, in order, before.
        """
        for worker_id, (at, worker_seq) in newest.items():
            state = self._state(worker_id)
            self.changed.add(worker_id)
            if at > state.seq:
                state.worker_seq, state.seq = worker_seq, at
        self.seq = max(self.seq, seq)

    def begin_segment(self) -> dict[str, Tally]:
        """Start counting a new segment; returns the tallies of the one before."""
        finished, self.segment_tallies = self.segment_tallies, {}
        return finished

    def note_rotated_out(self, tallies: dict[str, Tally], last_seq: int) -> None:
        """Count the records of a segment that is about to be deleted as gone; ``last_seq`` is its last. Oldest first."""
        for worker_id, tally in tallies.items():
            if worker_id:
                state = self._state(worker_id)
                self.changed.add(worker_id)
                if state.rotated_out is None:
                    state.rotated_out = Tally()
                state.rotated_out.merge(tally)
        self.rotated_out.merge(_sum(tallies))
        self.rotated_out.last_seq = last_seq

    def forget_ended(self, now_us: int, after_us: int) -> list[str]:
        """Drop Workers that were found ended ``after_us`` ago and have no record left; returns their ids.

        ``now_us`` is the log's steady time: a wall clock that jumps makes nobody forgotten.
        """
        gone = []
        for state in self.workers.values():
            if not state.ended:
                continue
            if state.found_ended_us is None:
                state.found_ended_us = now_us
                self.changed.add(state.worker_id)
            rotated_out = state.rotated_out.last_worker_seq if state.rotated_out is not None else 0
            if now_us - state.found_ended_us > after_us and rotated_out >= state.worker_seq:
                gone.append(state.worker_id)
        for worker_id in gone:
            self.forgotten_seq = max(self.forgotten_seq, self.workers.pop(worker_id).seq)
        return gone


def _sum(tallies: dict[str, Tally]) -> Tally:
    """Return one tally for a whole segment; worker_seq has no meaning there and is 0."""
    filled = [tally for tally in tallies.values() if tally.events]
    if not filled:
        return Tally()
    return Tally(
        events=sum(tally.events for tally in filled),
        last_seq=max(tally.last_seq for tally in filled),
        from_time=min(tally.from_time for tally in filled),
        to_time=max(tally.to_time for tally in filled),
    )

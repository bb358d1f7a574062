"""What of a stream was rotated out after a place: the exact rule of expiry, per scope. Pure.

Decision: docs/decisions/0004-exact-expiry.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from yoi_runtime.catalog.ledger import Ledger

__all__ = ["RotationLoss", "continues", "lost_of_everything", "lost_of_worker"]


@dataclass(frozen=True, slots=True)
class RotationLoss:
    """How many events are gone; not ``exact``: at most so many. The times are None when unknown."""

    events: int
    exact: bool
    from_time: str | None = None
    to_time: str | None = None


def continues(ledger: Ledger, worker_id: str, seq: int, worker_seq: int) -> bool:
    """Say whether a Worker's event ``seq``, whose segment is gone, can have borne ``worker_seq``; True where nobody knows.

    Asked where nothing of the Worker was rotated out after it: otherwise it was an event of a lost tail.
    """
    if 0 < max(ledger.unaccounted_seq, ledger.forgotten_seq) >= seq:
        return True
    state = ledger.workers.get(worker_id)
    gone = state.rotated_out if state is not None else None
    return worker_seq == (gone.last_worker_seq if gone is not None else 0)


def lost_of_everything(ledger: Ledger, seq: int, floor_seq: int) -> RotationLoss | None:
    """Return what of all events after ``seq`` is gone, None if nothing is; ``floor_seq`` is the last one that is."""
    if floor_seq <= seq:
        return None
    gone = ledger.rotated_out
    from_time = gone.from_time if seq == ledger.unaccounted_seq == 0 else ""
    return RotationLoss(events=floor_seq - seq, exact=True, from_time=from_time or None, to_time=gone.to_time or None)


def lost_of_worker(
    ledger: Ledger, worker_id: str, seq: int, worker_seq: int | None, floor_seq: int
) -> RotationLoss | None:
    """Return what of a Worker's events after ``seq`` is gone; ``worker_seq``: its number there, None when not known."""
    state = ledger.workers.get(worker_id)
    gone = state.rotated_out if state is not None else None
    last_gone_seq = gone.last_seq if gone is not None else 0
    unknown_seq = ledger.unaccounted_seq
    if state is None or state.created_seq > seq:
        # Before this Worker was created another one may have borne its id and been forgotten.
        unknown_seq = max(unknown_seq, ledger.forgotten_seq)
    if max(last_gone_seq, unknown_seq) <= seq:
        return None
    between = floor_seq - seq
    if gone is None or not gone.events or unknown_seq > seq:
        return RotationLoss(events=between, exact=False)
    # A number that is not lower is of before the catalog was lost, or of a lost tail.
    if worker_seq is not None and worker_seq < gone.last_worker_seq and not 0 < unknown_seq == seq:
        # Of the first lost event the time is known where it is the Worker's first.
        from_time = gone.from_time if worker_seq == 0 else ""
        return RotationLoss(
            events=gone.last_worker_seq - worker_seq,
            exact=True,
            from_time=from_time or None,
            to_time=gone.to_time or None,
        )
    return RotationLoss(events=min(between, gone.events), exact=False, to_time=gone.to_time or None)

from __future__ import annotations

from yoi_runtime.catalog.ledger import Ledger
from yoi_runtime.catalog.rotation_loss import RotationLoss, continues, lost_of_everything, lost_of_worker
from yoi_runtime.catalog.worker_state import Tally, WorkerState

FROM, TO = "2026-11-22T17:00:00.000000Z", "2026-11-22T18:00:00.000000Z"


def ledger(*, gone: Tally | None = None, unaccounted_seq: int = 0, forgotten_seq: int = 0) -> Ledger:
    """Return one in which everything up to seq 100 was rotated out, of Worker coder what ``gone`` says."""
    made = Ledger()
    made.rotated_out = Tally(100, 100, 0, FROM, TO)
    made.unaccounted_seq, made.forgotten_seq = unaccounted_seq, forgotten_seq
    made.workers["coder"] = WorkerState("coder", worker_seq=50, seq=200, created_seq=5, rotated_out=gone)
    return made


GONE = Tally(30, 90, 30, FROM, TO)


def test_of_everything_each_event_up_to_the_floor_is_lost():
    assert lost_of_everything(ledger(), 40, 100) == RotationLoss(60, True, None, TO)
    assert lost_of_everything(ledger(), 0, 100) == RotationLoss(100, True, FROM, TO)
    assert lost_of_everything(ledger(), 100, 100) is None


def test_a_worker_s_cursor_expires_only_with_that_worker_s_events():
    assert lost_of_worker(ledger(gone=GONE), "coder", 90, 30, 100) is None
    assert lost_of_worker(ledger(gone=GONE), "coder", 89, 29, 100) == RotationLoss(1, True, None, TO)
    assert lost_of_worker(ledger(gone=GONE), "coder", 10, 0, 100) == RotationLoss(30, True, FROM, TO)
    assert lost_of_worker(ledger(), "coder", 10, 0, 100) is None


def test_without_the_worker_s_number_or_the_catalog_it_is_an_upper_bound():
    assert lost_of_worker(ledger(gone=GONE), "coder", 80, None, 100) == RotationLoss(20, False, None, TO)
    assert lost_of_worker(ledger(gone=GONE, unaccounted_seq=95), "coder", 80, 28, 100) == RotationLoss(20, False)
    assert lost_of_worker(ledger(forgotten_seq=60), "stranger", 50, 3, 100) == RotationLoss(50, False)


def test_an_event_of_a_lost_tail_is_told_by_its_number():
    assert continues(ledger(gone=GONE), "coder", 95, 30)
    assert not continues(ledger(gone=GONE), "coder", 95, 33)
    assert continues(ledger(gone=GONE, unaccounted_seq=99), "coder", 95, 33)
    assert continues(ledger(), "stranger", 95, 0)

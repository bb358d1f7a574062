"""The state of one Worker as its records tell it, and the tally of a run of its records."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar, get_args

from yoi_runtime.events import WorkerOutcome, WorkerStatus
from yoi_runtime.segment_log.json_fields import whole_number

__all__ = ["Tally", "WorkerState"]

_T = TypeVar("_T")
_WORKER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True)
class Tally:
    """How many records, up to which numbers, from when to when. Times are the records' own texts."""

    events: int = 0
    last_seq: int = 0
    last_worker_seq: int = 0
    from_time: str = ""
    to_time: str = ""

    def add(self, seq: int, worker_seq: int, time: str) -> None:
        """Count one more record, the newest so far."""
        if not self.events:
            self.from_time = time
        self.events += 1
        self.last_seq, self.last_worker_seq, self.to_time = seq, worker_seq, time

    def merge(self, newer: Tally) -> None:
        """Count a later run of records in."""
        if not newer.events:
            return
        if not self.events:
            self.from_time = newer.from_time
        self.events += newer.events
        self.last_seq, self.last_worker_seq, self.to_time = newer.last_seq, newer.last_worker_seq, newer.to_time

    def to_json(self) -> list[object]:
        return [self.events, self.last_seq, self.last_worker_seq, self.from_time, self.to_time]

    @classmethod
    def from_json(cls, fields: object) -> Tally:
        """Return the tally that ``to_json`` wrote. Raises ``ValueError`` or ``TypeError`` for anything else."""
        if not isinstance(fields, list):
            raise TypeError("a tally is a list")
        events, last_seq, last_worker_seq, from_time, to_time = fields
        return cls(
            whole_number(events), whole_number(last_seq), whole_number(last_worker_seq), str(from_time), str(to_time)
        )


@dataclass(slots=True)
class WorkerState:
    """One Worker. ``worker_seq`` and ``seq`` are those of its newest record (0: none yet).

    ``created_seq`` is that of its ``worker_created``. ``run`` counts its starts; ``outcome`` is None while it runs. ``rotated_out`` tallies what of it is gone.
    ``restart_pending``: it has ended and its Runtime is going to run it again.
    ``found_ended_us``: when, in the log's steady time, a snapshot first found it ended.
    """

    worker_id: str
    created_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    status: WorkerStatus = "idle"
    outcome: WorkerOutcome | None = None
    exit_code: int | None = None
    run: int = 0
    worker_seq: int = 0
    seq: int = 0
    created_seq: int = 0
    rotated_out: Tally | None = None
    found_ended_us: int | None = None
    restart_pending: bool = False

    @property
    def ended(self) -> bool:
        return self.outcome is not None

    def to_json(self) -> dict[str, object]:
        fields: dict[str, object] = {
            "worker_id": self.worker_id,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "status": self.status,
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "run": self.run,
            "worker_seq": self.worker_seq,
            "seq": self.seq,
            "created_seq": self.created_seq,
            "rotated_out": None if self.rotated_out is None else self.rotated_out.to_json(),
            "found_ended_us": self.found_ended_us,
        }
        if self.restart_pending:
            fields["restart_pending"] = True
        return fields

    @classmethod
    def from_json(cls, fields: dict[str, object]) -> WorkerState:
        """Return the state that ``to_json`` wrote. Raises ``KeyError``, ``ValueError`` or ``TypeError``."""
        gone = fields["rotated_out"]
        exit_code = fields["exit_code"]
        found_ended_us = fields["found_ended_us"]
        return cls(
            worker_id=_worker_id(fields["worker_id"]),
            created_at=_text(fields["created_at"]),
            started_at=_text(fields["started_at"]),
            ended_at=_text(fields["ended_at"]),
            status=_one_of(fields["status"], get_args(WorkerStatus)),
            outcome=None if fields["outcome"] is None else _one_of(fields["outcome"], get_args(WorkerOutcome)),
            exit_code=None if exit_code is None else int(str(exit_code)),
            run=whole_number(fields["run"]),
            worker_seq=whole_number(fields["worker_seq"]),
            seq=whole_number(fields["seq"]),
            created_seq=whole_number(fields["created_seq"]),
            rotated_out=None if gone is None else Tally.from_json(gone),
            found_ended_us=None if found_ended_us is None else int(str(found_ended_us)),
            restart_pending=fields.get("restart_pending") is True,
        )


def _worker_id(value: object) -> str:
    if not isinstance(value, str) or not _WORKER_ID.fullmatch(value):
        raise ValueError(f"{value!r:.80} is no Worker's id")
    return value


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _one_of(value: object, choices: tuple[_T, ...]) -> _T:
    for choice in choices:
        if choice == value:
            return choice
    raise ValueError(f"{value!r} is none of {choices!r}")

"""An inspection as a person reads it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from yoi_log.inspection import DamagedPlace, Inspection, SegmentFacts, WorkerFacts
from yoi_log.wording import count, size, time_text

__all__ = ["show_inspection"]

_MOST_SEGMENTS = 20


def show_inspection(inspection: Inspection, console: Console) -> None:
    """Print ``inspection``: the log, its segments, its Workers, what is damaged."""
    _show_log(inspection, console)
    _show_segments(inspection.segments, console)
    _show_workers(inspection.workers, console)
    _show_damage(inspection.damaged, console)


def _show_log(inspection: Inspection, console: Console) -> None:
    facts = Table.grid(padding=(0, 2))
    end, durable = inspection.end, inspection.durable
    facts.add_row("log", f"{inspection.log_id}  {inspection.log_directory}")
    facts.add_row("holds", f"{count(inspection.events, 'event')} in {size(inspection.size_bytes)}")
    facts.add_row("floor", f"after seq {inspection.floor['seq']}, segment {inspection.floor['segment']}")
    facts.add_row("end", f"seq {end['seq']}, segment {end['segment']}, offset {end['offset']}")
    if durable != end:
        facts.add_row(
            "durable", f"up to seq {durable['seq']}, segment {durable['segment']}, offset {durable['offset']}"
        )
    facts.add_row("oldest cursor", inspection.oldest_cursor)
    facts.add_row("latest cursor", inspection.latest_cursor)
    facts.add_row("closed", "in good order" if inspection.closed_cleanly else "no: a Runtime writes it, or was killed")
    if inspection.unshown_bytes:
        facts.add_row("not shown", f"{size(inspection.unshown_bytes)} after the end: not committed, or a torn tail")
    if inspection.rotated_out is not None:
        gone = inspection.rotated_out
        facts.add_row(
            "rotated out",
            f"{count(gone['events'], 'event')}, {time_text(gone['from_time'])} to {time_text(gone['to_time'])}",
        )
    if inspection.retention is not None:
        facts.add_row("kept", _retention_text(inspection.retention))
    console.print(facts)


def _retention_text(retention: dict[str, object]) -> str:
    limits = []
    if isinstance(most := retention["retain_bytes"], int):
        limits.append(f"at most {size(most)}")
    if isinstance(age := retention["retain_age_seconds"], int | float):
        limits.append(f"for {age / 86_400:g} days")
    if (segments := retention["retain_segments"]) is not None:
        limits.append(f"at most {segments} segments")
    return ", ".join(limits) or "for good"


def _show_segments(segments: list[SegmentFacts], console: Console) -> None:
    table = Table(title="Segments", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("number", "size", "events", "seq"):
        table.add_column(name, justify="right")
    for name in ("first event", "last event", "nonce", ""):
        table.add_column(name)
    shown = segments if len(segments) <= _MOST_SEGMENTS else [*segments[:5], *segments[-(_MOST_SEGMENTS - 5) :]]
    for index, one in enumerate(shown):
        if len(shown) < len(segments) and index == 5:
            table.add_row("…", f"{len(segments) - len(shown)} more")
        seqs = "" if one.first_seq is None or one.last_seq is None else f"{one.first_seq}–{one.last_seq}"
        table.add_row(
            str(one.number),
            size(one.size_bytes),
            "" if one.events is None else str(one.events),
            seqs if one.first_seq is None or one.last_seq is None or one.last_seq >= one.first_seq else "none",
            time_text(one.first_time),
            time_text(one.last_time),
            one.nonce or "",
            one.problem or ("active" if one.active else ""),
        )
    console.print()
    console.print(table)


def _show_workers(workers: list[WorkerFacts], console: Console) -> None:
    table = Table(title="Workers", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("worker")
    for name in ("events", "size", "worker seq"):
        table.add_column(name, justify="right")
    for name in ("first event", "last event", "state", "rotated out"):
        table.add_column(name)
    for one in workers:
        seqs = (
            f"{one.first_worker_seq}–{one.last_worker_seq}" if one.first_worker_seq else str(one.last_worker_seq or "")
        )
        gone = one.rotated_out
        table.add_row(
            one.worker_id or "(Runtime)",
            "" if one.events is None else str(one.events),
            "" if one.size_bytes is None else size(one.size_bytes),
            seqs,
            time_text(one.first_time),
            time_text(one.last_time),
            _state_text(one),
            "" if gone is None else f"{count(gone['events'], 'event')}, to worker seq {gone['last_worker_seq']}",
        )
    console.print()
    console.print(table if workers else "No Workers.")


def _state_text(worker: WorkerFacts) -> str:
    if worker.status is None:
        return ""
    state = f"ended, {worker.outcome}" if worker.outcome is not None else worker.status
    return f"{state} (run {worker.run})" if worker.run and worker.run > 1 else state


def _show_damage(damaged: list[DamagedPlace], console: Console) -> None:
    if not damaged:
        return
    console.print()
    console.print(f"{count(len(damaged), 'damaged place')}:", style="bold red")
    for place in damaged:
        console.print(
            f"  {place.file} offset {place.offset}: seq {place.first_seq} to {place.last_seq}: {place.reason}",
            soft_wrap=True,
        )

"""What repair and fork did, as a person reads it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from yoi_log.forking import Fork
from yoi_log.repair import LostPlace, Repair
from yoi_log.salvage import Dropped
from yoi_log.wording import count, size

__all__ = ["show_fork", "show_repair"]


def show_repair(repair: Repair, console: Console) -> None:
    """Print what the copy holds and what could not be saved."""
    facts = Table.grid(padding=(0, 2))
    end = repair.end
    facts.add_row("log", f"{repair.log_id}  {repair.source}")
    facts.add_row("copy", repair.copy)
    facts.add_row("saved", f"{count(repair.events, 'event')} in {count(repair.segments, 'segment')}")
    facts.add_row("end", f"seq {end['seq']}, segment {end['segment']}, offset {end['offset']}")
    if repair.remade:
        facts.add_row("made again", ", ".join(repair.remade))
    if repair.torn_bytes:
        facts.add_row("left out", f"{size(repair.torn_bytes)} behind the end: a torn tail, or garbage")
    for sentence in repair.left_out:
        facts.add_row("left out", sentence)
    if repair.transcripts is not None:
        facts.add_row("transcripts", repair.transcripts)
    console.print(facts)
    console.print()
    if repair.complete:
        console.print("Nothing was lost.", style="bold green")
        return
    _show_dropped(repair.begins_after, "The copy begins after", console)
    _show_dropped(repair.ends_before, "The copy ends before", console)
    if repair.lost:
        events = sum(place.last_seq - place.first_seq + 1 for place in repair.lost)
        console.print(f"{count(events, 'event')} could not be saved:", style="bold red")
        for place in repair.lost:
            console.print(f"  {_lost_text(place)}", soft_wrap=True)


def _show_dropped(dropped: Dropped | None, words: str, console: Console) -> None:
    if dropped is None:
        return
    if dropped.first_segment == dropped.last_segment:
        segments = f"segment {dropped.last_segment}"
    else:
        segments = f"segments {dropped.first_segment} to {dropped.last_segment}"
    seqs = f"seq {dropped.first_seq or '?'} to {dropped.last_seq or '?'}"
    console.print(f"{words} {segments} ({seqs}): {dropped.reason}", style="bold red", soft_wrap=True)


def _lost_text(place: LostPlace) -> str:
    whose = [
        f"{worker} {first}" if first == last else f"{worker} {first} to {last}"
        for worker, (first, last) in place.workers.items()
    ]
    if place.unowned:
        whose.append(f"{place.unowned} of nobody known" if whose else "of nobody known")
    seqs = (
        f"seq {place.first_seq}" if place.first_seq == place.last_seq else f"seq {place.first_seq} to {place.last_seq}"
    )
    return f"{place.file} offset {place.offset}: {seqs} ({', '.join(whose)})"


def show_fork(fork: Fork, console: Console) -> None:
    """Print what the copy is."""
    facts = Table.grid(padding=(0, 2))
    facts.add_row("original", f"{fork.original_log_id}  {fork.source}")
    facts.add_row("copy", f"{fork.log_id}  {fork.copy}")
    end = fork.end
    facts.add_row("holds", f"{count(fork.events, 'event')} in {count(fork.segments, 'segment')}")
    facts.add_row("end", f"seq {end['seq']}, segment {end['segment']}, offset {end['offset']}")
    if fork.transcripts is not None:
        facts.add_row("transcripts", fork.transcripts)
    console.print(facts)

"""A verification as a person reads it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from yoi_log.defect import Defect
from yoi_log.transcript_verification import TranscriptReport
from yoi_log.verification import Verification
from yoi_log.wording import count, size

__all__ = ["defect_text", "show_verification"]


def show_verification(verification: Verification, console: Console) -> None:
    """Print what was read and what is wrong, one line for each defect."""
    facts = Table.grid(padding=(0, 2))
    end = verification.end
    facts.add_row("log", f"{verification.log_id}  {verification.log_directory}")
    held = f"{count(verification.events, 'event')} in {count(verification.segments, 'segment')}"
    facts.add_row("read", f"{held}, {size(verification.size_bytes)}")
    how = (
        "by its watermark"
        if verification.went_by == "watermark"
        else "by the segments alone: there is no sound watermark"
    )
    facts.add_row("end", f"seq {end['seq']}, segment {end['segment']}, offset {end['offset']}, {how}")
    if verification.unshown_bytes:
        facts.add_row("not shown", f"{size(verification.unshown_bytes)} after the end: not committed, or a torn tail")
    books = f"{count(verification.indexes, 'index file')}, {'the catalog' if verification.catalog else 'no catalog'}"
    facts.add_row("books", books)
    if verification.transcripts is not None:
        facts.add_row("transcripts", _transcripts_text(verification.transcripts))
    console.print(facts)
    console.print()
    if verification.sound:
        console.print("Sound: nothing is wrong.", style="bold green")
        return
    console.print(f"{count(len(verification.defects), 'defect')}:", style="bold red")
    for defect in verification.defects:
        console.print(f"  {defect_text(defect)}", soft_wrap=True)


def _transcripts_text(report: TranscriptReport) -> str:
    if report.unread is not None:
        return f"not looked at: {report.unread}"
    held = f"{count(report.items, 'item')} of {count(report.workers, 'Worker')}, up to seq {report.seq}"
    return f"{held}; {report.compared:,} held against the log"


def defect_text(defect: Defect) -> str:
    """Return one line for one defect."""
    place = defect.file if defect.offset is None else f"{defect.file} offset {defect.offset}"
    if defect.first_seq is None:
        seqs = ""
    elif defect.first_seq == defect.last_seq:
        seqs = f" seq {defect.first_seq}:"
    else:
        seqs = f" seq {defect.first_seq} to {defect.last_seq}:"
    worker = f" Worker {defect.worker_id}:" if defect.worker_id is not None else ""
    return f"{defect.kind}: {place}:{seqs}{worker} {defect.reason}"

"""The answer to a cursor as a person reads it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from yoi_log.cursor_answer import CursorAnswer
from yoi_log.wording import count

__all__ = ["show_cursor"]


def show_cursor(answer: CursorAnswer, console: Console) -> None:
    """Print what the token names, and whether it would resume."""
    facts = Table.grid(padding=(0, 2))
    facts.add_row("log", answer.log_id)
    facts.add_row("place", f"after seq {answer.seq}: segment {answer.segment}, offset {answer.offset}")
    if answer.worker_tag is not None:
        name = answer.worker_id or f"the Worker with tag {answer.worker_tag}"
        facts.add_row("issued for", f"{name}, after its event {answer.worker_seq}")
    else:
        facts.add_row("issued for", "the stream of everything")
    if answer.answer is not None:
        facts.add_row("answer", _answer_text(answer))
    if answer.worker_answer is not None and answer.worker_answer != answer.answer:
        facts.add_row(f"on {answer.worker_id}'s stream", _worker_text(answer))
    elif answer.worker_answer == "expired":
        facts.add_row(f"on {answer.worker_id}'s stream", f"expired: {answer.worker_reason}")
    console.print(facts)


def _worker_text(answer: CursorAnswer) -> str:
    if answer.worker_answer == "resumes":
        return "resumes: none of its events after it were rotated out"
    return f"{answer.worker_answer}: {answer.worker_reason}"


def _answer_text(answer: CursorAnswer) -> str:
    if answer.answer == "resumes":
        behind = answer.events_behind or 0
        return f"resumes, {count(behind, 'event')} to come" if behind else "resumes at the end of the log"
    return f"{answer.answer}: {answer.reason}"

"""Statistics as a person reads them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from yoi_log.stats import RunFacts, Stats, Tokens
from yoi_log.wording import count, size, span, time_text

__all__ = ["show_stats"]

_MOST_ROWS = 20
_BAR = "█"
_BAR_WIDTH = 24


def show_stats(stats: Stats, console: Console) -> None:
    """Print ``stats``: the log, events by name, Workers, tools, silences, runs."""
    _show_log(stats, console)
    _show_names(stats, console)
    _show_workers(stats, console)
    _show_tools(stats, console)
    _show_silences(stats, console)
    _show_runs(stats, console)


def _show_log(stats: Stats, console: Console) -> None:
    facts = Table.grid(padding=(0, 2))
    facts.add_row("log", stats.log_id)
    facts.add_row("events", f"{count(stats.events, 'event')}, {size(stats.size_bytes)}")
    if stats.missing_events:
        facts.add_row("missing", f"{count(stats.missing_events, 'event')} that cannot be read")
    if stats.lost_events:
        facts.add_row("lost", f"{count(stats.lost_events, 'event')} for which a repair has put a record")
    if stats.events:
        facts.add_row("time", f"{time_text(stats.first_time)} to {time_text(stats.last_time)}: {span(stats.seconds)}")
    if (busiest := stats.busiest_second) is not None:
        facts.add_row(
            "rate", f"{stats.per_second:,.1f} a second; at most {busiest['events']:,}, at {time_text(busiest['time'])}"
        )
    if stats.tokens.requests:
        facts.add_row("tokens", _tokens_text(stats.tokens))
    if (calls := stats.llm_calls).get("count"):
        facts.add_row(
            "model calls",
            f"{int(calls['count']):,}, half within {span(calls['p50_seconds'])}, the longest {span(calls['longest_seconds'])}",
        )
    if stats.retries:
        facts.add_row("retries", f"{stats.retries:,}, {span(stats.retry_wait_seconds)} of waiting")
    for name, found in (("errors", stats.errors), ("alerts", stats.alerts)):
        if found:
            facts.add_row(name, ", ".join(f"{number:,} {what}" for what, number in found.items()))
    console.print(facts)


def _tokens_text(tokens: Tokens) -> str:
    cached = (
        f" ({tokens.cache_read_input_tokens / tokens.input_tokens:.0%} from the cache)" if tokens.input_tokens else ""
    )
    return f"{tokens.input_tokens:,} in{cached}, {tokens.output_tokens:,} out, in {count(tokens.requests, 'request')}"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _show_names(stats: Stats, console: Console) -> None:
    if not stats.names:
        return
    table = _table("Events")
    table.add_column("event")
    table.add_column("number", justify="right")
    table.add_column("")
    most = max(stats.names.values())
    for name, number in list(stats.names.items())[:_MOST_ROWS]:
        table.add_row(name, f"{number:,}", _BAR * max(1, round(_BAR_WIDTH * number / most)))
    _say_more(table, len(stats.names))
    _print(table, console)


def _show_workers(stats: Stats, console: Console) -> None:
    if not stats.workers:
        return
    table = _table("Workers")
    table.add_column("worker")
    for name in (
        "events",
        "size",
        "runs",
        "turns",
        "tools",
        "failed",
        "retries",
        "errors",
        "tokens in",
        "out",
        "longest silence",
    ):
        table.add_column(name, justify="right")
    for one in stats.workers[:_MOST_ROWS]:
        table.add_row(
            one.worker_id or "(Runtime)",
            f"{one.events:,}",
            size(one.size_bytes),
            *(
                _number(value)
                for value in (one.runs, one.turns, one.tool_calls, one.tool_errors, one.retries, one.errors)
            ),
            *(_number(value) for value in (one.tokens.input_tokens, one.tokens.output_tokens)),
            span(one.longest_silence_seconds) if one.longest_silence_seconds else "",
        )
    _say_more(table, len(stats.workers))
    _print(table, console)


def _show_tools(stats: Stats, console: Console) -> None:
    if not stats.tools:
        return
    share = "" if stats.tool_error_share is None else f" ({stats.tool_error_share:.0%} of results failed)"
    table = _table(f"Tools{share}")
    table.add_column("tool")
    for name in ("calls", "failed", "open", "half within", "95 % within", "longest", "together"):
        table.add_column(name, justify="right")
    for one in stats.tools[:_MOST_ROWS]:
        times = one.durations
        keys = ("p50_seconds", "p95_seconds", "longest_seconds", "total_seconds")
        spans = [span(times[key]) for key in keys] if times["count"] else [""] * len(keys)
        table.add_row(one.name, f"{one.calls:,}", _number(one.errors), _number(one.open), *spans)
    _say_more(table, len(stats.tools))
    _print(table, console)


def _show_silences(stats: Stats, console: Console) -> None:
    if not stats.silences:
        return
    table = _table("Longest silences")
    table.add_column("length", justify="right")
    for name in ("worker", "from", "after"):
        table.add_column(name)
    for one in stats.silences:
        table.add_row(
            span(one.seconds), one.worker_id, time_text(one.from_time), f"{one.after_event} (seq {one.after_seq})"
        )
    _print(table, console)


def _show_runs(stats: Stats, console: Console) -> None:
    if not stats.runs:
        return
    outcomes = ", ".join(f"{number:,} {outcome}" for outcome, number in stats.outcomes.items())
    table = _table(f"Runs{': ' + outcomes if outcomes else ''}")
    table.add_column("worker")
    table.add_column("run", justify="right")
    table.add_column("started")
    table.add_column("length", justify="right")
    table.add_column("outcome")
    for one in stats.runs[-_MOST_ROWS:]:
        length = "" if one.seconds is None else span(one.seconds)
        table.add_row(one.worker_id, _number(one.run), time_text(one.started), length, _outcome_text(one))
    if stats.runs_total > _MOST_ROWS:
        table.add_row("…", f"{stats.runs_total - _MOST_ROWS:,} before")
    _print(table, console)


def _outcome_text(run: RunFacts) -> str:
    if run.outcome is None:
        return "running, or the log ends before it"
    return run.outcome if run.exit_code is None else f"{run.outcome}, exit code {run.exit_code}"


def _number(value: int) -> str:
    return f"{value:,}" if value else ""


def _say_more(table: Table, rows: int) -> None:
    if rows > _MOST_ROWS:
        table.add_row("…", f"{rows - _MOST_ROWS:,} more")


def _print(table: Table, console: Console) -> None:
    console.print()
    console.print(table)

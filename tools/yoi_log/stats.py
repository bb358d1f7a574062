"""What happened in a log, in numbers: the facts of ``yoi-log stats``, as data. ``stats_text`` shows them to people.

One pass in bounded memory: it grows with the number of Workers, not with that of events. Tokens come from ``usage``,
durations of tools from a call's start to its result, those of the model from ``llm_call_start`` to ``llm_call_end``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from yoi_log.filler import LOST
from yoi_log.log_place import LogPlace
from yoi_log.measures import Durations, Longest, NameCounts
from yoi_log.recorded_events import Missing, RecordedEvent, opened, recorded_events

__all__ = ["RunFacts", "Silence", "Stats", "Tokens", "ToolFacts", "WorkerStats", "measure_log"]

_MOST_SILENCES = 10
_MOST_RUNS = 1000
# Calls without a result that are remembered for one Worker; the oldest goes when another comes.
_MOST_OPEN_CALLS = 1000
_MOST_TOOLS = 200
# A silence is one of a Worker that runs; shorter ones are nobody's question.
_SHORTEST_SILENCE_SECONDS = 0.001


@dataclass(slots=True)
class Tokens:
    """Sums over ``usage`` events; cache hits are part of the input."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0

    def add(self, data: dict[str, Any]) -> None:
        self.requests += 1
        self.input_tokens += _whole(data.get("input_tokens"))
        self.output_tokens += _whole(data.get("output_tokens"))
        self.cache_read_input_tokens += _whole(data.get("cache_read_input_tokens"))


@dataclass(slots=True)
class WorkerStats:
    """One Worker; ``worker_id`` "" is the Runtime itself."""

    worker_id: str
    events: int = 0
    size_bytes: int = 0
    first_time: str = ""
    last_time: str = ""
    runs: int = 0
    turns: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    retries: int = 0
    errors: int = 0
    longest_silence_seconds: float = 0.0
    tokens: Tokens = field(default_factory=Tokens)


@dataclass(slots=True)
class ToolFacts:
    """Calls of one tool. ``open``: without a result so far. ``durations``: of those with one, from the call's start."""

    name: str
    calls: int = 0
    results: int = 0
    errors: int = 0
    open: int = 0
    durations: dict[str, float | int] = field(default_factory=dict)


@dataclass(slots=True)
class Silence:
    """Nothing came from a running Worker between two of its events."""

    worker_id: str
    from_time: str
    to_time: str
    seconds: float
    after_event: str
    after_seq: int


@dataclass(slots=True)
class RunFacts:
    """One run of a Worker. ``outcome`` None: it runs, or the log ends before it did."""

    worker_id: str
    run: int
    started: str | None
    ended: str | None = None
    seconds: float | None = None
    outcome: str | None = None
    exit_code: int | None = None


@dataclass(slots=True)
class Stats:
    """A log in numbers. Times are the records' own; rates are events per second from the first event to the last.

    ``missing_events`` cannot be read and are not in ``events``; for each of ``lost_events`` stands a record ``lost``,
    which a repair made, and that is.
    """

    log_id: str
    events: int = 0
    size_bytes: int = 0
    first_time: str = ""
    last_time: str = ""
    seconds: float = 0.0
    per_second: float = 0.0
    busiest_second: dict[str, Any] | None = None
    missing_events: int = 0
    lost_events: int = 0
    tokens: Tokens = field(default_factory=Tokens)
    llm_calls: dict[str, float | int] = field(default_factory=dict)
    retries: int = 0
    retry_wait_seconds: float = 0.0
    errors: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, int] = field(default_factory=dict)
    tool_error_share: float | None = None
    retries_per_llm_call: float | None = None
    names: dict[str, int] = field(default_factory=dict)
    workers: list[WorkerStats] = field(default_factory=list)
    tools: list[ToolFacts] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    runs_total: int = 0
    runs: list[RunFacts] = field(default_factory=list)


def measure_log(place: LogPlace, *, progress: Callable[[int], None]) -> Stats:
    """Measure the log at ``place``; ``progress`` is told how many more bytes were read.

    Raises:
        LogError: there is no log, or its watermark cannot be read.
        OSError: the disk refused.
    """
    with opened(place) as reader:
        measure = _Measure(reader.log_id)
        for step in recorded_events(reader, progress):
            if isinstance(step, Missing):
                measure.miss(step)
            else:
                measure.take(step)
        return measure.finish()


class _Worker:
    """What is remembered of a Worker between its events."""

    def __init__(self, worker_id: str) -> None:
        self.facts = WorkerStats(worker_id)
        self.calls: dict[str, tuple[str, int]] = {}
        self.llm_calls: dict[object, int] = {}
        self.before: RecordedEvent | None = None
        self.run: RunFacts | None = None
        self.run_began_us: int | None = None


class _Tool:
    def __init__(self, name: str) -> None:
        self.facts = ToolFacts(name)
        self.durations = Durations()


class _Measure:
    """The pass: takes each event in turn."""

    def __init__(self, log_id: str) -> None:
        self.stats = Stats(log_id)
        self._names, self._errors, self._alerts, self._outcomes = NameCounts(), NameCounts(), NameCounts(), NameCounts()
        self._workers: dict[str, _Worker] = {}
        self._tools: dict[str, _Tool] = {}
        self._llm_calls = Durations()
        self._silences: Longest[Silence] = Longest(_MOST_SILENCES)
        self._runs: deque[RunFacts] = deque(maxlen=_MOST_RUNS)
        self._first_us: int | None = None
        self._last_us = 0
        self._second, self._in_second = -1, 0

    def miss(self, missing: Missing) -> None:
        self.stats.missing_events += missing.events
        for worker in self._workers.values():
            # Nobody knows who said something there.
            worker.before = None

    def take(self, event: RecordedEvent) -> None:
        stats = self.stats
        stats.events += 1
        stats.size_bytes += event.size_bytes
        stats.first_time = stats.first_time or event.time
        stats.last_time = event.time
        if self._first_us is None:
            self._first_us = event.time_us
        self._last_us = event.time_us
        self._names.add(event.name)
        if event.name != LOST:
            # What stands for a lost event has the time of the record before it.
            self._count_second(event)
        worker = self._worker(event.worker_id)
        facts = worker.facts
        facts.events += 1
        facts.size_bytes += event.size_bytes
        facts.first_time = facts.first_time or event.time
        facts.last_time = event.time
        if event.worker_id:
            self._note_silence(worker, event)
        take = _TAKERS.get(event.name)
        if take is not None:
            take(self, worker, event, event.data())

    def _worker(self, worker_id: str) -> _Worker:
        worker = self._workers.get(worker_id)
        if worker is None:
            worker = self._workers[worker_id] = _Worker(worker_id)
        return worker

    def _count_second(self, event: RecordedEvent) -> None:
        second = event.time_us // 1_000_000
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        busiest = self.stats.busiest_second
        if busiest is None or self._in_second > busiest["events"]:
            self.stats.busiest_second = {"time": f"{event.time[:19]}Z", "events": self._in_second}

    def _note_silence(self, worker: _Worker, event: RecordedEvent) -> None:
        before, worker.before = worker.before, event
        if before is None:
            return
        seconds = (event.time_us - before.time_us) / 1e6
        if seconds >= _SHORTEST_SILENCE_SECONDS:
            worker.facts.longest_silence_seconds = max(worker.facts.longest_silence_seconds, seconds)
            self._silences.offer(
                seconds,
                Silence(worker.facts.worker_id, before.time, event.time, seconds, before.name, before.seq),
            )

    # One kind of event each.

    def _lost(self, worker: _Worker, _event: RecordedEvent, _data: dict[str, Any]) -> None:
        self.stats.lost_events += 1
        # When it was said is lost too: what follows ends no silence.
        worker.before = None

    def _turn(self, worker: _Worker, _event: RecordedEvent, _data: dict[str, Any]) -> None:
        worker.facts.turns += 1

    def _usage(self, worker: _Worker, _event: RecordedEvent, data: dict[str, Any]) -> None:
        worker.facts.tokens.add(data)
        self.stats.tokens.add(data)

    def _retry(self, worker: _Worker, _event: RecordedEvent, data: dict[str, Any]) -> None:
        worker.facts.retries += 1
        self.stats.retries += 1
        self.stats.retry_wait_seconds += _whole(data.get("wait_ms")) / 1000

    def _error(self, worker: _Worker, _event: RecordedEvent, data: dict[str, Any]) -> None:
        worker.facts.errors += 1
        self._errors.add(str(data.get("code")))

    def _alert(self, _worker: _Worker, _event: RecordedEvent, data: dict[str, Any]) -> None:
        self._alerts.add(str(data.get("level")))

    def _llm_start(self, worker: _Worker, event: RecordedEvent, data: dict[str, Any]) -> None:
        _remember(worker.llm_calls, str(data.get("llm_call")), event.time_us)

    def _llm_end(self, worker: _Worker, event: RecordedEvent, data: dict[str, Any]) -> None:
        began = worker.llm_calls.pop(str(data.get("llm_call")), None)
        if began is not None:
            self._llm_calls.add((event.time_us - began) / 1e6)

    def _tool_start(self, worker: _Worker, event: RecordedEvent, data: dict[str, Any]) -> None:
        call, name = str(data.get("id")), str(data.get("name"))
        if call in worker.calls:
            return  # its start was seen: this is its done
        worker.facts.tool_calls += 1
        tool = self._tool(name)
        tool.facts.calls += 1
        _remember(worker.calls, call, (tool.facts.name, event.time_us))

    def _tool_result(self, worker: _Worker, event: RecordedEvent, data: dict[str, Any]) -> None:
        name, began = worker.calls.pop(str(data.get("id")), ("(unknown)", None))
        tool = self._tool(name)
        tool.facts.results += 1
        if began is not None:
            tool.durations.add((event.time_us - began) / 1e6)
        if data.get("is_error"):
            tool.facts.errors += 1
            worker.facts.tool_errors += 1

    def _tool(self, name: str) -> _Tool:
        if name not in self._tools and len(self._tools) >= _MOST_TOOLS:
            name = "(others)"
        tool = self._tools.get(name)
        if tool is None:
            tool = self._tools[name] = _Tool(name)
        return tool

    def _started(self, _runtime: _Worker, event: RecordedEvent, data: dict[str, Any]) -> None:
        worker = self._worker(str(data.get("worker_id")))
        worker.facts.runs += 1
        worker.run = RunFacts(worker.facts.worker_id, _whole(data.get("run")), event.time)
        worker.run_began_us = event.time_us
        # Before its start it had nothing to say.
        worker.before = event
        self._runs.append(worker.run)
        self.stats.runs_total += 1

    def _ended(self, _runtime: _Worker, event: RecordedEvent, data: dict[str, Any]) -> None:
        worker = self._worker(str(data.get("worker_id")))
        if worker.run is None:
            # Its start was rotated out.
            worker.run = RunFacts(worker.facts.worker_id, 0, None)
            self._runs.append(worker.run)
            self.stats.runs_total += 1
        run = worker.run
        run.ended, run.outcome, run.exit_code = event.time, str(data.get("outcome")), data.get("exit_code")
        if worker.run_began_us is not None:
            run.seconds = (event.time_us - worker.run_began_us) / 1e6
        if run.outcome != "lost":
            # What was lost is said at the next start: who knows until when it ran.
            self._note_silence(worker, event)
        self._outcomes.add(run.outcome)
        worker.run = worker.run_began_us = worker.before = None
        self._leave_open(worker)

    def _leave_open(self, worker: _Worker) -> None:
        """Give up what a run has begun and not ended: the next one may use its ids again."""
        for name, _ in worker.calls.values():
            self._tools[name].facts.open += 1
        worker.calls.clear()
        worker.llm_calls.clear()

    def finish(self) -> Stats:
        stats = self.stats
        if self._first_us is not None:
            stats.seconds = max(0.0, (self._last_us - self._first_us) / 1e6)
            stats.per_second = stats.events / stats.seconds if stats.seconds else float(stats.events)
        for worker in self._workers.values():
            self._leave_open(worker)
        for tool in self._tools.values():
            tool.facts.durations = tool.durations.summary()
        stats.llm_calls = self._llm_calls.summary()
        stats.names, stats.errors, stats.alerts = (
            self._names.by_count(),
            self._errors.by_count(),
            self._alerts.by_count(),
        )
        stats.outcomes = self._outcomes.by_count()
        stats.workers = sorted(
            (one.facts for one in self._workers.values()), key=lambda one: (-one.events, one.worker_id)
        )
        stats.tools = sorted((one.facts for one in self._tools.values()), key=lambda one: (-one.calls, one.name))
        stats.silences, stats.runs = list(self._silences), list(self._runs)
        results = sum(tool.results for tool in stats.tools)
        if results:
            stats.tool_error_share = sum(tool.errors for tool in stats.tools) / results
        if self._llm_calls.count:
            stats.retries_per_llm_call = stats.retries / self._llm_calls.count
        return stats


_TAKERS: dict[str, Callable[[_Measure, _Worker, RecordedEvent, dict[str, Any]], None]] = {
    LOST: _Measure._lost,
    "turn_start": _Measure._turn,
    "usage": _Measure._usage,
    "llm_call_start": _Measure._llm_start,
    "llm_call_end": _Measure._llm_end,
    "llm_retry": _Measure._retry,
    "error": _Measure._error,
    "alert": _Measure._alert,
    "tool_call_start": _Measure._tool_start,
    "tool_call_done": _Measure._tool_start,
    "tool_result": _Measure._tool_result,
    "worker_started": _Measure._started,
    "worker_ended": _Measure._ended,
}


def _whole(value: object) -> int:
    """Return a number that an event holds, 0 for what is none: a Worker may have written anything."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _remember(calls: dict[Any, Any], key: str, value: object) -> None:
    if len(calls) >= _MOST_OPEN_CALLS:
        del calls[next(iter(calls))]
    calls[key] = value

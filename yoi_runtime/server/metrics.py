"""What ``/metrics`` says: everything is read when somebody asks, from what the server knows anyway.

One registry per server, none of the library's globals. Labels are of closed sets: no Worker, token, address or path is
ever one, so that the number of series does not depend on what peers do. Meanings: docs/operations.md, "Metrics".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from yoi_runtime.errors import LogError, TranscriptUnavailableError
from yoi_runtime.events import WorkerOutcome, WorkerStatus
from yoi_runtime.latencies import Latencies
from yoi_runtime.protocol.versions import ProtocolVersion
from yoi_runtime.segment_log.figures import LogFigures
from yoi_runtime.server.lag import worst_lag
from yoi_runtime.server.limits import RefusedBecause
from yoi_runtime.version import VERSION
from yoi_runtime.workers.worker_counts import WorkerCounts

if TYPE_CHECKING:
    from yoi_runtime.server.request_base import ServerState

__all__ = ["METRIC_NAMES", "ServerMetrics"]

_Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_SCOPES = ("everything", "worker")
_WORKER_STATES = (*get_args(WorkerStatus), *get_args(WorkerOutcome))

_HELP = {
    "yoi_info": "Always 1; the version, and whether this process writes the log.",
    "yoi_ready": "1 while /readyz answers 200.",
    "yoi_subscribers": "WebSockets that are open, by scope and protocol version.",
    "yoi_connects_total": "Streams asked for, by where they began or by the diagnostic that answered instead.",
    "yoi_disconnects_total": "WebSockets that ended, by close code; 1006 without one.",
    "yoi_requests_refused_total": "HTTP requests and upgrades answered with a diagnostic, by its code.",
    "yoi_refused_total": "Connections, requests and streams that a limit or the guard turned away, by reason.",
    "yoi_connections": "Connections that are open, subscribers included.",
    "yoi_connections_unfinished": "Connections that have not sent a good request yet.",
    "yoi_subscribers_allowed": "How many subscribers there may be at once.",
    "yoi_events_delivered_total": "Events sent, each counted once per subscriber.",
    "yoi_events_filtered_total": "Events passed over for subscribers that did not ask for them.",
    "yoi_bytes_delivered_total": "Bytes of WebSocket frames with events in them.",
    "yoi_lag_events_max": "Events that the subscriber furthest behind has yet to be sent.",
    "yoi_lag_bytes_max": "Bytes of the log between the subscriber furthest behind and the end.",
    "yoi_lag_seconds_max": "How long the subscriber longest behind has been behind.",
    "yoi_events_appended_total": "Events in the log since its beginning: the number of the last one shown.",
    "yoi_log_events": "Events that can be read.",
    "yoi_log_bytes": "Bytes of the segments that can be read.",
    "yoi_log_segments": "Segments that can be read.",
    "yoi_log_floor_age_seconds": "Age of the oldest segment that can be read.",
    "yoi_log_followed": "1 while this process follows the log, 0 when it cannot read it.",
    "yoi_segments_rotated_out_total": "Segments that retention has deleted since the log's beginning.",
    "yoi_corrupt_records_total": "Damaged places found in the log by this process.",
    "yoi_workers": "Workers that the log knows, by status, or by outcome once ended.",
    "yoi_transcript_lag_events": "Events that the transcripts have yet to take in; absent without transcripts.",
    "yoi_event_loop_delay_seconds": "How late the event loop was, four times a second.",
    "yoi_event_loop_tasks": "Tasks of the event loop: one for each subscriber, and a few more.",
    "yoi_append_seconds": "How long an append took: of one call in 64. Only where the log is written.",
    "yoi_sync_seconds": "How long fdatasync took, for each commit. Only where the log is written.",
    "yoi_unsynced_bytes": "Appended bytes that wait for the disk. Only where the log is written.",
    "yoi_log_writable": "1 while the log takes events, 0 once it is out of service. Only where the log is written.",
    "yoi_log_refusing": "1 while the disk takes no events: it refused the last. Only where the log is written.",
    "yoi_worker_restarts_total": "Commands that were run again after their end. Only where the log is written.",
    "yoi_workers_given_up_total": "Commands that ended too often, and are not run again. Only where the log is written.",
    "yoi_ingest_connections": "Programs connected to the local socket. Only where the log is written.",
    "yoi_ingest_waiting": "Of them, those that wait for the log. Only where the log is written.",
    "yoi_ingest_events_total": "Events of the local socket: accepted, or repeated and not written again.",
    "yoi_ingest_refused_total": "Lines and connections of the local socket that were refused, by the answer's code.",
}
METRIC_NAMES = tuple(_HELP)


# A registry keeps its collectors by identity.
@dataclass(frozen=True, slots=True, eq=False)
class _Scrape(Collector):
    """The families of one answer, as a registry wants them."""

    families: Iterable[object]

    def collect(self) -> Iterator[object]:  # type: ignore[override]
        return iter(self.families)


class ServerMetrics:
    """The metrics of one server. One event loop. ``figures``, ``workers``: of the Runtime, where that is in this process."""

    def __init__(
        self, state: ServerState, figures: LogFigures | None = None, workers: WorkerCounts | None = None
    ) -> None:
        self._state = state
        self._figures = figures
        self._workers = workers
        self._process = ProcessCollector(registry=None)

    async def registry(self) -> CollectorRegistry:
        """Return a registry with everything as of now; for one answer."""
        transcripts = await self._transcript_lag()
        families = [*self._families(), *transcripts, *self._process.collect()]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Scrape(families))
        return registry

    def _families(self) -> Iterator[_Family]:
        state, view, traffic = self._state, self._state.view, self._state.traffic
        yield _gauge_of(
            "yoi_info", ("version", "role"), {(VERSION, "reader" if self._figures is None else "writer"): 1}
        )
        yield _gauge("yoi_ready", view.ready and not state.closing)
        yield _gauge_of("yoi_subscribers", ("scope", "version"), self._subscribers())
        yield _counter_of("yoi_connects_total", "outcome", traffic.connects)
        yield _counter_of("yoi_disconnects_total", "code", traffic.disconnects)
        yield _counter_of("yoi_requests_refused_total", "code", traffic.refused)
        yield from self._limit_families()
        yield _counter("yoi_events_delivered_total", traffic.events)
        yield _counter("yoi_events_filtered_total", traffic.filtered)
        yield _counter("yoi_bytes_delivered_total", traffic.bytes)
        standings = (socket.standing for socket in state.sockets)
        now = asyncio.get_running_loop().time()
        lag = worst_lag((one for one in standings if one is not None), view, state.watch, now)
        yield _gauge("yoi_lag_events_max", lag.events)
        yield _gauge("yoi_lag_bytes_max", lag.bytes)
        yield _gauge("yoi_lag_seconds_max", lag.seconds)
        yield from self._log_families()
        counts = Counter(known.outcome or known.status for known in view.ledger.workers.values())
        yield _gauge_of("yoi_workers", ("status",), {(name,): counts[name] for name in _WORKER_STATES})
        yield _histogram("yoi_event_loop_delay_seconds", state.watch.delays)
        yield _gauge("yoi_event_loop_tasks", len(asyncio.all_tasks()))
        yield from self._writer_families()
        yield from self._worker_families()

    def _subscribers(self) -> dict[tuple[str, ...], float]:
        counts: dict[tuple[str, ...], float] = {
            (scope, version.value): 0 for scope in _SCOPES for version in ProtocolVersion
        }
        for socket in self._state.sockets:
            counts[socket.kind] += 1
        return counts

    def _limit_families(self) -> Iterator[_Family]:
        counters, allowed = self._state.counters, self._state.limits.subscribers
        reasons = Counter({reason.value: counters.refused[reason] for reason in RefusedBecause})
        yield _counter_of("yoi_refused_total", "reason", reasons)
        yield _gauge("yoi_connections", counters.connections)
        yield _gauge("yoi_connections_unfinished", counters.unfinished)
        if allowed is not None:
            yield _gauge("yoi_subscribers_allowed", allowed)

    def _log_families(self) -> Iterator[_Family]:
        view = self._state.view
        yield _gauge("yoi_log_followed", view.failure is None)
        yield _counter("yoi_corrupt_records_total", view.damaged_places)
        # What cannot be read at present is absent, rather than wrong.
        with contextlib.suppress(LogError, OSError):
            floor, end = view.floor(), view.end
            numbers = view.reader.segment_numbers()
            begun = datetime.fromisoformat(view.reader.header(floor.segment).time).timestamp()
            now = view.platform.clock.now_us() / 1_000_000
            yield _counter("yoi_events_appended_total", end.seq)
            yield _gauge("yoi_log_events", end.seq - floor.seq)
            yield _gauge("yoi_log_bytes", view.reader.readable_bytes())
            yield _gauge("yoi_log_segments", len(numbers))
            yield _gauge("yoi_log_floor_age_seconds", max(0.0, now - begun))
            yield _counter("yoi_segments_rotated_out_total", floor.segment - 1)

    def _writer_families(self) -> Iterator[_Family]:
        figures = self._figures
        if figures is None:
            return
        yield _histogram("yoi_append_seconds", figures.append_seconds)
        yield _histogram("yoi_sync_seconds", figures.sync_seconds)
        yield _gauge("yoi_unsynced_bytes", figures.unsynced_bytes)
        yield _gauge("yoi_log_writable", figures.failure is None)
        yield _gauge("yoi_log_refusing", figures.refused_because is not None)

    def _worker_families(self) -> Iterator[_Family]:
        if self._workers is None:
            return
        yield _counter("yoi_worker_restarts_total", self._workers.restarts)
        yield _counter("yoi_workers_given_up_total", self._workers.given_up)
        ingest = self._workers.ingest
        yield _gauge("yoi_ingest_connections", ingest.connections)
        yield _gauge("yoi_ingest_waiting", ingest.waiting)
        events = Counter({"accepted": ingest.accepted, "repeated": ingest.repeated})
        yield _counter_of("yoi_ingest_events_total", "outcome", events)
        yield _counter_of("yoi_ingest_refused_total", "code", ingest.refused)

    async def _transcript_lag(self) -> list[_Family]:
        source, view = self._state.transcripts, self._state.view
        if source is None:
            return []
        try:
            seq = await asyncio.to_thread(source.as_of_seq, view.log_id)
        except TranscriptUnavailableError:
            return []
        return [_gauge("yoi_transcript_lag_events", max(0, view.end.seq - seq))]


def _gauge(name: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, _HELP[name], value=float(value))


def _gauge_of(name: str, labels: tuple[str, ...], values: dict[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, _HELP[name], labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(name: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, _HELP[name], value=value)


def _counter_of(name: str, label: str, values: Counter[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, _HELP[name], labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _histogram(name: str, latencies: Latencies) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, _HELP[name], buckets=latencies.cumulated(), sum_value=latencies.sum_seconds)

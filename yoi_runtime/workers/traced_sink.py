"""A Worker's events as part of the trace that its process was started in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from yoi_runtime.events.event import Event
from yoi_runtime.events.extended_event import ExtendedEvent, traced
from yoi_runtime.events.trace_context import TRACEPARENT, traceparent_fault
from yoi_runtime.workers.adapters import NowMs, quote, wall_clock_ms, worker_alert
from yoi_runtime.workers.event_sink import EventSink

__all__ = ["TRACEPARENT_VARIABLE", "TracedSink", "sink_in_trace"]

TRACEPARENT_VARIABLE: Final = "TRACEPARENT"
"""Where a process finds its trace context; TRACESTATE, which belongs to it, is passed on and not recorded."""


class TracedSink:
    """Gives each event ``traceparent`` that came without one of its own, and passes it on to ``sink``."""

    def __init__(self, sink: EventSink, traceparent: str) -> None:
        self._sink = sink
        self._traceparent = traceparent

    def emit(self, event: Event) -> str:
        return self._sink.emit(self._traced(event))

    def emit_many(self, events: Sequence[Event]) -> int:
        return self._sink.emit_many([self._traced(event) for event in events])

    async def ready(self) -> None:
        await self._sink.ready()

    def _traced(self, event: Event) -> Event:
        if isinstance(event, ExtendedEvent) and TRACEPARENT in event.members:
            return event
        return traced(event, self._traceparent)


def sink_in_trace(
    sink: EventSink, environment: Mapping[str, str], now_ms: NowMs = wall_clock_ms
) -> tuple[EventSink, Event | None]:
    """Return the sink for a process with this ``environment``, and an alert when its trace context is none.

    What is none is not recorded; the process finds it in its environment all the same, and judges for itself.
    """
    traceparent = environment.get(TRACEPARENT_VARIABLE)
    if not traceparent:
        return sink, None
    if fault := traceparent_fault(traceparent):
        message = f"{TRACEPARENT_VARIABLE} is no trace context, and is not recorded: {fault}: {quote(traceparent)}"
        return sink, worker_alert("warn", message.encode("utf-8", "replace").decode(), now_ms)
    return TracedSink(sink, traceparent), None

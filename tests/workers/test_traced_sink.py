from __future__ import annotations

import pytest

from tests.workers.recording_sink import RecordingSink
from yoi_runtime.events import Alert, TextDelta, TextDone, extended, plain, traced
from yoi_runtime.workers.traced_sink import TracedSink, sink_in_trace

OUTER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OWN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


async def test_each_event_gets_the_traceparent_unless_it_has_its_own():
    recorded = RecordingSink()
    sink, alert = sink_in_trace(recorded, {"TRACEPARENT": OUTER, "TRACESTATE": "vendor=1"})
    assert isinstance(sink, TracedSink)
    assert alert is None
    await sink.ready()
    events = [TextDelta(text="a"), traced(TextDelta(text="b"), OWN), extended(TextDelta(text="c"), {"key": "1"})]
    sink.emit(TextDone(text="first"))
    assert sink.emit_many(events) == 3
    assert recorded.events == [
        traced(TextDone(text="first"), OUTER),
        traced(events[0], OUTER),
        events[1],
        extended(TextDelta(text="c"), {"key": "1", "traceparent": OUTER}),
    ]


@pytest.mark.parametrize("environment", [{}, {"TRACEPARENT": ""}, {"traceparent": OUTER}, {"TRACESTATE": "a=1"}])
def test_without_a_trace_nothing_is_added(environment: dict[str, str]):
    recorded = RecordingSink()
    assert sink_in_trace(recorded, environment) == (recorded, None)


@pytest.mark.parametrize("text", ["1", f"ff{OUTER[2:]}", "\udcff" * 300])
def test_a_trace_context_that_is_none_is_told_and_not_recorded(text: str):
    recorded = RecordingSink()
    sink, alert = sink_in_trace(recorded, {"TRACEPARENT": text}, lambda: 5)
    assert sink is recorded
    assert isinstance(alert, Alert)
    assert (alert.level, alert.timestamp_ms) == ("warn", 5)
    assert "TRACEPARENT is no trace context, and is not recorded: not version-" in alert.message
    assert len(alert.message.encode()) < 1200
    assert plain(alert) is alert

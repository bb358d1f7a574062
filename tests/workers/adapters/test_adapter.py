from __future__ import annotations

from yoi_runtime.events.conversation_events import Alert
from yoi_runtime.workers.adapters import make_adapter, quote, wall_clock_ms, worker_alert
from yoi_runtime.workers.line_splitter import Line


def test_a_text_at_the_limit_is_quoted_whole() -> None:
    assert quote("x" * 200) == "x" * 200
    assert quote("x" * 201) == "x" * 200 + "… (201 characters)"


def test_alerts_bear_the_wall_clocks_time_unless_told_otherwise() -> None:
    before = wall_clock_ms()
    (event,) = make_adapter("lines").stderr_line(Line(b"x", 1))
    assert isinstance(event, Alert)
    assert 1_600_000_000_000 < before <= event.timestamp_ms <= wall_clock_ms()


def test_an_alert_bears_its_level_and_the_given_time() -> None:
    alert = worker_alert("error", "no", lambda: 7)
    assert (alert.level, alert.source, alert.message, alert.timestamp_ms) == ("error", "worker", "no", 7)

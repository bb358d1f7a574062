from __future__ import annotations

import pytest
from yoi_log.wording import count, size, span, time_text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (102_349, "100 KiB"),
        (1_048_524, "1.0 MiB"),
        (16 << 20, "16.0 MiB"),
        (5 << 40, "5.0 TiB"),
        (5 << 60, "5242880 TiB"),
    ],
)
def test_sizes(number: int, text: str):
    assert size(number) == text


def test_counts():
    assert [count(number, "event") for number in (0, 1, 1234)] == ["0 events", "1 event", "1,234 events"]


def test_times():
    assert time_text("2026-11-22T17:37:23.123456Z") == "2026-11-22 17:37:23Z"
    assert time_text(None) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (0.00034, "340 µs"),
        (0.0124, "12 ms"),
        (1.5, "1.5 s"),
        (59.9, "1 min"),
        (200, "3 min 20 s"),
        (7200, "2 h"),
        (2 * 86_400 + 4 * 3600, "2 d 4 h"),
    ],
)
def test_spans_have_two_figures_or_two_units(seconds: float, text: str):
    assert span(seconds) == text

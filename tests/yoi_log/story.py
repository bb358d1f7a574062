"""Logs whose times are known: a real Runtime under a clock that stands still until it is moved."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from yoi_runtime.events import (
    ErrorEvent,
    Event,
    LlmCallEnd,
    LlmCallStart,
    LlmRetry,
    TextDelta,
    TextDone,
    ThinkingDelta,
    ToolCallDone,
    ToolCallStart,
    ToolResult,
    TurnEnd,
    TurnStart,
    Usage,
)
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.platform import Platform

__all__ = ["Clock", "Story", "busy_log"]


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: int = 1_800_000_000_000_000

    def now_us(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1e6

    def move(self, seconds: float) -> None:
        self.now += round(seconds * 1e6)


@dataclass
class Story:
    """A log with one Worker ``a``: events, and seconds between them."""

    data: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.runtime = Runtime.open(self.data, platform=Platform(clock=self.clock))
        self.worker = self.runtime.create_worker("a")

    def say(self, *steps: Event | float) -> Story:
        for step in steps:
            if isinstance(step, Event):
                self.worker.emit(step)
            else:
                self.clock.move(step)
        return self

    def close(self) -> Path:
        self.runtime.close()
        return self.data


def busy_log(data: Path, events: int, workers: int = 8) -> Path:
    """Return ``data`` with about ``events`` events of Workers that take turns, over some hours of the log's clock."""
    chance, clock = random.Random(11), Clock()
    options = RuntimeOptions(durability="written", retain_age_seconds=None)
    words = [
        "The",
        "quick",
        "brown",
        "fox",
        "jumps",
        "over",
        "the",
        "lazy",
        "dog",
        "and",
        "files",
        "a",
        "report",
        "about",
        "it",
    ]
    with Runtime.open(data, options, Platform(clock=clock)) as runtime:
        at_work = [runtime.create_worker(f"worker-{number}") for number in range(workers)]
        written, turn = 0, 0
        while written < events:
            turn += 1
            worker = chance.choice(at_work)
            story: list[Event] = [TurnStart(turn=turn), LlmCallStart(llm_call=turn)]
            if chance.random() < 0.05:
                story.append(
                    LlmRetry(
                        llm_call=turn, failed_attempt=1, max_attempts=3, wait_ms=900, elapsed_ms=950, error="overloaded"
                    )
                )
            story += [ThinkingDelta(text=chance.choice(words)) for _ in range(chance.randrange(8))]
            story += [TextDelta(text=chance.choice(words)) for _ in range(chance.randrange(5, 40))]
            story += [
                TextDone(text=" ".join(words)),
                Usage(input_tokens=chance.randrange(1000, 90_000), output_tokens=chance.randrange(10, 2000)),
                LlmCallEnd(llm_call=turn),
                ToolCallStart(id=f"call-{turn}", name=chance.choice(["read_file", "run", "search"])),
                ToolCallDone(id=f"call-{turn}", name="run", arguments="{}"),
                ToolResult(id=f"call-{turn}", summary="done", is_error=chance.random() < 0.08),
                TurnEnd(turn=turn, result="finished"),
            ]
            if chance.random() < 0.01:
                story.append(ErrorEvent(code="provider_error", message="the provider hung up"))
            for event in story:
                worker.emit(event)
                clock.move(chance.expovariate(8) * (20 if isinstance(event, ToolCallDone) else 1))
            written += len(story)
    return data

"""The order in which a Worker asks its sink: what an implementation may rely on."""

from __future__ import annotations

from tests.workers.real_children import python, run
from tests.workers.recording_sink import RecordingSink
from yoi_runtime.events.event import Event
from yoi_runtime.events.output_events import TextDone
from yoi_runtime.workers.adapters import make_adapter
from yoi_runtime.workers.child_worker import LINES_PER_TURN, ChildWorker
from yoi_runtime.workers.event_sink import EventSink


def test_ready_is_awaited_before_every_batch_of_lines() -> None:
    lines = 10 * LINES_PER_TURN
    since_ready: list[int] = []

    class CountingSink(RecordingSink):
        async def ready(self) -> None:
            since_ready.append(0)
            await super().ready()

    def count(event: Event) -> None:
        if isinstance(event, TextDone):
            since_ready[-1] += 1

    async def test() -> None:
        sink: EventSink = CountingSink(count)
        await ChildWorker("w", python(f"for n in range({lines}): print(n)"), make_adapter("lines"), sink).run()

    run(test)
    assert sum(since_ready) == lines
    assert max(since_ready) <= LINES_PER_TURN

"""What tests of the whole path share: the list of all appends, and limits so small that they are soon met."""

from __future__ import annotations

import pytest

from tests.end_to_end.accounted_backend import Appended, Truth, mark_of
from yoi_runtime.catalog.catalog import Catalog
from yoi_runtime.events import Event, WorkerEnded, WorkerStarted
from yoi_runtime.server.dialect_v1 import DialectV1


@pytest.fixture
def truth(monkeypatch: pytest.MonkeyPatch) -> Truth:
    """The list of all appends to one log, written down where its writer takes note of them itself."""
    truth = Truth()
    take_note = Catalog.appended

    def appended(catalog: Catalog, seq: int, worker_id: str | None, worker_seq: int, time: str, event: Event) -> None:
        assert seq == len(truth.events) + 1
        mark = mark_of(getattr(event, "text", None))
        truth.events.append(Appended(seq, worker_id, worker_seq, event.event_name, mark))
        if isinstance(event, WorkerEnded) and not event.restart_pending:
            truth.ends.append((seq, event.worker_id, event.outcome))
        elif isinstance(event, WorkerStarted):
            truth.starts.append((seq, event.worker_id))
        take_note(catalog, seq, worker_id, worker_seq, time, event)

    monkeypatch.setattr(Catalog, "appended", appended)
    return truth


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a peer that stops reading stop the server's writing after a few kilobytes."""
    monkeypatch.setattr("yoi_runtime.server.websocket_outlet.SEND_BUFFER_BYTES", 4096)


@pytest.fixture
def quick_bookmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bookmarks ten times a second, and after every twenty records of others."""
    monkeypatch.setattr("yoi_runtime.server.dialect_v1.HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(DialectV1, "heartbeat_seconds", 0.1)
    monkeypatch.setattr("yoi_runtime.server.dialect_v1._MOST_PASSED_OVER", 20)


@pytest.fixture
def quick_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a server that stops wait a tenth of a second for its subscribers."""
    monkeypatch.setattr("yoi_runtime.server.event_server._LAST_EVENTS_SECONDS", 0.05)
    monkeypatch.setattr("yoi_runtime.server.event_server._DRAIN_SECONDS", 0.1)

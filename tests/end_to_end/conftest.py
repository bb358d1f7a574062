"""What tests of the whole path share: the list of all appends, and limits so small that they are soon met."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.end_to_end.accounted_backend import Truth
from yoi_runtime.segment_log.writer import LogWriter
from yoi_runtime.server.dialect_v1 import DialectV1


@pytest.fixture
def truth(monkeypatch: pytest.MonkeyPatch) -> Truth:
    """The list of all appends to one log, written down by its writer, before anybody can see them."""
    truth = Truth()
    append = LogWriter.append_held

    def append_and_write_down(writer: LogWriter, head: str, tail: bytes, *arguments: Any) -> bytes:
        said = json.loads(b"{" + head.encode() + tail + b"}")
        truth.write_down(writer.last_seq + 1, said["worker_id"], said["worker_seq"], said["payload"])
        try:
            return append(writer, head, tail, *arguments)
        except BaseException:
            truth.events.pop()
            raise

    def not_written_down(*_: object) -> None:
        raise AssertionError("events that are appended in runs are not written down here")

    monkeypatch.setattr(LogWriter, "append_held", append_and_write_down)
    monkeypatch.setattr(LogWriter, "append_run_held", not_written_down)
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

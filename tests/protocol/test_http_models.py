from __future__ import annotations

import pytest
from pydantic import ValidationError

from yoi_runtime.protocol.http_models import (
    ApiInfo,
    EventsStatus,
    RuntimeAnswer,
    RuntimeInfo,
    WorkerAnswer,
    WorkerEventsStatus,
    WorkerInfo,
    WorkersAnswer,
)
from yoi_runtime.protocol.versions import ProtocolVersion

API = ApiInfo(stream_versions=(ProtocolVersion.V0,))


def test_the_runtime_is_wrapped_and_its_unknown_start_left_out() -> None:
    info = RuntimeInfo(runtime_id="rt-1", log_id="1", version="0.1.0", api=API)
    assert RuntimeAnswer(runtime=info).body() == (
        b'{"runtime":{"runtime_id":"rt-1","log_id":"1","version":"0.1.0","api":{"stream_versions":["v0"]}}}'
    )


def test_a_running_worker_has_no_outcome() -> None:
    assert WorkerAnswer(worker=WorkerInfo(worker_id="w", status="idle", worker_seq=0)).body() == (
        b'{"worker":{"worker_id":"w","status":"idle","worker_seq":0}}'
    )


def test_an_ended_worker_has_every_field() -> None:
    info = WorkerInfo(
        worker_id="w",
        status="paused",
        outcome="failed",
        exit_code=0,
        worker_seq=7,
        run=2,
        created_at="t1",
        ended_at="t2",
        cursor="wo1",
    )
    assert WorkersAnswer(workers=(info,)).body() == (
        b'{"workers":[{"worker_id":"w","status":"paused","outcome":"failed","exit_code":0,"worker_seq":7,"run":2,'
        b'"created_at":"t1","ended_at":"t2","cursor":"wo1"}]}'
    )
    assert WorkersAnswer(workers=()).body() == b'{"workers":[]}'


def test_the_status_of_the_events_is_flat() -> None:
    status = EventsStatus(
        log_id="1",
        oldest_cursor="a",
        latest_cursor="b",
        durable_cursor="c",
        events=5,
        bytes=999,
        segments=1,
        workers=(WorkerEventsStatus(worker_id="w", worker_seq=7, oldest_worker_seq=8, cursor="d"),),
    )
    assert status.body() == (
        b'{"log_id":"1","oldest_cursor":"a","latest_cursor":"b","durable_cursor":"c","events":5,"bytes":999,'
        b'"segments":1,"workers":[{"worker_id":"w","worker_seq":7,"oldest_worker_seq":8,"cursor":"d"}]}'
    )


@pytest.mark.parametrize(
    "change",
    [
        {"status": "ended"},
        {"outcome": "done"},
        {"worker_seq": -1},
        {"run": 0},
        {"secret": "x"},
    ],
)
def test_nothing_outside_the_protocol_can_be_answered(change: dict[str, object]) -> None:
    fields: dict[str, object] = {"worker_id": "w", "status": "idle", "worker_seq": 0}
    WorkerInfo.model_validate(fields)
    with pytest.raises(ValidationError):
        WorkerInfo.model_validate({**fields, **change})

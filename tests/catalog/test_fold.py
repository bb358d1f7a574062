"""Both folds come to the same states, and the places they note are where the records stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runtime.emitting import emit
from yoi_runtime.catalog.fold import fold_and_place, fold_chunk
from yoi_runtime.catalog.ledger import Ledger
from yoi_runtime.catalog.places import Places
from yoi_runtime.events import Status, UnknownEvent
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.reader import LogReader


@pytest.mark.parametrize("chunk_bytes", [1, 700, 1 << 20])
def test_both_folds_come_to_the_same_states_and_places_are_where_records_stand(tmp_path: Path, chunk_bytes: int):
    with_tallies, for_readers = Ledger(), Ledger()
    with Runtime.open(tmp_path, RuntimeOptions(segment_bytes=8192)) as runtime:
        a, b = runtime.create_worker("a"), runtime.create_worker("b")
        for number in range(40):
            emit(a, 3)
            b.emit(UnknownEvent(name="x", data={"worker_id": "a", "worker_seq": 7, "text": '"worker_id":"a"'}))
            a.emit(Status(status="running" if number % 2 else "paused"))
        b.end("failed", 3)
        log_directory = runtime.log_directory
    reader = LogReader(log_directory)
    position, places, noted = reader.floor(), None, []
    while (chunk := reader.read(position, chunk_bytes)) is not None:
        fold_chunk(with_tallies, chunk.data)
        if places is None or places.end != chunk.start:
            places = Places(chunk.start)
            noted.append(places)
        changed = fold_and_place(for_readers, chunk, places)
        owners = {json.loads(line)["envelope"]["worker_id"] for line in chunk.data.split(b"\n")[:-1]}
        assert owners - {None} <= changed
        position = chunk.end
    assert len(noted) > 3
    assert for_readers.workers == with_tallies.workers
    assert for_readers.seq == with_tallies.seq == position.seq
    found = 0
    for places in noted:
        for worker_id in ("a", "b"):
            for offset, length in places.after(worker_id, 0, 1 << 20):
                line = reader.read_span(places.start.segment, offset, length)
                assert line.endswith(b"\n")
                assert json.loads(line)["envelope"]["worker_id"] == worker_id
                found += 1
    assert found == sum(state.worker_seq for state in with_tallies.workers.values())
    reader.close()


def test_records_that_the_ledger_knows_are_placed_and_not_counted_again(tmp_path: Path):
    with Runtime.open(tmp_path) as runtime:
        emit(runtime.create_worker("a"), 20)
        log_directory = runtime.log_directory
    reader = LogReader(log_directory)
    chunk = reader.read(reader.floor(), 1 << 20)
    assert chunk is not None
    ledger = Ledger()
    fold_chunk(ledger, chunk.data)
    before = {worker_id: state.to_json() for worker_id, state in ledger.workers.items()}
    places = Places(chunk.start)
    ledger.changed.clear()
    assert "a" in fold_and_place(ledger, chunk, places)
    assert {worker_id: state.to_json() for worker_id, state in ledger.workers.items()} == before
    assert len(places.after("a", 0, 100)) == 20
    assert not ledger.changed
    reader.close()

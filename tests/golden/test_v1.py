"""Format version 1: every later version reads what the first one wrote, and today's still writes the same bytes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.clocks import ManualClock
from tests.golden.make import BUILDERS, LEFT_OUT, V1
from tests.segment_log.sample_log import read_all
from tests.torture.rig import SMALL, Rig, platform_with
from tests.torture.witness import Record, parse_record, segment_files
from yoi_runtime.catalog.catalog import read_snapshot
from yoi_runtime.catalog.segment_index import read_index
from yoi_runtime.events import TextDelta, decode_record
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.platform import REAL_PLATFORM, RealFileOps
from yoi_runtime.segment_log.reader import LogReader


@dataclass
class Golden:
    """What a directory holds: the seqs that readers see, those announced as lost, and what opening it brings to light.

    ``worker_seqs`` are the Workers' newest numbers after opening, ``rotated_out`` how many events of each are gone.
    """

    seqs: list[int]
    lost: list[int] = field(default_factory=list)
    recovered: list[int] = field(default_factory=list)
    dropped_bytes: int = 0
    clean: bool = True
    worker_seqs: dict[str, int] = field(default_factory=dict)
    rotated_out: dict[str, int] = field(default_factory=dict)


GOLDEN = {
    "clean": Golden([*range(1, 16)], worker_seqs={"agent": 7, "helper": 2}),
    "torn_tail": Golden(
        [*range(1, 7)], recovered=[7, 8], dropped_bytes=45, clean=False, worker_seqs={"agent": 2, "helper": 0}
    ),
    "corrupt_middle": Golden([*range(1, 11), *range(12, 27)], [11], worker_seqs={"agent": 15, "helper": 5}),
    "rotated_out": Golden(
        [*range(32, 55)], worker_seqs={"agent": 36, "helper": 12}, rotated_out={"agent": 20, "helper": 6}
    ),
}


@pytest.fixture
def data_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of a golden directory; who opens one for writing changes it."""
    return Path(shutil.copytree(V1 / request.param, tmp_path / "data"))


def each(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("name", "data_dir"), [(name, name) for name in names or GOLDEN], indirect=["data_dir"]
    )


def files_in(data_dir: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(data_dir)): path.read_bytes()
        for path in sorted(data_dir.rglob("*"))
        if path.is_file() and path.name != LEFT_OUT
    }


def records_in(data_dir: Path) -> list[Record]:
    """Return every whole record in the segments, without asking the engine."""
    found = []
    for name in segment_files(path.name for path in (data_dir / "log").iterdir()):
        lines = (data_dir / "log" / name).read_bytes().splitlines(keepends=True)
        assert b"\r" not in b"".join(lines)
        found += [record for line in lines if (record := parse_record(line)) is not None]
    return found


def test_every_golden_directory_has_its_account():
    assert set(GOLDEN) == set(BUILDERS) == {path.name for path in V1.iterdir()}


@pytest.mark.parametrize("name", BUILDERS)
def test_todays_writer_writes_the_same_bytes(name: str, tmp_path: Path):
    BUILDERS[name](RealFileOps(), tmp_path / "data")
    made, golden = files_in(tmp_path / "data"), files_in(V1 / name)
    assert made.keys() == golden.keys()
    for path, data in golden.items():
        assert made[path] == data, f"{name}/{path}: a change of the format is a decision, and gets a version of its own"


@each()
def test_a_reader_reads_it_and_announces_what_is_damaged(name: str, data_dir: Path):
    golden = GOLDEN[name]
    before = files_in(data_dir)
    reader = LogReader(data_dir / "log")
    found = read_all(reader)
    assert (found.seqs, found.lost) == (golden.seqs, golden.lost)
    lines = {record.line for record in records_in(data_dir)}
    assert set(found.lines) <= lines
    assert reader.watermark.clean == golden.clean
    assert [decode_record(line).seq for line in found.lines] == golden.seqs
    reader.close()
    assert files_in(data_dir) == before, "a reader changes nothing"


@each()
def test_every_cursor_in_it_is_still_good(name: str, data_dir: Path):
    reader = LogReader(data_dir / "log")
    for record in records_in(data_dir):
        if record.seq in GOLDEN[name].seqs:
            cursor = decode_token(record.token)
            assert reader.resolve(cursor)[::2] == (cursor.segment, cursor.offset)
            assert reader.find_event(record.event_id) == reader.resolve(cursor)
    reader.close()


@each()
def test_it_can_be_written_on(name: str, data_dir: Path):
    golden = GOLDEN[name]
    rig = Rig(platform_with(RealFileOps(), "later", ManualClock()), SMALL, data_dir=data_dir)
    assert (rig.writer.recovery is None) == golden.clean
    if rig.writer.recovery is not None:
        assert rig.writer.recovery.dropped_bytes == golden.dropped_bytes
    ledger = rig.catalog.ledger
    assert {worker_id: state.worker_seq for worker_id, state in ledger.workers.items()} == golden.worker_seqs
    gone = {worker_id: state.rotated_out.events for worker_id, state in ledger.workers.items() if state.rotated_out}
    assert gone == golden.rotated_out
    assert ledger.unaccounted_seq == 0
    rig.log.append(TextDelta(text="later"), "agent")
    rig.close()
    reader = LogReader(data_dir / "log")
    found = read_all(reader)
    last = max(golden.seqs + golden.recovered)
    assert (found.seqs, found.lost) == ([*golden.seqs, *golden.recovered, last + 1], golden.lost)
    assert parse_record(found.lines[-1])[-1] == golden.worker_seqs["agent"] + 1  # type: ignore[index]
    reader.close()


@each()
def test_its_catalog_and_its_indexes_are_sound(name: str, data_dir: Path):
    snapshot = read_snapshot(data_dir, REAL_PLATFORM)
    reader = LogReader(data_dir / "log")
    assert snapshot is not None
    assert snapshot.log_id == reader.log_id
    gone = {
        state.worker_id: state.rotated_out.events for state in snapshot.ledger.workers.values() if state.rotated_out
    }
    assert gone == GOLDEN[name].rotated_out
    for number in reader.segment_numbers()[: -1 if name == "torn_tail" else None]:
        tallies = read_index(data_dir / "log", number, reader.start_of(number).nonce, REAL_PLATFORM)
        assert tallies is not None
        records = [record for record in records_in(data_dir) if decode_token(record.token).segment == number]
        damaged = GOLDEN[name].lost if number == 1 else []
        assert sum(tally.events for tally in tallies.values()) == len(records) + len(damaged)
    reader.close()

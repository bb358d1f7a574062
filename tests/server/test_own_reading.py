"""One Worker's records by their places: all of them, nobody else's cost, and never less told than by reading everything."""

from __future__ import annotations

import asyncio
import errno
import json
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from tests.conftest import ExpectLog
from tests.faults.failing_files import FailingFiles
from tests.runtime.emitting import emit
from tests.server.serving import records_of
from tests.server.viewing import shown, viewing_only
from tests.support.damage import damage
from yoi_runtime.catalog.place_file import PlaceFile, place_path, write_places
from yoi_runtime.catalog.place_indexer import index_segment
from yoi_runtime.catalog.places import Places, places_after
from yoi_runtime.errors import RecordCorruptError
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import LOG_DIRECTORY, Runtime
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import Chunk, LogReader
from yoi_runtime.server.chunk_cache import SharedChunk
from yoi_runtime.server.dialect import own_lines
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.own_reading import OwnReading

OPTIONS = RuntimeOptions(segment_bytes=64 << 10)
WORKERS = [f"w{number}" for number in range(30)]


def make_log(data_dir: Path, seed: int, records: int = 2000) -> None:
    """Make a log in which some Workers say much and some little, with place files beside its sealed segments."""
    random = Random(seed)
    with Runtime.open(data_dir, OPTIONS) as runtime:
        workers = {worker_id: runtime.create_worker(worker_id) for worker_id in WORKERS}
        for number in range(records):
            name = WORKERS[min(int(random.expovariate(0.3)), len(WORKERS) - 1)]
            workers[name].emit(TextDelta(text=f"<{number:05}>" + "x" * random.randrange(0, 400)))
    with Runtime.open(data_dir, OPTIONS) as runtime:
        for segment in runtime._log.sealed_segments():
            assert index_segment(runtime.log_directory, segment, REAL_PLATFORM)


async def read_all(view: LogView, worker_id: str, position: Position) -> list[int]:
    """Read as a subscriber does, and return the worker_seqs that it would send."""
    numbers: list[int] = []
    worker_seq: int | None = None
    while (chunk := view.read_own(position, worker_id, worker_seq)) is not None:
        assert chunk.end.seq > position.seq
        for _, number in own_lines(chunk.data, worker_id.encode(), None):
            assert number is not None
            numbers.append(number)
            worker_seq = number
        position = chunk.end
        await asyncio.sleep(0)
    assert position == view.end
    return numbers


@asynccontextmanager
async def counting(data_dir: Path) -> AsyncIterator[tuple[LogView, Callable[[], int]]]:
    """Open a view and count the bytes that it reads of segments by place, and whether it reads everything."""
    async with viewing_only(data_dir) as view:
        spans: list[int] = []
        read_span, read = view.reader.read_span, view.reader.read

        def span(number: int, offset: int, size: int) -> bytes:
            spans.append(size)
            return read_span(number, offset, size)

        def everything(position: Position, max_bytes: int) -> Chunk | None:
            spans.append(max_bytes)
            return read(position, max_bytes)

        view.reader.read_span = span  # type: ignore[method-assign]
        view.reader.read = everything  # type: ignore[method-assign]
        yield view, lambda: sum(spans)


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_worker_gets_all_of_its_own_from_any_place(tmp_path: Path, seed: int, record_property):
    make_log(tmp_path, seed)
    records = records_of(tmp_path)
    random, compared = Random(seed), 0
    async with viewing_only(tmp_path) as view:
        for worker_id in [*WORKERS, "nobody"]:
            for start in (None, *random.sample(records, 3)):
                position = view.floor()
                if start is not None:
                    position = view.reader.find_event(start["event_id"])
                own = [record for record in records if record["worker_id"] == worker_id]
                expected = [record["worker_seq"] for record in own if record["seq"] > position.seq]
                assert await read_all(view, worker_id, position) == expected
                compared += len(expected)
    record_property("records read by place", compared)
    assert compared > 3000


async def test_a_quiet_workers_events_cost_their_own_bytes_and_not_the_others(tmp_path: Path):
    make_log(tmp_path, 3)
    own = [record for record in records_of(tmp_path) if record["worker_id"] == "w13"]
    assert len(own) > 3
    async with counting(tmp_path) as (view, bytes_read):
        last = len(list((tmp_path / LOG_DIRECTORY).glob("*.jsonl")))
        # The newest segment has no file yet, and no places either: the view began at its end.
        end = next(record for record in reversed(own) if record["seq"] <= view.reader.start_of(last).seq)
        position, numbers = view.floor(), list[int]()
        while not numbers or numbers[-1] < end["worker_seq"]:
            chunk = view.read_own(position, "w13", None)
            assert chunk is not None
            numbers += [number or 0 for _, number in own_lines(chunk.data, b"w13", None)]
            position = chunk.end
        assert numbers == [record["worker_seq"] for record in own][: len(numbers)]
        assert bytes_read() <= 4 * sum(len(json.dumps(record)) + 50 for record in own)


async def test_live_events_are_read_from_memory(tmp_path: Path):
    with Runtime.open(tmp_path) as runtime:
        a, b = runtime.create_worker("a"), runtime.create_worker("b")
        async with counting(tmp_path) as (view, bytes_read):
            await shown(view, emit(b, 100)[-1])
            position, before = view.end, bytes_read()
            emit(b, 50)
            cursor = emit(a, 1)[0]
            await shown(view, cursor)
            folded = bytes_read()
            assert folded > before, "the fold reads what is new, once"
            assert await read_all(view, "a", position) == [1]
            assert bytes_read() == folded


async def test_more_than_is_read_in_one_turn_comes_in_several_and_whole(tmp_path: Path):
    with Runtime.open(tmp_path) as runtime:
        async with viewing_only(tmp_path) as view:
            start = view.end
            workers = [runtime.create_worker(worker_id) for worker_id in "abcd"]
            cursor = None
            for _ in range(700):
                for worker in workers:
                    cursor = worker.emit(TextDelta(text="x" * 50))
            assert cursor is not None
            await shown(view, cursor)
            for worker_id in "abcd":
                assert await read_all(view, worker_id, start) == list(range(1, 701))


def test_what_may_not_be_shown_yet_is_not_read_though_a_file_knows_of_it(tmp_path: Path):
    make_log(tmp_path, 8, records=1200)
    records = records_of(tmp_path)
    reader = LogReader(tmp_path / LOG_DIRECTORY, REAL_PLATFORM)
    own_reading = OwnReading(reader, REAL_PLATFORM)
    start, last = reader.start_of(2), reader.start_of(3).seq
    own = [record for record in records if record["worker_id"] == "w5" and start.seq < record["seq"] <= last]
    assert len(own) > 4
    end = reader.find_event(records[own[2]["seq"] - records[0]["seq"]]["event_id"])
    position, numbers = start, list[int]()
    while position != end:
        chunk = own_reading.read(position, end, "w5", None)
        assert chunk is not None
        numbers += [number or 0 for _, number in own_lines(chunk.data, b"w5", None)]
        position = chunk.end
    assert numbers == [record["worker_seq"] for record in own[:3]]
    reader.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: damage(path, lambda data: data.__setitem__(20, 0)),
        lambda path: damage(path, lambda data: [data.__setitem__(at, 0) for at in range(1500, len(data))]),
        lambda path: path.write_bytes(path.with_name(f"{int(path.stem) + 1:020d}.places").read_bytes()),
    ],
    ids=["missing", "empty", "damaged header", "damaged places", "another segment's"],
)
async def test_without_a_sound_file_everything_is_read_and_nothing_is_missing(
    tmp_path: Path, spoil: Callable[[Path], object]
):
    make_log(tmp_path, 4, records=1200)
    for number in (1, 2):
        spoil(place_path(tmp_path / LOG_DIRECTORY, number))
    records = records_of(tmp_path)
    async with viewing_only(tmp_path) as view:
        for worker_id in ("w0", "w5"):
            own = [record["worker_seq"] for record in records if record["worker_id"] == worker_id]
            assert await read_all(view, worker_id, view.floor()) == own


async def test_a_place_file_that_the_disk_refuses_costs_reading_and_no_event(tmp_path: Path, expect_log: ExpectLog):
    make_log(tmp_path, 4, records=1200)
    records = records_of(tmp_path)
    own = [record["worker_seq"] for record in records if record["worker_id"] == "w5"]
    files = FailingFiles()
    files.fail(errno.EIO, "open_read", name=place_path(tmp_path / LOG_DIRECTORY, 1).name, for_ever=True)
    expect_log("yoi_runtime.server", "segment 1 is read without its place file")
    async with viewing_only(tmp_path, Platform(files=files)) as view:
        assert await read_all(view, "w5", view.floor()) == own
        chunks: list[SharedChunk] = []
        read_on(view, chunks)
        assert chunks[-1].end == view.end


async def test_places_that_the_disk_refuses_cost_reading_and_no_event(tmp_path: Path):
    make_log(tmp_path, 4, records=1200)
    records = records_of(tmp_path)
    own = [record["worker_seq"] for record in records if record["worker_id"] == "w5"]
    files = FailingFiles()
    path = place_path(tmp_path / LOG_DIRECTORY, 1).name
    # The first is that of the header, the others those of a Worker's places.
    files.fail(errno.EIO, "open_read", name=path, at=2, for_ever=True)
    async with viewing_only(tmp_path, Platform(files=files)) as view:
        assert await read_all(view, "w5", view.floor()) == own
    assert files.count("open_read", path) > 1


async def test_a_file_that_lacks_a_record_is_found_out_by_the_numbers(tmp_path: Path):
    """Its checksums are right: a fault of ours, not of the disk."""
    make_log(tmp_path, 7, records=1200)
    log_directory = tmp_path / LOG_DIRECTORY
    opened = PlaceFile.open(log_directory, 1, REAL_PLATFORM)
    assert opened is not None
    places = Places(opened.start)
    for worker_id in WORKERS:
        numbers = opened.places_of(worker_id, REAL_PLATFORM) or ()
        for index, (offset, length) in enumerate(places_after(array("Q", numbers), 0, 1 << 20)):
            if index != 2:
                places.add(worker_id, offset, length)
    write_places(log_directory, places, list(opened.blocks.values()), REAL_PLATFORM)
    records, compared = records_of(tmp_path), 0
    async with viewing_only(tmp_path) as view:
        for worker_id in WORKERS:
            own = [record["worker_seq"] for record in records if record["worker_id"] == worker_id]
            assert await read_all(view, worker_id, view.floor()) == own
            compared += len(own) > 3
    assert compared > 10


async def test_a_damaged_record_is_told_to_its_own_worker_and_costs_another_one_nothing(tmp_path: Path):
    """The file was made of a sound segment: whose the record is that was damaged later is known."""
    make_log(tmp_path, 5)
    records = records_of(tmp_path)
    mine = [record for record in records if record["worker_id"] == "w9"]
    hit = next(record for record in mine if record["worker_seq"] == 2)
    segment = next(
        path
        for path in sorted((tmp_path / LOG_DIRECTORY).glob("*.jsonl"))
        if hit["event_id"].encode() in path.read_bytes()
    )
    damage(segment, lambda data: data.__setitem__(data.index(hit["payload"]["data"]["text"][:7].encode()) + 1, 0x41))
    async with viewing_only(tmp_path) as view:
        with pytest.raises(RecordCorruptError) as error:
            await read_all(view, "w9", view.floor())
        assert error.value.seq == hit["seq"]
        other = [record["worker_seq"] for record in records if record["worker_id"] == "w12"]
        assert len(other) > 3
        assert await read_all(view, "w12", view.floor()) == other


async def test_a_block_that_is_not_as_it_was_is_judged_record_by_record(tmp_path: Path):
    make_log(tmp_path, 6)
    damage(
        tmp_path / LOG_DIRECTORY / f"{1:020d}.jsonl", lambda data: data.__setitem__(data.index(b"<00050>") + 1, 0x41)
    )
    async with viewing_only(tmp_path) as view:
        sound: list[SharedChunk] = []
        with pytest.raises(RecordCorruptError):
            read_on(view, sound)
        assert 0 < sound[-1].end.seq < 200


def read_on(view: LogView, chunks: list[SharedChunk]) -> None:
    position = view.floor()
    while (chunk := view.read(position)) is not None:
        chunks.append(chunk)
        position = chunk.end

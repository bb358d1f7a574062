"""The watermark's two slots: a torn write costs one generation, never an answer."""

from __future__ import annotations

import errno
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.failing_files import FailingFiles
from tests.segment_log.sample_log import damage, platform_of
from yoi_runtime.errors import LogFormatError, LogNotFoundError, LogVersionError
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.record import seal_object
from yoi_runtime.segment_log.watermark import COMMITTED, Watermark, WatermarkFile, read_open_watermark, read_watermark

LOG_ID = "0123456789abcdef"
SHOWN, SYNCED = Position(3, 2**64 - 1, 900, 17), Position(3, 2**64 - 1, 500, 15)
FILE = Path(COMMITTED)
MARK = Watermark(8, LOG_ID, "boot-1", SHOWN, SYNCED, clean=False)


def at_seq(seq: int) -> Position:
    return Position(1, 5, 300 + 10 * seq, seq)


def write_marks(directory: Path, count: int, files: FailingFiles | None = None) -> WatermarkFile:
    slots = WatermarkFile(directory, platform_of(files), LOG_ID, 0)
    for seq in range(1, count + 1):
        slots.write(at_seq(seq), at_seq(seq))
    return slots


def test_a_slot_is_one_padded_json_line_that_reads_back():
    slot = MARK.encode()
    assert len(slot) == 512
    assert slot.endswith(b" \n")
    assert json.loads(slot)["shown"] == {"segment": 3, "nonce": "ffffffffffffffff", "offset": 900, "seq": 17}
    assert Watermark.decode(slot, FILE) == MARK
    assert Watermark.decode(replace(MARK, clean=True).encode(), FILE) == replace(MARK, clean=True)


def test_the_largest_numbers_fit_into_a_slot():
    far = Position(2**40 - 1, 2**64 - 1, 2**40 - 1, 2**56 - 1)
    mark = Watermark(2**56 - 1, LOG_ID, "123e4567-e89b-12d3-a456-426614174000", far, far, clean=False)
    assert len(mark.encode()) == 512
    assert Watermark.decode(mark.encode(), FILE) == mark


def test_every_flipped_bit_of_a_slot_is_noticed_or_in_the_padding():
    slot = MARK.encode()
    for at in range(len(slot)):
        changed = bytearray(slot)
        changed[at] ^= 1
        assert Watermark.decode(bytes(changed), FILE) in (None, MARK)
        if at < len(slot.rstrip()):
            assert Watermark.decode(bytes(changed), FILE) is None


@pytest.mark.parametrize(
    "slot",
    [
        b"",
        bytes(512),
        b" " * 511 + b"\n",
        MARK.encode()[:200],
        MARK.encode().replace(b'"format":1', b'"format":2'),
        b"[]",
    ],
)
def test_an_empty_torn_or_foreign_slot_holds_nothing(slot: bytes):
    assert Watermark.decode(slot, FILE) is None


def test_the_newest_of_two_slots_counts(tmp_path: Path):
    platform = platform_of()
    slots = WatermarkFile(tmp_path, platform, LOG_ID, 0)
    for seq in range(1, 6):
        mark = slots.write(at_seq(seq), at_seq(seq - 1))
        assert mark.generation == seq
        assert read_watermark(tmp_path, platform) == mark
        assert (mark.shown, mark.synced, mark.boot_id) == (at_seq(seq), at_seq(seq - 1), "boot-1")
    slots.sync()
    slots.close()
    assert (tmp_path / COMMITTED).stat().st_size == 1024


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_slot_torn_at_any_byte_leaves_the_watermark_before(tmp_path: Path, count: int):
    write_marks(tmp_path, count).close()
    whole = (tmp_path / COMMITTED).read_bytes()
    following = replace(MARK, generation=count + 1, shown=at_seq(count + 1), synced=at_seq(count + 1)).encode()
    at = (count + 1) % 2 * 512
    seen = set()
    for cut in range(513):
        data = bytearray(whole.ljust(1024, b"\0"))
        data[at : at + cut] = following[:cut]
        (tmp_path / COMMITTED).write_bytes(data)
        seen.add((cut, read_watermark(tmp_path, platform_of()).generation))
    # Whole as soon as its last byte before the padding is there.
    needed = len(following.rstrip())
    if count > 1:
        # The slot held an older generation: between two padded lines of equal length every mixture is torn.
        needed = min(cut for cut, generation in seen if generation == count + 1)
    assert seen == {(cut, count + (cut >= needed)) for cut in range(513)}


def test_without_a_sound_slot_it_is_a_format_error(tmp_path: Path):
    write_marks(tmp_path, 2).close()

    def spoil(data: bytearray) -> None:
        data[100] ^= 1
        data[612] ^= 1

    damage(tmp_path / COMMITTED, spoil)
    with pytest.raises(LogFormatError, match="neither slot"):
        read_watermark(tmp_path, platform_of())


def of_version(mark: Watermark, version: int) -> bytes:
    line = mark.encode().rstrip()
    fields = json.loads(line) | {"format": version}
    del fields["crc"]
    return seal_object(json.dumps(fields).encode()).ljust(511) + b"\n"


@pytest.mark.parametrize("newer_first", [False, True])
@pytest.mark.parametrize("other", [bytes(512), MARK.encode()], ids=["alone", "beside one of today"])
def test_a_slot_of_a_newer_program_is_named_and_not_passed_over(tmp_path: Path, other: bytes, newer_first: bool):
    newer = of_version(replace(MARK, generation=9), 2)
    (tmp_path / COMMITTED).write_bytes(newer + other if newer_first else other + newer)
    with pytest.raises(LogVersionError, match="format version 2; this program knows version 1") as caught:
        read_watermark(tmp_path, platform_of())
    assert (caught.value.file, caught.value.version) == (tmp_path / COMMITTED, 2)
    assert Watermark.decode(of_version(MARK, 1), FILE) == MARK


def test_without_the_file_or_before_its_first_slot_there_is_no_log(tmp_path: Path):
    with pytest.raises(LogNotFoundError):
        read_watermark(tmp_path, platform_of())
    with pytest.raises(LogNotFoundError):
        read_watermark(tmp_path / "nowhere", platform_of())
    # A writer that is opening its first log has made the file and not written to it yet.
    for nothing_yet in (b"", bytes(512), bytes(1024)):
        (tmp_path / COMMITTED).write_bytes(nothing_yet)
        with pytest.raises(LogNotFoundError):
            read_watermark(tmp_path, platform_of())


def test_a_failed_write_may_be_repeated_and_spoils_one_slot_at_most(tmp_path: Path):
    files = FailingFiles()
    slots = write_marks(tmp_path, 3, files)
    files.write_short(200)
    files.fail(errno.EIO, "pwrite", at=2)
    with pytest.raises(OSError, match="error"):
        slots.write(at_seq(4), at_seq(4))
    assert files.struck == 2
    assert read_watermark(tmp_path, platform_of()).shown == at_seq(3)
    assert slots.write(at_seq(4), at_seq(4)).generation == 4
    files.write_short(100)
    files.write_short(0, at=2)
    with pytest.raises(OSError, match="short write"):
        slots.write(at_seq(5), at_seq(5))
    files.write_short(100)
    slots.write(at_seq(5), at_seq(5))
    assert read_watermark(tmp_path, platform_of()).shown == at_seq(5)
    slots.close()


def test_readers_that_race_with_the_writer_see_every_watermark_whole_and_in_order(tmp_path: Path):
    platform = platform_of()
    slots = write_marks(tmp_path, 1)
    done = threading.Event()
    seen: list[Watermark] = []
    failures: list[BaseException] = []

    def read() -> None:
        fd = platform.files.open_read(tmp_path / COMMITTED)
        try:
            while not done.is_set():
                seen.append(read_open_watermark(fd, tmp_path / COMMITTED, platform))
        except BaseException as error:  # noqa: BLE001  handed to the test
            failures.append(error)
        finally:
            platform.files.close(fd)

    reader = threading.Thread(target=read)
    reader.start()
    for seq in range(2, 3000):
        slots.write(at_seq(seq), at_seq(seq))
    done.set()
    reader.join()
    slots.close()
    assert failures == []
    assert seen
    generations = [mark.generation for mark in seen]
    assert generations == sorted(generations)
    assert all(mark.shown == at_seq(mark.generation) for mark in seen)

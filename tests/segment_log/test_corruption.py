"""Damage to a log of three segments: every record comes intact or is announced, by itself and after a new writer.

Each shape of damage is a row: what it does to the files, and which seqs may be announced as lost for it. What holds
for all: nothing that was not appended is delivered, no shown seq is missing without an announcement, none is
announced that was delivered, and afterwards the log takes appends and reads on.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.faults.memory_files import SECTOR_BYTES, MemoryFiles
from tests.segment_log.sample_log import body, open_log, platform_of, read_all
from yoi_runtime.errors import CursorError, LogUnavailableError
from yoi_runtime.segment_log.cursor import NO_WORKER, decode_token
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.record import RecordEncoder, seal_object
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.watermark import COMMITTED
from yoi_runtime.segment_log.writer import Appended

HOME = Path("/log")
Disk = dict[str, bytes]
NAMES = [segment_name(number) for number in (1, 2, 3)]


@dataclass(frozen=True)
class Sample:
    """An undamaged log: its files, its records, and how many of them were shown."""

    disk: Disk
    lines: list[bytes]
    appended: list[Appended]
    shown: int

    def seqs_in(self, number: int) -> set[int]:
        return {place.position.seq for place in self.appended if place.position.segment == number}

    def spans(self, number: int) -> list[tuple[int, int, int]]:
        """Return (seq, first byte, byte after the newline) of each record of a segment."""
        ends = [place.position for place in self.appended if place.position.segment == number]
        lengths = {end.seq: len(self.lines[end.seq - 1]) for end in ends}
        return [(end.seq, end.offset - lengths[end.seq], end.offset) for end in ends]

    def hit_by(self, number: int, first: int, last: int) -> set[int]:
        """Return the seqs of the records that hold a byte from ``first`` up to, without, ``last``, and their followers.

        The follower is lost with a record whose newline is hit. A hit header takes the segment with it.
        """
        spans = self.spans(number)
        if first < spans[0][1]:
            return self.seqs_in(number)
        hit = {seq for seq, start, end in spans if start < last and first < end}
        return hit | {seq + 1 for seq, _, end in spans if first < end <= last}


def _make(*, clean: bool) -> Sample:
    files = MemoryFiles()
    log = open_log(HOME, platform_of(files))
    appended = [log.append(body(f"é {seq}", 61 * seq % 240)) for seq in range(1, 27)]
    log.commit_once()
    shown = log.shown.seq
    if clean:
        log.close()
    else:
        appended += [log.append(body(seq, 40)) for seq in range(27, 30)]
        files.kill()
    assert log.end.segment == 3
    disk = {name: files.read_bytes(HOME / name) for name in files.list_directory(HOME)}
    lines = [line for name in NAMES for line in disk[name].splitlines(keepends=True)[1:]]
    assert len(lines) == len(appended) == log.end.seq
    return Sample(disk, lines, appended, shown)


CLEAN, KILLED = _make(clean=True), _make(clean=False)
SAMPLES = pytest.mark.parametrize("sample", [CLEAN, KILLED], ids=["closed", "killed"])


def files_of(disk: Disk) -> MemoryFiles:
    files = MemoryFiles()
    files.make_directory(HOME)
    for name, data in disk.items():
        fd = files.create(HOME / name)
        files.pwrite(fd, data, 0)
        files.fdatasync(fd)
        files.close(fd)
    files.sync_directory(HOME)
    return files


def check(sample: Sample, disk: Disk, may_lose: Iterable[int], *, reopen: bool) -> set[int]:
    """Read the damaged log as it is, and once more after a new writer; return what was announced as lost."""
    files = files_of(disk)
    allowed = set(may_lose)
    reader = LogReader(HOME, platform_of(files))
    lost = check_reading(sample, reader, allowed)
    if not reopen:
        return lost
    reader.close()
    log = open_log(HOME, platform_of(files, seed=2))
    first = log.end.seq + 1
    assert first > sample.shown, "a number that was shown is not given away again"
    extra = [log.append(body(f"after {n}")) for n in range(2)]
    log.roll()
    extra.append(log.append(body("after a roll")))
    log.commit_once()
    assert [place.position.seq for place in extra] == [first, first + 1, first + 2]
    reader = LogReader(HOME, platform_of(files))
    lost |= check_reading(sample, reader, allowed, first)
    log.close()
    return lost


def check_reading(sample: Sample, reader: LogReader, allowed: set[int], new_from: int | None = None) -> set[int]:
    floor = reader.floor()
    found = read_all(reader)
    new = [] if new_from is None else found.lines[-3:]
    old = found.lines[: len(found.lines) - len(new)]
    seqs = found.seqs
    for seq, line in zip(seqs, old, strict=False):
        assert line == sample.lines[seq - 1], f"seq {seq} was altered"
    for line in new:
        assert b'"text":"after' in line
    if new_from is not None:
        assert seqs[-3:] == [new_from, new_from + 1, new_from + 2]
    lost = found.lost
    assert seqs == sorted(set(seqs))
    assert not set(lost) & set(seqs), "announced as lost and delivered"
    assert len(lost) == len(set(lost)), "announced twice"
    last = reader.end.seq
    assert set(range(floor.seq + 1, last + 1)) == set(seqs) | set(lost), "a silent gap"
    assert found.end.seq == last
    # The first segment's header decides where the log begins.
    before_floor = set(range(1, floor.seq + 1))
    assert before_floor <= allowed
    known = {seq for seq in lost if seq <= sample.shown}
    assert known <= allowed, f"lost without need: {sorted(known - allowed)}"
    return known | before_floor


def replaced(sample: Sample, name: str, first: int, last: int, data: bytes) -> Disk:
    """Put ``data`` in the place of the bytes from ``first`` up to, without, ``last``."""
    before = sample.disk[name]
    return sample.disk | {name: before[:first] + data + before[last:]}


def flipped(sample: Sample, name: str, at: int, bit: int) -> Disk:
    return replaced(sample, name, at, at + 1, bytes([sample.disk[name][at] ^ bit]))


def test_the_samples_are_read_whole():
    for sample in (CLEAN, KILLED):
        assert check(sample, sample.disk, [], reopen=True) == set()
        assert all(len(sample.seqs_in(number)) > 4 for number in (1, 2, 3))


@SAMPLES
def test_the_last_segment_cut_at_every_byte(sample: Sample, exercised):
    whole, spans = sample.disk[NAMES[2]], sample.spans(3)
    files = files_of(sample.disk)
    for cut in range(len(whole)):
        reader = LogReader(HOME, platform_of(files))
        may_lose = {seq for seq, _, end in spans if end > cut} if cut >= spans[0][1] else sample.seqs_in(3)
        files.write_bytes(HOME / NAMES[2], whole[:cut])
        lost = check_reading(sample, reader, may_lose)
        if cut % 5 == 0:
            check(sample, sample.disk | {NAMES[2]: whole[:cut]}, may_lose, reopen=True)
        assert lost == {seq for seq in may_lose if seq <= sample.shown}
    exercised("cuts", len(whole))


@SAMPLES
@pytest.mark.parametrize("number", [1, 2])
def test_a_sealed_segment_cut_anywhere(sample: Sample, number: int, exercised):
    whole, spans = sample.disk[NAMES[number - 1]], sample.spans(number)
    cuts = range(0, len(whole), 41)
    for cut in cuts:
        may_lose = {seq for seq, _, end in spans if end > cut} if cut >= spans[0][1] else sample.seqs_in(number)
        lost = check(sample, sample.disk | {NAMES[number - 1]: whole[:cut]}, may_lose, reopen=cut % 3 == 0)
        assert lost == may_lose
    exercised("cuts", len(cuts))


@SAMPLES
@pytest.mark.parametrize("number", [1, 2, 3])
def test_flipped_bits_everywhere(sample: Sample, number: int, exercised):
    rng, name = Random(number), NAMES[number - 1]
    shown_end = max((end for seq, _, end in sample.spans(number) if seq <= sample.shown), default=0)
    places = range(rng.randrange(5), len(sample.disk[name]), 5)
    for at in places:
        disk = flipped(sample, name, at, 1 << rng.randrange(8))
        may_lose = sample.hit_by(number, at, at + 1)
        lost = check(sample, disk, may_lose, reopen=at % 4 == 0)
        if at < shown_end:
            assert lost, f"byte {at} is covered by a checksum"
    exercised("flips", len(places))


@SAMPLES
def test_flipped_bits_in_the_watermark_lose_nothing(sample: Sample, exercised):
    rng = Random(4)
    for at in range(0, 1024, 3):
        disk = flipped(sample, COMMITTED, at, 1 << rng.randrange(8))
        assert check(sample, disk, [], reopen=True) == set()
    exercised("flips", 1024 // 3)


@SAMPLES
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("fill", ["zeros", "noise", "newlines", "spaces"])
def test_runs_of_other_bytes(sample: Sample, number: int, fill: str, exercised):
    rng, name = Random(number), NAMES[number - 1]
    size = len(sample.disk[name])
    runs = [(sector * SECTOR_BYTES, SECTOR_BYTES) for sector in range(size // SECTOR_BYTES + 1)]
    runs += [(rng.randrange(size), rng.choice((1, 2, 10, 100, 1000, 4096))) for _ in range(12)]
    for first, length in runs:
        last = min(first + length, size)
        filler = {"zeros": b"\0", "noise": b"", "newlines": b"\n", "spaces": b" "}[fill] * (last - first)
        filler = filler or rng.randbytes(last - first)
        disk = replaced(sample, name, first, last, filler)
        check(sample, disk, sample.hit_by(number, first, last), reopen=True)
    exercised("runs", len(runs))


@SAMPLES
@pytest.mark.parametrize("number", [1, 2, 3])
def test_bytes_taken_out_or_put_in(sample: Sample, number: int, exercised):
    # Everything behind the place moves, so records keep their bytes and lose their offsets: they are still found.
    rng, name = Random(number), NAMES[number - 1]
    size, count = len(sample.disk[name]), 40
    for _ in range(count):
        at, length = rng.randrange(size), rng.choice((1, 2, 30, 300))
        insert = rng.randbytes(length) if rng.random() < 0.5 else None
        disk = replaced(sample, name, at, at + (length if insert is None else 0), insert or b"")
        hit = sample.hit_by(number, at, min(size, at + length) if insert is None else at + 1)
        # What moves over the end that the next header, or the watermark, states is cut off.
        tail = {seq for seq, _, end in sample.spans(number) if end > size - 2 * 300} if insert else set()
        if number == 3:
            tail = sample.seqs_in(3) if insert else {max(sample.seqs_in(3))}
        check(sample, disk, hit | tail, reopen=True)
    exercised("shifts", count)


@SAMPLES
@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 3), (1, 3)])
def test_swapped_segments_are_both_announced(sample: Sample, one: int, other: int):
    a, b = NAMES[one - 1], NAMES[other - 1]
    disk = sample.disk | {a: sample.disk[b], b: sample.disk[a]}
    may_lose = sample.seqs_in(one) | sample.seqs_in(other)
    lost = check(sample, disk, may_lose, reopen=True)
    assert lost == {seq for seq in may_lose if seq <= sample.shown}


@SAMPLES
@pytest.mark.parametrize("gone", [gone for n in (1, 2) for gone in itertools.combinations((1, 2, 3), n)], ids=str)
def test_missing_segments_are_announced(sample: Sample, gone: tuple[int, ...]):
    disk = {name: data for name, data in sample.disk.items() if name not in {NAMES[number - 1] for number in gone}}
    may_lose = set().union(*(sample.seqs_in(number) for number in gone))
    lost = check(sample, disk, may_lose, reopen=True)
    assert lost == {seq for seq in may_lose if seq <= sample.shown}


@SAMPLES
@pytest.mark.parametrize(
    ("source", "target"), [(1, 2), (2, 1), (2, 3), (1, 3), (3, 1), (3, 2), (1, 4), (2, 4), (3, 4), (3, 9)]
)
def test_duplicated_segments_are_never_delivered_twice(sample: Sample, source: int, target: int):
    disk = sample.disk | {segment_name(target): sample.disk[NAMES[source - 1]]}
    may_lose = sample.seqs_in(target) if target <= 3 else set()
    lost = check(sample, disk, may_lose, reopen=True)
    assert lost == {seq for seq in may_lose if seq <= sample.shown}


@SAMPLES
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_segment_of_another_history_is_not_taken_for_ours(sample: Sample, number: int):
    # Same log, same number, same seqs: a backup was restored over a part of the directory.
    name = NAMES[number - 1]
    lost = check(
        sample, sample.disk | {name: _with_other_nonce(sample.disk[name])}, sample.seqs_in(number), reopen=True
    )
    assert lost == {seq for seq in sample.seqs_in(number) if seq <= sample.shown}


def _with_other_nonce(segment: bytes) -> bytes:
    """Give a segment another nonce, in its header and in each of its records, all sound."""
    header, *records = segment.split(b"\n")[:-1]
    fields = json.loads(header)
    del fields["crc"]
    nonce = int(fields["nonce"], 16) ^ 0xFFFF_FFFF_FFFF_FFFF
    fields["nonce"] = f"{nonce:016x}"
    data = seal_object(json.dumps(fields, separators=(",", ":")).encode()) + b"\n"
    encoder = RecordEncoder(fields["log_id"], fields["segment"], nonce)
    for line in records:
        seq = json.loads(line)["envelope"]["seq"]
        mark = b'"seq":%d,' % seq
        content = line[line.index(mark) + len(mark) : line.rindex(b'},"crc"')]
        data += encoder.encode(len(data), seq, "", content, NO_WORKER, 0)[1]
    return data


@SAMPLES
def test_every_token_is_answered_truly_whatever_is_damaged(sample: Sample, exercised):
    """Resume with every token at many damaged logs: a typed answer, or the next seq, delivered or announced."""
    rng, good, refused = Random(7), 0, 0
    for _ in range(60):
        disk = dict(sample.disk)
        for _ in range(rng.choice((1, 1, 2, 3))):
            name = rng.choice(NAMES)
            data = bytearray(disk.get(name, b""))
            match rng.randrange(5):
                case 0:
                    disk.pop(name, None)
                    continue
                case 1:
                    del data[rng.randrange(len(data) + 1) :]
                case 2:
                    first = rng.randrange(len(data) + 1)
                    data[first : first + 512] = bytes(len(data[first : first + 512]))
                case 3 if data:
                    at = rng.randrange(len(data))
                    data[at] ^= 1 << rng.randrange(8)
                case _:
                    data += rng.randbytes(rng.randrange(1, 500))
            disk[name] = bytes(data)
        files = files_of(disk)
        if rng.random() < 0.5:
            open_log(HOME, platform_of(files, seed=2)).close()
        reader = LogReader(HOME, platform_of(files))
        for place in sample.appended:
            try:
                position = reader.resolve(decode_token(place.token.decode()))
            except (CursorError, LogUnavailableError):
                refused += 1
                continue
            good += 1
            found = read_all(reader, position)
            assert position.seq == place.position.seq
            covered = sorted([*found.seqs, *found.lost])
            assert covered == list(range(place.position.seq + 1, reader.end.seq + 1))
            for seq, line in zip(found.seqs, found.lines, strict=True):
                assert line == sample.lines[seq - 1]
    exercised("tokens resumed", good)
    exercised("tokens refused", refused)
    assert good > 300
    assert refused > 100

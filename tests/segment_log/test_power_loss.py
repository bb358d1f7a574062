"""Power loss at every file operation of a run with rolls, rotation, a clean close, a kill and recoveries.

For each operation the power goes just before it, and several states that the disk may then be in are drawn
(``tests.faults.memory_files``). Whatever is left: what was shown is there, unaltered and in order, its cursors name
it, the log opens, takes appends and is read whole. Then the power goes once more, in the middle of recovery.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from tests.faults.memory_files import MemoryFiles, PowerCutError
from tests.segment_log.sample_log import body, open_log, platform_of, read_all
from yoi_runtime.errors import (
    CursorError,
    CursorExpiredError,
    LogNotFoundError,
    LogUnavailableError,
    RecordCorruptError,
)
from yoi_runtime.segment_log.commit import Durability
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.watermark import COMMITTED, read_watermark
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

HOME = Path("/data/log")


@dataclass
class Run:
    """A scripted life of a log, and all that it handed out until the power went."""

    files: MemoryFiles
    options: LogOptions
    # Every record ever appended, by its token; the place after it; and the highest seq that may be rotated out.
    lines: dict[bytes, bytes] = field(default_factory=dict)
    places: list[tuple[bytes, Position]] = field(default_factory=list)
    rotated_seq: int = 0

    def append(self, log: LogWriter, count: int, size: int = 60) -> None:
        for _ in range(count):
            before = log.end
            appended = log.append(body(f"é {before.seq + 1}", size + 13 * before.seq % 90))
            path = HOME / segment_name(appended.position.segment)
            data = self.files.read_bytes(path)[: appended.position.offset]
            line = data[data.rfind(b"\n", 0, len(data) - 1) + 1 :]
            self.lines[appended.token] = line
            self.places.append((appended.token, appended.position))

    def rotate_out(self, log: LogWriter, count: int) -> None:
        self.rotated_seq = log.sealed[count - 1].last_seq
        log.rotate_out(count)

    def live(self, seed: int) -> None:
        """Live the whole life; ``seed`` is that of the nonces."""
        log = open_log(HOME, platform_of(self.files, seed=seed), self.options)
        self.append(log, 3)
        log.commit_once()
        self.append(log, 2)
        log.commit_once()
        self.append(log, 12, 200)  # rolls by itself
        log.commit_once()
        log.roll()
        self.append(log, 2)
        log.roll()
        self.append(log, 1)
        log.commit_once()
        self.rotate_out(log, 2)
        self.append(log, 2)
        log.close()
        log = open_log(HOME, platform_of(self.files, seed=seed + 1), self.options)
        self.append(log, 4)
        log.commit_once()
        self.append(log, 3, 500)
        self.files.drop_descriptors()
        log = open_log(HOME, platform_of(self.files, seed=seed + 2), self.options)
        self.append(log, 2)
        log.commit_once()
        self.rotate_out(log, 1)
        self.append(log, 9, 400)
        log.commit_once()
        self.append(log, 2)

    def promised(self) -> Position:
        """Return up to where the log has promised to survive a power cut, as any reader could see it."""
        try:
            mark = read_watermark(HOME, platform_of(_Uncounted(self.files)))
        except LogNotFoundError:
            return Position(0, 0, 0, 0)
        return mark.synced if self.options.durability == "written" else mark.shown


class _Uncounted(MemoryFiles):
    """Looks at another file system from outside: its power does not go."""

    def __init__(self, other: MemoryFiles) -> None:
        super().__init__()
        self._root = other._root


def check_survivor(run: Run, survivor: MemoryFiles, promised: Position, seed: int) -> None:
    """Look at what is left, open it, append to it and read it all."""
    kept = [(token, place) for token, place in run.places if place <= promised and place.seq > run.rotated_seq]
    _check_before_a_writer_comes(run, survivor, kept)
    log = open_log(HOME, platform_of(survivor, seed=1000 + seed, boot="boot-2"), run.options)
    assert log.end.seq >= promised.seq
    new = [log.append(body(f"new {n}")) for n in range(2)]
    log.roll()
    new.append(log.append(body("new 2")))
    log.commit_once()
    reader = LogReader(HOME, platform_of(survivor))
    floor = reader.floor()
    assert floor.seq <= run.rotated_seq
    found = read_all(reader)
    by_token = {line[38:101]: line for line in found.lines}
    lost = found.lost
    assert sorted([*found.seqs, *lost]) == list(range(floor.seq + 1, reader.end.seq + 1))
    assert not [seq for seq in lost if seq <= promised.seq], "what was promised is announced as lost"
    new_tokens = {place.token for place in new}
    assert new_tokens <= by_token.keys()
    for token, line in by_token.items():
        if token not in new_tokens:
            assert line == run.lines[token], "a record was altered"
    for token, place in kept:
        assert by_token[token] == run.lines[token], f"seq {place.seq} was shown and is lost"
    _check_resuming(run, reader, by_token, lost, kept)
    log.close()
    reader.close()


def _check_before_a_writer_comes(run: Run, survivor: MemoryFiles, kept: list[tuple[bytes, Position]]) -> None:
    try:
        reader = LogReader(HOME, platform_of(survivor))
    except LogNotFoundError:
        assert not kept
        return
    for token, place in kept:
        try:
            assert reader.resolve(decode_token(token.decode())) == place
        except LogUnavailableError:
            continue
    found = read_all(reader)
    for line in found.lines:
        assert line == run.lines[line[38:101]]
    reader.close()


def _check_resuming(
    run: Run, reader: LogReader, by_token: dict[bytes, bytes], lost: list[int], kept: list[tuple[bytes, Position]]
) -> None:
    floor = reader.floor()
    good = {token for token, _ in kept}
    for token, place in run.places:
        try:
            position = reader.resolve(decode_token(token.decode()))
        except CursorError as error:
            expired = isinstance(error, CursorExpiredError)
            assert place.seq < floor.seq if expired else token not in good
            continue
        if position == floor and place.seq == floor.seq:
            continue
        # Never a silent wrong place: the record before it is the very one the token was issued for, or was
        # announced as damaged at just that place.
        assert position == place
        assert token in by_token or place.seq in lost
        try:
            chunk = reader.read(position, 1)
            assert chunk is None or chunk.start.seq == place.seq
        except RecordCorruptError as error:
            assert error.seq == place.seq + 1  # noqa: PT017  announced is as good as read


def cuts(options: LogOptions, step: int = 1) -> Iterator[tuple[int, Run]]:
    """Yield one life after the other, each ended by the power a few calls later than the one before."""
    at = 1
    while True:
        run = Run(MemoryFiles(), options)
        run.files.cut_power_at(at)
        try:
            run.live(seed=at)
        except PowerCutError:
            run.files.cut_power_at(None)
            yield at, run
            at += step
        else:
            return


DURABILITIES = pytest.mark.parametrize("durability", ["synced", "written"])


@DURABILITIES
def test_what_was_promised_survives_a_power_cut_at_every_file_operation(durability: Durability, exercised):
    options = LogOptions(segment_bytes=4096, durability=durability)
    points = states = promised_some = 0
    for at, run in cuts(options):
        promised = run.promised()
        points += 1
        for seed in range(5 if durability == "synced" else 3):
            check_survivor(run, run.files.cut_power(Random(1000 * at + seed)), promised, seed)
            states += 1
        promised_some += promised.seq > 0
    exercised("operations at which the power went", points)
    exercised("states of the disk", states)
    assert points > 250
    assert promised_some > points * 3 / 4


@DURABILITIES
def test_a_second_power_cut_in_the_middle_of_recovery_costs_nothing_more(durability: Durability, exercised):
    options = LogOptions(segment_bytes=4096, durability=durability)
    states = 0
    for at, run in cuts(options, step=9):
        promised = run.promised()
        rng = Random(at)
        for seed in range(3):
            survivor = run.files.cut_power(rng)
            survivor.cut_power_at(rng.randrange(1, 45))
            try:
                open_log(HOME, platform_of(survivor, seed=500 + seed), options).close()
            except PowerCutError:
                survivor.cut_power_at(None)
                survivor = survivor.cut_power(rng)
            survivor.cut_power_at(None)
            check_survivor(run, survivor, promised, seed)
            states += 1
    exercised("states of the disk after two cuts", states)
    assert states > 80


def test_a_killed_process_loses_nothing_at_all_at_every_file_operation(exercised):
    options = LogOptions(segment_bytes=4096)
    points = 0
    for at, run in cuts(options):
        run.files.kill()
        everything = run.places[-1][1] if run.places else Position(0, 0, 0, 0)
        check_survivor(run, run.files, everything, at)
        points += 1
    exercised("operations at which the process was killed", points)


def test_a_new_log_in_new_directories_survives_as_a_whole():
    home = Path("/a/b/c/log")
    files = MemoryFiles()
    log = open_log(home, platform_of(files))
    log.append(body("first"))
    log.commit_once()
    for seed in range(40):
        survivor = files.cut_power(Random(seed))
        assert COMMITTED in survivor.list_directory(home)
        assert read_all(LogReader(home, platform_of(survivor))).seqs in ([], [1])
        again = open_log(home, platform_of(survivor, seed=2))
        assert read_all(LogReader(home, platform_of(survivor))).seqs == [1]
        again.close()

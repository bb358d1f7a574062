"""yoi_runtime.catalog.catalog: what outlives rotation, whatever happens to whom in between."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalog.sample_story import Story, check_accounts, expected_tallies, states_of
from tests.event_log.quick_files import QuickFiles
from tests.event_log.sample_event_log import DAY_SECONDS, TEN_YEARS_SECONDS
from tests.event_log.written_events import check_numbers, envelopes_in
from tests.faults.failing_files import READING, FailingFiles
from tests.faults.memory_files import MemoryFiles, PowerCutError
from yoi_runtime.catalog.catalog import CATALOG, read_snapshot
from yoi_runtime.catalog.fold import fold_chunk
from yoi_runtime.catalog.ledger import Ledger
from yoi_runtime.catalog.segment_index import index_path, read_index
from yoi_runtime.catalog.worker_state import Tally
from yoi_runtime.events import Event, Status, TextDelta, WorkerCreated, WorkerEnded, WorkerStarted
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.record import check_crc, seal_object
from yoi_runtime.segment_log.retention import RetentionPolicy

KEEP_THREE = RetentionPolicy(None, None, 3)


def segment(story: Story, number: int) -> Path:
    return story.log_directory / f"{number:020d}.jsonl"


def copy(story: Story, name: str) -> Story:
    """Return the story as a crash right now would leave it."""
    target = story.data_dir.with_name(name)
    shutil.copytree(story.data_dir, target)
    return story.at(target)


def folded(story: Story) -> Ledger:
    """Return the ledger of somebody who reads the whole log from its floor."""
    ledger = Ledger()
    reader = LogReader(story.log_directory)
    position = reader.floor()
    ledger.seq = position.seq
    while chunk := reader.read(position, 4096):
        fold_chunk(ledger, chunk.data)
        position = chunk.end
    reader.close()
    return ledger


# The file.


def test_the_snapshot_is_one_line_of_json_with_a_checksum(tmp_path: Path):
    story = Story(tmp_path / "data").open()
    story.say(None, WorkerCreated(worker_id="a"))
    story.say("a")
    story.close()
    line = (story.data_dir / CATALOG).read_bytes()
    assert line.count(b"\n") == 1
    assert check_crc(line[:-1])
    fields = json.loads(line)
    assert list(fields)[:3] == ["kind", "format", "log_id"]
    assert {"as_of", "rotated_out", "unaccounted_seq", "workers"} <= set(fields)
    assert fields["log_id"] == story.log.log_id
    assert fields["as_of"]["seq"] == 2


def test_the_snapshot_of_a_close_holds_everything_up_to_the_end(tmp_path: Path):
    story = Story(tmp_path / "data", KEEP_THREE).open()
    story.tell(6)
    story.say(None, WorkerStarted(worker_id="a", run=1))
    story.close()
    snapshot = read_snapshot(story.data_dir, REAL_PLATFORM)
    assert snapshot is not None
    reader = LogReader(story.log_directory)
    assert snapshot.as_of == reader.end
    reader.close()
    assert snapshot.ledger.workers == story.ledger.workers
    assert snapshot.ledger.rotated_out == story.ledger.rotated_out
    assert snapshot.ledger.seq == story.said[-1].seq
    assert index_path(story.log_directory, snapshot.as_of.segment).exists(), "the last segment will not be read again"


def test_the_snapshot_of_a_roll_is_as_of_the_new_segment(tmp_path: Path):
    story = Story(tmp_path / "data").open()
    story.tell(2)
    snapshot = read_snapshot(story.data_dir, REAL_PLATFORM)
    assert snapshot is not None
    assert snapshot.as_of == story.writer.active_start
    story.close()


def test_without_a_file_there_is_no_snapshot(tmp_path: Path):
    assert read_snapshot(tmp_path, REAL_PLATFORM) is None


def change_fields(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    fields = json.loads(path.read_bytes())
    del fields["crc"]
    change(fields)
    path.write_bytes(seal_object(json.dumps(fields).encode()) + b"\n")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "flipped": lambda path: path.write_bytes(path.read_bytes().replace(b'"run":', b'"ruN":')),
    "zeros": lambda path: path.write_bytes(bytes(len(path.read_bytes()))),
    "a list": lambda path: path.write_bytes(b"[]\n"),
    "of a newer format": lambda path: change_fields(path, lambda fields: fields.update(format=2)),
    "of another kind": lambda path: change_fields(path, lambda fields: fields.update(kind="committed")),
    "without a field": lambda path: change_fields(path, lambda fields: fields.pop("unaccounted_seq")),
    "with a field amiss": lambda path: change_fields(path, lambda fields: fields.update(workers=[{"worker_id": "a"}])),
    "of another log": lambda path: change_fields(path, lambda fields: fields.update(log_id="0123456789abcdef")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_lost_catalog_is_made_again_and_says_what_nobody_knows(tmp_path: Path, damage: Callable[[Path], object]):
    story = Story(tmp_path / "data", KEEP_THREE).open()
    story.tell(6)
    story.say(None, WorkerStarted(worker_id="a", run=3))
    story.close()
    gone = story.ledger.rotated_out.last_seq
    assert gone > 10
    damage(story.data_dir / CATALOG)
    story.open()
    assert story.ledger.unaccounted_seq == gone
    assert story.ledger.rotated_out == Tally()
    assert {worker_id: state.worker_seq for worker_id, state in story.ledger.workers.items()} == {
        worker_id: max(one.worker_seq for one in story.said if one.worker_id == worker_id) for worker_id in "abc"
    }
    assert story.ledger.workers["a"].run == 3
    story.tell(6)
    check_accounts(story, first_seq=gone + 1)
    story.reopen()
    check_accounts(story, first_seq=gone + 1)
    assert story.ledger.unaccounted_seq == gone
    story.close()
    check_numbers(envelopes_in(story.log_directory), first_seq=None)


# Reopening.


def test_members_of_a_newer_version_are_passed_over(tmp_path: Path):
    story = Story(tmp_path / "data", KEEP_THREE).open()
    story.tell(6)
    story.close()
    change_fields(story.data_dir / CATALOG, lambda fields: fields.update(colour="red"))
    story.open()
    check_accounts(story)
    story.close()


def test_a_newer_vocabulary_does_not_keep_the_log_shut(tmp_path: Path):
    story = Story(tmp_path / "data").open()
    story.say(None, WorkerStarted(worker_id="a", run=1))
    story.say("a", Status(status="running"))
    story.say("a", Status.model_construct(status="dreaming"))
    story.say(None, WorkerEnded.model_construct(worker_id="a", outcome="evicted", exit_code=None))
    (story.data_dir / CATALOG).unlink(missing_ok=True)
    crashed = copy(story, "crashed")
    story.close()
    crashed.open()
    state = crashed.ledger.workers["a"]
    assert (state.worker_seq, state.status, state.ended) == (2, "running", False)
    crashed.close()


STEPS: list[tuple[str | None, Event]] = [
    (None, WorkerCreated(worker_id="a")),
    (None, WorkerStarted(worker_id="a", run=1)),
    ("a", Status(status="running")),
    ("b", TextDelta(text="x" * 900)),
    ("a", TextDelta(text="x" * 900)),
    (None, WorkerEnded(worker_id="a", outcome="failed", exit_code=1)),
    ("b", TextDelta(text="x" * 900)),
    (None, WorkerStarted(worker_id="a", run=2)),
    ("a", Status(status="paused")),
    ("b", TextDelta(text="x" * 900)),
    (None, WorkerEnded(worker_id="a", outcome="completed", exit_code=0)),
    ("b", TextDelta(text="x" * 900)),
]


def test_after_a_crash_at_any_event_the_states_are_those_of_the_moment(tmp_path: Path):
    story = Story(tmp_path / "data", RetentionPolicy(None, None, 2)).open()
    for number, (worker_id, event) in enumerate(STEPS * 2):
        story.say(worker_id, event)
        story.writer.commit_once()
        crashed = copy(story, f"crash-{number}").open()
        assert states_of(crashed.ledger) == states_of(story.ledger)
        assert crashed.ledger.seq == story.ledger.seq
        check_accounts(crashed)
        crashed.close()
    assert story.ledger.rotated_out.events > 5
    story.close()


def test_a_start_reads_the_log_from_its_snapshot_on_and_not_before(tmp_path: Path):
    reads = {}
    for damage in ("none", "no catalog"):
        files = FailingFiles(QuickFiles())
        story = Story(tmp_path / damage / "data", files=files).open()
        story.tell(4)
        story.close()
        if damage == "no catalog":
            (story.data_dir / CATALOG).unlink()
        files.forget_calls()
        story.open()
        reads[damage] = files.count("pread", segment(story, 2).name)
        story.close()
    assert reads["none"] < reads["no catalog"]


def test_a_log_is_folded_alike_by_its_writer_and_by_a_reader(tmp_path: Path):
    story = Story(tmp_path / "data").open()
    for worker_id, event in STEPS * 3:
        story.say(worker_id, event)
    story.close()
    assert states_of(folded(story)) == states_of(story.ledger)


# Counting what goes.


def test_the_accounts_are_exact_after_every_rotation_and_restart(tmp_path: Path):
    story = Story(tmp_path / "data", KEEP_THREE).open()
    for number in range(60):
        story.tell(1, workers="aab"[: 1 + number % 3] + "cdefgh"[number % 6], events=1 + number % 5)
        check_accounts(story)
        if number % 7 == 6:
            story.reopen()
            check_accounts(story)
        if number % 11 == 10:
            story.log.roll()
    assert story.ledger.unaccounted_seq == 0
    story.close()
    check_numbers(envelopes_in(story.log_directory), first_seq=None)


def change_index(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def swap_index(path: Path) -> None:
    number = int(path.name.partition(".")[0])
    path.write_bytes(index_path(path.parent, number + 1).read_bytes())


@pytest.mark.parametrize("damage", [Path.unlink, change_index, swap_index], ids=["missing", "damaged", "another's"])
@pytest.mark.parametrize("restart", [False, True], ids=["in one run", "after a restart"])
def test_an_index_that_is_not_there_is_made_from_its_segment(
    tmp_path: Path, damage: Callable[[Path], object], restart: bool
):
    story = Story(tmp_path / "data").open()
    story.tell(6)
    for number in (1, 2, 4):
        damage(index_path(story.log_directory, number))
    if restart:
        story.reopen()
    story.log.close()
    story.retention = RetentionPolicy(None, None, 1)
    story.open()
    story.log.maintain()
    assert story.ledger.rotated_out.last_seq == 24
    assert story.ledger.unaccounted_seq == 0
    check_accounts(story)
    story.close()


def test_after_a_crash_the_segments_without_an_index_get_one(tmp_path: Path):
    story = Story(tmp_path / "data").open()
    story.tell(3)
    story.say("a")
    story.writer.commit_once()
    for path in story.log_directory.glob("*.index.json"):
        path.unlink()
    (story.data_dir / CATALOG).unlink()
    crashed = copy(story, "crashed").open()
    for number in range(1, 5):
        with segment(crashed, number).open("rb") as file:
            nonce = int(json.loads(file.readline())["nonce"], 16)
        tallies = read_index(crashed.log_directory, number, nonce, REAL_PLATFORM)
        assert tallies is not None
        first, last = 4 * number - 3, min(4 * number, 13)
        expected = expected_tallies([one for one in crashed.said if one.seq >= first], last)
        assert tallies == expected
    crashed.close()
    story.close()


def test_a_crash_between_the_count_and_the_deletion_counts_nothing_twice(tmp_path: Path):
    crashes: list[Story] = []

    class CopyingFiles(QuickFiles):
        def unlink(self, path: Path) -> None:
            if path.suffix == ".jsonl":
                crashes.append(copy(story, f"before-{len(crashes)}"))
            super().unlink(path)
            if path.suffix == ".jsonl":
                crashes.append(copy(story, f"after-{len(crashes)}"))

    story = Story(tmp_path / "data", RetentionPolicy(None, None, 2), files=CopyingFiles()).open()
    story.tell(4)
    story.close()
    assert len(crashes) == 6
    for number, crashed in enumerate(crashes):
        counted = number // 2 + 1
        crashed.open()
        assert crashed.ledger.rotated_out.last_seq == 4 * counted
        assert crashed.ledger.rotated_out.events == 4 * counted
        assert segment(crashed, counted).exists() == (number % 2 == 0)
        assert index_path(crashed.log_directory, counted).exists() == (number % 2 == 0), (
            "no index stays without its segment"
        )
        crashed.log.maintain()
        check_accounts(crashed)
        crashed.tell(3)
        check_accounts(crashed)
        crashed.close()
        indexed = {path.name.partition(".")[0] for path in crashed.log_directory.glob("*.index.json")}
        assert indexed <= {path.stem for path in crashed.log_directory.glob("*.jsonl")}


def test_the_count_is_durable_before_anything_is_deleted(tmp_path: Path):
    files = FailingFiles(QuickFiles())
    story = Story(tmp_path / "data", KEEP_THREE, files=files).open()
    story.tell(8)
    story.close()
    names = [(call.method, call.name) for call in files.calls if call.method not in READING]
    unlinks = [place for place, (method, name) in enumerate(names) if method == "unlink" and name.endswith(".jsonl")]
    assert len(unlinks) == 6
    for place in unlinks:
        before = [call for call in names[:place] if call[1] in (f"{CATALOG}.tmp", CATALOG, "data")]
        assert before[-5:] == [
            ("create", f"{CATALOG}.tmp"),
            ("pwrite", f"{CATALOG}.tmp"),
            ("fdatasync", f"{CATALOG}.tmp"),
            ("rename", CATALOG),
            ("sync_directory", "data"),
        ]
        rolls = [
            other for other, call in enumerate(names[:place]) if call[0] == "rename" and call[1].endswith(".jsonl")
        ]
        saves = [other for other, call in enumerate(names[:place]) if call == ("sync_directory", "data")]
        assert sum(save > rolls[-1] for save in saves) == 2, "once for the roll, and once more with the count"


def test_whichever_call_fails_while_segments_go_the_accounts_stay_exact(tmp_path: Path):
    at = 0
    while True:
        at += 1
        files = FailingFiles(QuickFiles())
        story = Story(tmp_path / str(at) / "data", files=files)
        story.open()
        story.tell(5)
        index_path(story.log_directory, 2).unlink()
        story.close()
        story.retention = RetentionPolicy(None, None, 2)
        story.open()
        files.fail(errno.EIO if at % 2 else errno.ENOSPC, at=at)
        try:
            story.log.maintain()
        except OSError:
            pass
        struck = files.struck
        files.heal()
        crashed = copy(story, "crashed").open()
        crashed.log.maintain()
        check_accounts(crashed)
        crashed.close()
        story.log.maintain()
        check_accounts(story)
        story.tell(2)
        check_accounts(story)
        assert story.ledger.unaccounted_seq == crashed.ledger.unaccounted_seq == 0
        story.close()
        if not struck:
            assert files.open_files == []
            break
    assert at > 20


def test_after_a_power_cut_at_any_call_the_accounts_are_exact():
    """Roll, rotate out, close: cut the power before each call, and open what the disk may hold then."""
    at = 0
    while True:
        at += 1
        files = MemoryFiles()
        files.make_directory(Path("/data"))
        files.sync_directory(Path("/"))
        story = Story(Path("/data"), KEEP_THREE, files=files, background=False).open()
        story.tell(4)
        story.writer.commit_once()
        files.cut_power_at(files.calls + at)
        durable = len(story.said)
        try:
            story.tell(2)
            story.say("a")
            story.close()
        except PowerCutError:
            pass
        else:
            break
        for seed in range(2):
            after = story.at(story.data_dir)
            after.files = files.cut_power(Random(seed))
            after.background = False
            after.open()
            # What follows the last synced event may be lost, and its number given to another.
            kept = after.ledger.seq
            assert kept >= durable
            after.said = after.said[:kept]
            gone = after.ledger.rotated_out.last_seq
            expected = expected_tallies(after.said, gone)
            assert after.ledger.rotated_out.events == gone
            for worker_id in "abc":
                assert after.ledger.workers[worker_id].rotated_out == expected.get(worker_id)
            assert after.ledger.unaccounted_seq == 0
            after.tell(4)
            after.log.maintain()
            assert after.ledger.rotated_out.events == after.ledger.rotated_out.last_seq == after.said[-9].seq
            after.close()
    assert at > 50


# Damage.


def test_a_damaged_segment_header_stops_neither_the_start_nor_retention(tmp_path: Path):
    story = Story(tmp_path / "data").open()
    story.tell(6)
    story.close()
    path = segment(story, 3)
    path.write_bytes(path.read_bytes().replace(b'"log_id"', b'"log_ID"', 1))
    (story.data_dir / CATALOG).unlink()
    for index in story.log_directory.glob("*.index.json"):
        index.unlink()
    story.open()
    assert {worker_id: state.worker_seq for worker_id, state in story.ledger.workers.items()} == dict.fromkeys("abc", 8)
    story.close()
    story.retention = RetentionPolicy(None, None, 1)
    story.open()
    story.log.maintain()
    assert [int(path.stem) for path in story.log_directory.glob("*.jsonl")] == [9]
    # Segment 3 (events 9 to 12) could not be read: of whom they were, nobody knows, and the rest is counted once.
    assert story.ledger.unaccounted_seq >= 12
    assert story.ledger.rotated_out.events == 24 - 4
    assert story.ledger.rotated_out.last_seq == 24
    counted = {worker_id: state.rotated_out for worker_id, state in story.ledger.workers.items()}
    assert sum(tally.events for tally in counted.values() if tally is not None) == 20
    assert all(tally is not None and tally.last_worker_seq == 8 for tally in counted.values())
    story.close()


def test_a_header_damaged_while_the_log_is_open_does_not_stop_retention(tmp_path: Path):
    story = Story(tmp_path / "data", KEEP_THREE).open()
    story.tell(2)
    path = segment(story, 1)
    path.write_bytes(path.read_bytes().replace(b'"log_id"', b'"log_ID"', 1))
    index_path(story.log_directory, 1).unlink()
    story.tell(1)
    assert not path.exists()
    assert story.ledger.rotated_out.last_seq == story.ledger.unaccounted_seq == 4
    story.tell(2)
    assert story.ledger.rotated_out.last_seq == 12
    assert story.ledger.unaccounted_seq == 4
    story.close()


def test_a_damaged_record_is_counted_as_nobodys(tmp_path: Path):
    story = Story(tmp_path / "data").open()
    story.tell(3)
    story.close()
    path = segment(story, 1)
    path.write_bytes(path.read_bytes().replace(b'"worker_seq":1,', b'"worker_seq":7,', 1))
    index_path(story.log_directory, 1).unlink()
    story.retention = RetentionPolicy(None, None, 4)
    story.open()
    story.log.maintain()
    assert story.ledger.rotated_out == Tally(3, 4, 0, story.said[1].time, story.said[3].time)
    assert story.ledger.unaccounted_seq == 4
    story.log.roll()
    assert story.ledger.rotated_out.events == 7
    assert story.ledger.unaccounted_seq == 4
    story.close()


def test_a_record_damaged_after_its_segment_was_sealed_is_counted_by_the_index(tmp_path: Path):
    story = Story(tmp_path / "data", KEEP_THREE).open()
    story.tell(2)
    path = segment(story, 1)
    path.write_bytes(path.read_bytes().replace(b'"worker_seq":1,', b'"worker_seq":7,', 1))
    story.tell(1)
    check_accounts(story)
    assert story.ledger.unaccounted_seq == 0
    story.close()


def test_segments_deleted_by_hand_are_unaccounted_for(tmp_path: Path):
    story = Story(tmp_path / "data").open()
    story.tell(6)
    story.close()
    for number in (1, 2):
        segment(story, number).unlink()
    story.open()
    assert story.ledger.unaccounted_seq == 8
    assert not index_path(story.log_directory, 1).exists()
    story.say("a")
    story.retention = KEEP_THREE
    story.reopen()
    story.log.maintain()
    assert story.ledger.rotated_out.last_seq == 24
    check_accounts(story, first_seq=9)
    story.close()


def test_a_catalog_newer_than_a_restored_log_is_not_believed(tmp_path: Path):
    """Numbers that the log gives again must be counted again: a ledger that is ahead would ignore them."""
    story = Story(tmp_path / "data").open()
    story.tell(2)
    story.close()
    backup = tmp_path / "backup"
    shutil.copytree(story.log_directory, backup)
    kept = len(story.said)
    story.open()
    story.tell(2)
    story.close()
    shutil.rmtree(story.log_directory)
    shutil.copytree(backup, story.log_directory)
    del story.said[kept:]
    story.open()
    story.tell(3)
    story.close()
    check_numbers(envelopes_in(story.log_directory))
    assert len(envelopes_in(story.log_directory)) == 20


def test_a_catalog_newer_than_a_copy_of_the_running_log_is_not_believed(tmp_path: Path):
    story = Story(tmp_path / "data").open()
    story.say("a")
    story.writer.commit_once()
    backup = copy(story, "backup")
    story.say("a")
    story.say("b")
    story.close()
    shutil.copy(story.data_dir / CATALOG, backup.data_dir / CATALOG)
    backup.open()
    for worker_id in "aabb":
        backup.say(worker_id)
    backup.close()
    envelopes = envelopes_in(backup.log_directory)
    check_numbers(envelopes)
    assert len(envelopes) == 5


@pytest.mark.parametrize("rolls", [0, 4], ids=["in the same segment", "in a segment that is not there"])
def test_a_catalog_of_another_course_of_the_same_log_is_not_believed(tmp_path: Path, rolls: int):
    """Two copies of one log went on apart, and the catalog of one came to the segments of the other."""
    story = Story(tmp_path / "data").open()
    story.say("a")
    story.close()
    other = copy(story, "other").open()
    for _ in range(3):
        other.say("b")
    for _ in range(rolls):
        other.log.roll()
    other.close()
    story.open()
    for _ in range(6):
        story.say("a")
    story.close()
    shutil.copy(other.data_dir / CATALOG, story.data_dir / CATALOG)
    story.open()
    story.say("a")
    story.say("b")
    story.close()
    check_numbers(envelopes_in(story.log_directory))


# Forgetting.


def ended_and_gone(tmp_path: Path) -> Story:
    """Return a story in which Worker ``a`` ended and nothing of it is left."""
    story = Story(tmp_path / "data", RetentionPolicy(None, None, 2)).open()
    story.say(None, WorkerStarted(worker_id="a", run=1))
    story.say("a")
    story.say(None, WorkerEnded(worker_id="a", outcome="completed"))
    story.tell(3, workers="b")
    return story


def test_an_ended_worker_is_forgotten_after_thirty_days(tmp_path: Path):
    story = ended_and_gone(tmp_path)
    story.clock.pass_seconds(29.9 * DAY_SECONDS)
    story.log.roll()
    assert "a" in story.ledger.workers
    story.reopen()
    assert "a" in story.ledger.workers
    story.clock.pass_seconds(0.2 * DAY_SECONDS)
    story.log.roll()
    assert "a" not in story.ledger.workers
    forgotten = [one.seq for one in story.said if one.worker_id == "a"]
    assert story.ledger.forgotten_seq == forgotten[-1]
    story.reopen()
    assert list(story.ledger.workers) == ["b"]
    assert story.ledger.forgotten_seq == forgotten[-1]
    story.say("a")
    assert story.said[-1].worker_seq == 1, "a stranger now"
    story.close()


@pytest.mark.parametrize("jump_seconds", [TEN_YEARS_SECONDS, -TEN_YEARS_SECONDS], ids=["forward", "back"])
@pytest.mark.parametrize("when", ["before its end", "after its end", "between two runs"])
def test_no_worker_is_forgotten_because_a_clock_jumped(tmp_path: Path, jump_seconds: float, when: str):
    story = Story(tmp_path / "data", RetentionPolicy(None, None, 2)).open()
    story.say("b")
    story.log.roll()
    if when == "before its end":
        story.clock.jump_wall(jump_seconds)
    story.say(None, WorkerStarted(worker_id="a", run=1))
    story.say("a")
    story.say(None, WorkerEnded(worker_id="a", outcome="completed"))
    story.tell(3, workers="b")
    if when == "after its end":
        story.clock.jump_wall(jump_seconds)
    story.tell(2, workers="b")
    story.close()
    if when == "between two runs":
        story.clock.jump_wall(jump_seconds)
    story.open()
    story.tell(3, workers="b")
    story.clock.jump_wall(-jump_seconds)
    story.tell(1, workers="b")
    story.reopen()
    story.tell(1, workers="b")
    assert "a" in story.ledger.workers
    story.say("a")
    assert story.said[-1].worker_seq == 2
    story.close()


def test_a_worker_with_an_event_left_is_never_forgotten(tmp_path: Path):
    story = Story(tmp_path / "data").open()
    story.say("a")
    story.say(None, WorkerEnded(worker_id="a", outcome="completed"))
    story.log.roll()
    story.clock.pass_seconds(300 * DAY_SECONDS)
    story.log.roll()
    story.reopen()
    assert "a" in story.ledger.workers
    story.close()


# Everything at once.

STEP = st.one_of(
    st.tuples(st.just("say"), st.sampled_from(["a", "b", "c", None]), st.integers(0, 1500)),
    st.tuples(st.just("roll"), st.none(), st.none()),
    st.tuples(st.just("reopen"), st.none(), st.none()),
    st.tuples(st.just("crash"), st.none(), st.none()),
    st.tuples(st.just("lose an index"), st.none(), st.integers(0, 5)),
    st.tuples(st.just("keep"), st.none(), st.integers(1, 4)),
)


@settings(max_examples=40)
@given(steps=st.lists(STEP, min_size=10, max_size=40))
def test_whatever_happens_in_whatever_order_the_books_agree_with_a_plain_list(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str | None, int | None]]
):
    root = tmp_path_factory.mktemp("story")
    story = Story(root / "data").open()
    for number, (what, worker_id, amount) in enumerate(steps):
        match what:
            case "say":
                story.say(worker_id, size=amount or 0)
            case "roll":
                story.log.roll()
                snapshot = read_snapshot(story.data_dir, REAL_PLATFORM)
                assert snapshot is not None
                assert snapshot.ledger.workers == story.ledger.workers
            case "reopen":
                story.reopen()
            case "crash":
                story.writer.commit_once()
                crashed = copy(story, f"crash-{number}")
                story.close()
                story = crashed.open()
            case "lose an index":
                indexes = sorted(story.log_directory.glob("*.index.json"))
                if indexes:
                    indexes[(amount or 0) % len(indexes)].unlink()
            case _:
                story.retention = RetentionPolicy(None, None, amount)
                story.reopen()
                story.log.maintain()
        check_accounts(story)
    story.close()
    envelopes = envelopes_in(story.log_directory)
    check_numbers(envelopes, first_seq=None if envelopes else 1)
    floor = len(story.said) - len(envelopes)
    assert [envelope.payload for envelope in envelopes] == [one.event for one in story.said[floor:]]
    assert story.ledger.rotated_out.last_seq == floor
    assert story.ledger.unaccounted_seq == 0

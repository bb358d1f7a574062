from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ExpectLog
from tests.faults.clocks import ManualClock
from tests.support.damage import damage
from tests.transcript.projecting import (
    QUICK,
    SMALL,
    Witness,
    database_path,
    follow,
    page,
    project,
    read_all,
    store_in,
    wait_until_shown,
    whole_transcript,
)
from tests.transcript.stories import any_story, event_of_line, fold_lines, without_thinking
from yoi_runtime.errors import TranscriptDamagedError, TranscriptUnavailableError
from yoi_runtime.events import Event, RunEnd, TextDelta, TextDone, ThinkingDelta
from yoi_runtime.protocol.transcript_fold import TranscriptFold
from yoi_runtime.protocol.transcript_items import TranscriptItem
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.runtime.worker import Worker
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.transcript.following import Following, Signals
from yoi_runtime.transcript.store import TranscriptStore

KINDS = ("text", "gap")


def texts(items: list[TranscriptItem]) -> list[object]:
    return [item.data.get("text", item.data.get("events")) for item in items]


def say(worker: Worker, *words: str) -> None:
    for word in words:
        worker.emit(TextDone(text=word))


def rotate_all_out(runtime: Runtime, noisy: Worker) -> None:
    newest = max(runtime.log_directory.glob("*.jsonl"))
    while newest.exists():
        say(noisy, "x" * 300)


def test_folding_the_transcript_and_then_the_stream_is_folding_everything(capsys: pytest.CaptureFixture[str]):
    """Random logs of several Workers, small segments that rotate out, folded in pieces by processes that come and go."""
    seen: Counter[str] = Counter()

    @settings(max_examples=40)
    @given(story=any_story, data=st.data())
    def check(story: list[tuple[str, Event]], data: st.DataObject) -> None:
        cut = data.draw(st.integers(0, len(story)))
        pieces = data.draw(st.integers(1, 4))
        limit = data.draw(st.sampled_from([1, 2, 1000]))
        directory = Path(tempfile.mkdtemp())
        try:
            with Runtime.open(directory, SMALL) as runtime, closing(Witness(directory)) as witness:
                workers = {worker_id: runtime.create_worker(worker_id) for worker_id in "abc"}
                first = max(runtime.log_directory.glob("*.jsonl"))
                for number, (worker_id, event) in enumerate(story[:cut]):
                    workers[worker_id].emit(event)
                    if number % pieces == 0:
                        witness.look()
                        project(directory)
                        seen["pieces"] += 1
                witness.look()
                project(directory)
                if (cut + pieces) % 2:
                    # Of what was folded nothing is in the log any more.
                    while first.exists():
                        workers["c"].emit(TextDelta(text="y" * 500))
                        witness.look()
                        project(directory)
                    seen["rotated out"] += 1
                answers = {worker_id: whole_transcript(directory, worker_id, limit) for worker_id in "abc"}
                hidden = {
                    worker_id: whole_transcript(directory, worker_id, limit, thinking=False) for worker_id in "abc"
                }
                as_of = len(witness.lines)
                for worker_id, event in story[cut:]:
                    workers[worker_id].emit(event)
                    witness.look()
            expected = fold_lines(witness.lines)
            for shown, keep in ((answers, list), (hidden, without_thinking)):
                for worker_id, (items, answer) in shown.items():
                    fold = TranscriptFold.resume(answer)
                    seen["cuts inside a block"] += bool(fold.open)
                    events = [
                        event
                        for line_worker, event in map(event_of_line, witness.lines[as_of:])
                        if line_worker == worker_id
                    ]
                    rest = [item for event in events for item in fold.apply(event)]
                    assert items + keep(rest) == keep(expected.items[worker_id])
                    assert fold.next_index == expected.folds[worker_id].next_index
                    seen["items"] += len(items)
            seen["logs"] += 1
        finally:
            shutil.rmtree(directory)

    check()
    with capsys.disabled():
        sys.stdout.write(f"\ntranscripts against everything: {dict(seen)}\n")
    assert min(seen["cuts inside a block"], seen["rotated out"]) >= 8


def test_what_rotated_out_after_it_was_folded_is_still_told(tmp_path: Path):
    with Runtime.open(tmp_path, SMALL) as runtime:
        a, noisy = runtime.create_worker("a"), runtime.create_worker("noisy")
        say(a, "one", "two")
        project(tmp_path)
        rotate_all_out(runtime, noisy)
        project(tmp_path)
        items, answer = whole_transcript(tmp_path, "a")
        assert texts(items) == ["one", "two"]
        assert answer.worker_seq == 2
        say(a, "three")
    project(tmp_path)
    assert texts(whole_transcript(tmp_path, "a")[0]) == ["one", "two", "three"]


def test_what_rotated_out_before_it_was_folded_is_a_gap_with_its_number(tmp_path: Path):
    with Runtime.open(tmp_path, SMALL) as runtime:
        a, noisy = runtime.create_worker("a"), runtime.create_worker("noisy")
        say(a, "one")
        a.emit(TextDelta(text="unfin"))
        project(tmp_path)
        say(a, "lost", "lost", "lost")
        rotate_all_out(runtime, noisy)
        say(a, "after")
        project(tmp_path)
    items, _ = whole_transcript(tmp_path, "a")
    assert [(item.kind, item.finished) for item in items] == [
        ("text", True),
        ("text", False),
        ("gap", None),
        ("text", True),
    ]
    assert texts(items) == ["one", "unfin", 3, "after"]
    assert [item.index for item in items] == [0, 1, 2, 3]


def test_what_rotates_out_under_its_hands_is_a_gap_too(tmp_path: Path):
    signals = Signals()
    signals.stopping.set()
    signals.stop_by = float("inf")
    with Runtime.open(tmp_path, SMALL) as runtime:
        a, noisy = runtime.create_worker("a"), runtime.create_worker("noisy")
        say(a, "one")
        project(tmp_path)
        say(a, "lost")
        with store_in(tmp_path) as store, closing(LogReader(runtime.log_directory, REAL_PLATFORM)) as reader:
            following = Following(tmp_path, reader, store, REAL_PLATFORM, signals)
            rotate_all_out(runtime, noisy)
            say(a, "after")
            wait_until_shown(tmp_path)
            following.run()
    assert texts(whole_transcript(tmp_path, "a")[0]) == ["one", 1, "after"]


def test_a_worker_that_says_nothing_more_is_told_its_gap_from_the_catalog(tmp_path: Path):
    with Runtime.open(tmp_path, SMALL) as runtime:
        a, noisy = runtime.create_worker("a"), runtime.create_worker("noisy")
        say(a, "one")
        project(tmp_path)
        say(a, "lost", "lost")
        rotate_all_out(runtime, noisy)
        project(tmp_path)
    items, answer = whole_transcript(tmp_path, "a")
    assert texts(items) == ["one", 2]
    assert (answer.worker_seq, answer.total_items) == (3, 2)


def test_a_log_that_lost_its_beginning_counts_from_where_no_index_was_given_before(tmp_path: Path):
    with Runtime.open(tmp_path, SMALL) as runtime:
        a, noisy = runtime.create_worker("a"), runtime.create_worker("noisy")
        say(a, "one", "two", "three")
        project(tmp_path)
        before = whole_transcript(tmp_path, "a")[1].total_items
        rotate_all_out(runtime, noisy)
        say(a, "four")
    database_path(tmp_path).unlink()
    project(tmp_path)
    items, answer = whole_transcript(tmp_path, "a")
    assert texts(items) == [3, "four"]
    assert answer.oldest_start == items[0].index > before
    assert answer.total_items < 2**53


def test_a_missing_file_is_made_again_with_the_same_indices(tmp_path: Path):
    with Runtime.open(tmp_path, QUICK) as runtime:
        a = runtime.create_worker("a")
        say(a, "one", "two")
        a.emit(ThinkingDelta(text="h"))
    project(tmp_path)
    before = whole_transcript(tmp_path, "a")
    database_path(tmp_path).unlink()
    project(tmp_path)
    assert whole_transcript(tmp_path, "a") == before


def test_another_log_in_the_directory_begins_new_transcripts_with_higher_indices(tmp_path: Path, expect_log: ExpectLog):
    with Runtime.open(tmp_path, QUICK) as runtime:
        say(runtime.create_worker("a"), "old", "old")
        runtime.create_worker("gone").emit(TextDelta(text="x"))
    project(tmp_path)
    shutil.rmtree(tmp_path / "log")
    (tmp_path / "catalog.json").unlink()
    with Runtime.open(tmp_path, QUICK) as runtime:
        say(runtime.create_worker("a"), "new")
    expect_log("yoi_runtime.transcript", "of another log")
    project(tmp_path)
    items, answer = whole_transcript(tmp_path, "a")
    assert texts(items) == ["new"]
    assert (items[0].index, answer.oldest_start) == (2, 2)
    items, answer = whole_transcript(tmp_path, "gone")
    assert (items, answer.in_progress, answer.worker_seq) == ([], (), 0)


def test_a_log_that_lost_its_tail_is_folded_anew_and_no_index_comes_again(tmp_path: Path, expect_log: ExpectLog):
    """A backup was put back: the transcripts hold events that the log has no more."""
    with Runtime.open(tmp_path, QUICK) as runtime:
        say(runtime.create_worker("a"), "one")
    backup = tmp_path.parent / "backup"
    shutil.copytree(tmp_path, backup)
    with Runtime.open(tmp_path, QUICK) as runtime:
        say(runtime.create_worker("a"), "two", "three")
    project(tmp_path)
    for name in ("log", "catalog.json"):
        shutil.rmtree(tmp_path / name) if name == "log" else (tmp_path / name).unlink()
        shutil.move(backup / name, tmp_path / name)
    with Runtime.open(tmp_path, QUICK) as runtime:
        say(runtime.create_worker("a"), "other")
    expect_log("yoi_runtime.transcript", "lost events")
    project(tmp_path)
    items, _ = whole_transcript(tmp_path, "a")
    assert texts(items) == ["one", "other"]
    assert [item.index for item in items] == [3, 4]


def test_damaged_records_are_a_gap_and_the_rest_is_folded(tmp_path: Path, expect_log: ExpectLog):
    with Runtime.open(tmp_path, QUICK) as runtime:
        say(runtime.create_worker("a"), "one", "DAMAGED", "three")
    (segment,) = [path for path in (tmp_path / "log").glob("*.jsonl") if b"DAMAGED" in path.read_bytes()]
    damage(segment, lambda data: data.__setitem__(data.index(b"DAMAGED"), ord("X")))
    expect_log("yoi_runtime.transcript", "records are missing")
    project(tmp_path)
    assert texts(whole_transcript(tmp_path, "a")[0]) == ["one", 1, "three"]


def test_nothing_beyond_the_watermark_is_folded(tmp_path: Path):
    with Runtime.open(tmp_path, RuntimeOptions(segment_bytes=1 << 20)) as runtime:
        a = runtime.create_worker("a")
        runtime.wait_durable(a.emit(TextDone(text="one")))
        with closing(LogReader(runtime.log_directory, REAL_PLATFORM)) as reader, store_in(tmp_path) as store:
            signals = Signals()
            signals.stopping.set()
            signals.stop_by = float("inf")
            following = Following(tmp_path, reader, store, REAL_PLATFORM, signals)
            end = reader.end
            runtime.wait_durable(a.emit(TextDone(text="two")))
            # As long as it has not looked, what came is not there for it, though it is in the file.
            following._fold_what_there_is()
            assert store.place is not None
            assert store.place.position.seq == end.seq
            following.run()
            assert store.place.position.seq > end.seq
    assert texts(whole_transcript(tmp_path, "a")[0]) == ["one", "two"]


def test_a_worker_without_events_can_be_followed_from_its_cursor(tmp_path: Path):
    with Runtime.open(tmp_path, SMALL) as runtime:
        a, noisy = runtime.create_worker("a"), runtime.create_worker("noisy")
        project(tmp_path)
        before = page(tmp_path, "a")
        rotate_all_out(runtime, noisy)
        project(tmp_path)
        assert page(tmp_path, "a") == before
        assert (before.total_items, before.worker_seq) == (0, 0)
        say(a, "one")
    project(tmp_path)
    assert texts(whole_transcript(tmp_path, "a")[0]) == ["one"]


def test_a_worker_whose_numbers_begin_anew_goes_on_in_its_transcript(tmp_path: Path):
    """With the catalog lost and its events rotated out, nobody knows a Worker's numbers any more."""
    with Runtime.open(tmp_path, SMALL) as runtime:
        a, noisy = runtime.create_worker("a"), runtime.create_worker("noisy")
        say(a, "one", "two")
        project(tmp_path)
        rotate_all_out(runtime, noisy)
    (tmp_path / "catalog.json").unlink()
    with Runtime.open(tmp_path, SMALL) as runtime:
        say(runtime.create_worker("a"), "three")
    project(tmp_path)
    items, answer = whole_transcript(tmp_path, "a")
    assert [text for text in texts(items) if isinstance(text, str)] == ["one", "two", "three"]
    assert [item.index for item in items] == list(range(len(items)))
    assert answer.worker_seq <= 2


def test_a_worker_that_the_runtime_has_forgotten_has_no_transcript_any_more(tmp_path: Path):
    clock = ManualClock()
    platform = Platform(clock=clock)
    with Runtime.open(tmp_path, SMALL, platform) as runtime:
        for worker_id in ("gone", "stays"):
            with runtime.create_worker(worker_id) as worker:
                say(worker, "one")
        project(tmp_path)
        noisy = runtime.create_worker("noisy")
        rotate_all_out(runtime, noisy)
        again = runtime.create_worker("stays")
        for _ in range(2):
            clock.pass_seconds(40 * 86_400.0)
            rotate_all_out(runtime, noisy)
        assert "gone" not in runtime._ledger.workers
        say(again, "two")
        project(tmp_path)
        assert texts(whole_transcript(tmp_path, "gone")[0]) == ["one"]
        with store_in(tmp_path) as store, closing(LogReader(runtime.log_directory, REAL_PLATFORM)) as reader:
            Following(tmp_path, reader, store, REAL_PLATFORM, Signals())._look_around()
    assert whole_transcript(tmp_path, "gone")[0] == []
    assert texts(whole_transcript(tmp_path, "stays")[0]) == ["one", "two"]


def test_it_gives_up_when_the_log_was_replaced_or_its_file_is_not_trusted(tmp_path: Path):
    with Runtime.open(tmp_path, QUICK) as runtime:
        say(runtime.create_worker("a"), "one")
    signals = Signals()
    with store_in(tmp_path) as store, closing(LogReader(tmp_path / "log", REAL_PLATFORM)) as reader:
        following = Following(tmp_path, reader, store, REAL_PLATFORM, signals)
        signals.distrusted = True
        with pytest.raises(TranscriptDamagedError):
            following.run()
        shutil.rmtree(tmp_path / "log")
        following._look_at = 0.0
        with pytest.raises(TranscriptUnavailableError):
            following._look_around()


def test_what_the_time_of_a_stop_does_not_allow_is_left_for_the_next_start(tmp_path: Path):
    with Runtime.open(tmp_path, QUICK) as runtime:
        say(runtime.create_worker("a"), "one")
    signals = Signals()
    signals.stopping.set()
    signals.stop_by = 0.0
    with store_in(tmp_path) as store, closing(LogReader(tmp_path / "log", REAL_PLATFORM)) as reader:
        Following(tmp_path, reader, store, REAL_PLATFORM, signals).run()
    assert whole_transcript(tmp_path, "a")[0] == []
    project(tmp_path)
    assert texts(whole_transcript(tmp_path, "a")[0]) == ["one"]


def test_many_small_transactions_and_one_large_one_come_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Runtime.open(tmp_path, QUICK) as runtime:
        a = runtime.create_worker("a")
        for number in range(300):
            a.emit(TextDelta(text=f"{number} "))
            if number % 50 == 49:
                a.emit(RunEnd(result="finished"))
    saved: list[int] = []
    save = TranscriptStore.save

    def counting(store: TranscriptStore, place: object) -> None:
        saved.append(store.unsaved_bytes)
        save(store, place)  # type: ignore[arg-type]

    monkeypatch.setattr(TranscriptStore, "save", counting)
    monkeypatch.setattr("yoi_runtime.transcript.following.CHUNK_BYTES", 1000)
    monkeypatch.setattr("yoi_runtime.transcript.following._SAVE_BYTES", 1)
    with store_in(tmp_path) as store:
        follow(tmp_path, store)
    assert len(saved) > 50
    items = whole_transcript(tmp_path, "a")[0]
    assert items == fold_lines(read_all(tmp_path)).items["a"]
    assert len(items) == 12

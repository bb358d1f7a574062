from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from yoi_log.log_place import find_log
from yoi_log.repair import Repair, repair_log
from yoi_log.verification import verify_log

from tests.transcript.projecting import database_path, project, whole_transcript
from tests.yoi_log.damage import DAMAGES, segments_of
from tests.yoi_log.sample import GOLDEN, make_log
from yoi_runtime.errors import CursorError, LogFormatError, LogHeldError
from yoi_runtime.events import TextDelta, TextDone
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.reader import LogReader


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_log(tmp_path_factory.mktemp("log") / "data")


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return shutil.copytree(base, tmp_path / "copy")


def records(data: Path) -> dict[int, bytes]:
    lines = [line for path in segments_of(data) for line in path.read_bytes().split(b"\n")[1:-1]]
    return {json.loads(line)["envelope"]["seq"]: line for line in lines}


def files(data: Path) -> dict[str, bytes]:
    return {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}


def append(data: Path) -> None:
    with Runtime.open(data, RuntimeOptions(retain_bytes=None, retain_age_seconds=None)) as runtime:
        runtime.create_worker("coder").emit(TextDelta(text="after"))


def repaired(data: Path) -> tuple[Repair, Path]:
    """Repair; what every repair promises is checked here."""
    before, target = files(data), data.parent / f"{data.name}-repaired"
    repair = repair_log(find_log(data), target)
    assert files(data) == before, "the original was touched"
    assert verify_log(find_log(target)).defects == []
    return repair, target


def lost_seqs(repair: Repair) -> set[int]:
    return {seq for place in repair.lost for seq in range(place.first_seq, place.last_seq + 1)}


@pytest.mark.parametrize("name", DAMAGES)
def test_after_damage_of_every_kind_what_survives_is_as_it_was_and_the_copy_can_be_appended_to(
    base: Path, tmp_path: Path, name: str
):
    whole, figures = records(base), Counter[str]()
    for seed in range(6):
        dice = Random(f"{name}-{seed}")
        copy = shutil.copytree(base, tmp_path / str(seed))
        DAMAGES[name](copy, dice)
        if seed % 3 == 2:
            DAMAGES[dice.choice(list(DAMAGES))](copy, dice)
        repair, target = repaired(copy)
        lost, kept = lost_seqs(repair), records(target)
        assert repair.begins_after is None
        # What is not told as lost is byte for byte what it was, at its place; what is, is a filler with the same ids.
        for seq, line in kept.items():
            if seq not in lost:
                assert line == whole[seq]
                continue
            envelope, was = json.loads(line)["envelope"], json.loads(whole[seq])["envelope"]
            assert envelope["payload"] == {"event": "lost"}
            assert envelope["event_id"] == was["event_id"]
        end = max(kept)
        assert set(kept) == set(range(1, end + 1))
        assert (
            end == max(whole)
            or repair.ends_before
            or name in ("a truncated segment", "bytes taken out")
            or seed % 3 == 2
        )
        figures += Counter(lost=len(lost), kept=len(kept) - len(lost), repairs=1)
        append(target)
        assert verify_log(find_log(target)).defects == []
        assert repair.events == len(kept) - len(lost)
    assert figures["repairs"] == 6
    assert figures["kept"] > 6 * len(whole) * 0.5


def test_cursors_of_what_survives_resume_at_their_place(copy: Path):
    whole = records(copy)
    path = segments_of(copy)[1]
    content = path.read_bytes()
    path.write_bytes(content[:1000] + bytes(700) + content[1700:])
    repair, target = repaired(copy)
    assert 2 <= len(lost_seqs(repair)) <= 4
    reader = LogReader(target / "log")
    resumed = 0
    for seq, line in whole.items():
        token = json.loads(line)["envelope"]["cursor"]
        try:
            position = reader.resolve(decode_token(token))
        except CursorError:
            assert seq in lost_seqs(repair), f"the cursor of event {seq} is good no more"
            continue
        resumed += 1
        assert position.seq == seq
    reader.close()
    assert resumed >= len(whole) - len(lost_seqs(repair))


def test_a_damaged_line_keeps_its_own_length_and_owner(copy: Path):
    whole = records(copy)
    path = segments_of(copy)[1]
    content = bytearray(path.read_bytes())
    seqs = []
    for line in path.read_bytes().split(b"\n")[3:7]:
        content[content.index(line) + len(line) - 30] ^= 1
        seqs.append(json.loads(line)["envelope"]["seq"])
    path.write_bytes(content)
    repair, target = repaired(copy)
    assert lost_seqs(repair) == set(seqs)
    for seq, line in records(target).items():
        assert len(line) == len(whole[seq])
        now, was = json.loads(line)["envelope"], json.loads(whole[seq])["envelope"]
        for name in ("cursor", "event_id", "worker_id", "worker_seq"):
            assert now[name] == was[name]


def test_a_missing_segment_is_made_again_from_its_neighbours(copy: Path):
    gone = segments_of(copy)[2]
    size = gone.stat().st_size
    gone.unlink()
    repair, target = repaired(copy)
    (place,) = repair.lost
    assert place.file == gone.name
    assert "the header of segment 3" in repair.remade
    assert (target / "log" / gone.name).stat().st_size == size
    assert sum(last - first + 1 for first, last in place.workers.values()) + place.unowned == (
        place.last_seq - place.first_seq + 1
    )
    coder = [json.loads(line)["envelope"] for line in records(target).values()]
    numbers = [one["worker_seq"] for one in coder if one["worker_id"] == "coder"]
    assert numbers == list(range(1, 61))


def test_two_missing_segments_in_a_row_cost_their_events_alone(copy: Path):
    whole = records(copy)
    gone = {scan.name for scan in segments_of(copy)[2:4]}
    for name in gone:
        (copy / "log" / name).unlink()
    repair, target = repaired(copy)
    assert repair.begins_after is None
    assert {place.file for place in repair.lost} <= gone
    kept = records(target)
    assert set(kept) == set(whole)
    assert all(line == whole[seq] for seq, line in kept.items() if seq not in lost_seqs(repair))


def test_where_the_beginning_cannot_be_put_together_history_begins_after_it(tmp_path: Path):
    data = make_log(tmp_path / "data", events=200, retain_bytes=20_000)
    first = segments_of(data)[0]
    first.write_bytes(bytes(first.stat().st_size))
    (data / "catalog.json").unlink()
    repair, target = repaired(data)
    assert repair.begins_after is not None
    assert repair.begins_after.last_segment == int(first.stem)
    assert segments_of(target)[0].name == segments_of(data)[1].name
    append(target)
    assert verify_log(find_log(target)).defects == []


def test_a_torn_tail_is_left_out_and_nothing_is_lost(tmp_path: Path):
    data = shutil.copytree(GOLDEN / "torn_tail", tmp_path / "data")
    repair, target = repaired(data)
    assert repair.complete
    assert repair.torn_bytes > 0
    append(target)


def test_what_was_rotated_out_is_known_in_the_copy(tmp_path: Path):
    data = make_log(tmp_path / "data", events=200, retain_bytes=20_000)
    path = segments_of(data)[1]
    path.write_bytes(path.read_bytes()[:900])
    _, target = repaired(data)
    was, now = (json.loads((one / "catalog.json").read_bytes()) for one in (data, target))
    assert now["rotated_out"] == was["rotated_out"]
    assert now["retention"] == was["retention"]
    assert now["workers"] == was["workers"]


def test_the_files_of_another_log_are_left_out(copy: Path, tmp_path: Path):
    other = make_log(tmp_path / "other")
    shutil.copyfile(segments_of(other)[1], segments_of(copy)[1])
    repair, _ = repaired(copy)
    assert [sentence for sentence in repair.left_out if "another log" in sentence]
    assert len(repair.lost) == 1


def test_transcripts_come_along_with_what_the_log_has_lost_and_a_runtime_goes_on_with_them(copy: Path):
    project(copy)
    whole = whole_transcript(copy, "helper")[0]
    path = segments_of(copy)[1]
    path.write_bytes(path.read_bytes().replace(b"whole", b"wh?le", 1))
    repair, target = repaired(copy)
    assert repair.lost
    assert repair.transcripts == f"copied, {len(whole)} items of 2 Workers"
    assert whole_transcript(target, "helper")[0] == whole
    with Runtime.open(target) as runtime:
        runtime.create_worker("helper").emit(TextDone(text="after"))
    project(target)
    assert whole_transcript(target, "helper")[0][:-1] == whole
    assert verify_log(find_log(target)).defects == []


def test_transcripts_that_are_not_sound_or_ahead_of_the_copy_are_left_out_and_that_is_said(copy: Path, tmp_path: Path):
    project(copy)
    (copy / "log" / "COMMITTED").unlink()
    segments_of(copy)[-1].unlink()
    repair, target = repaired(copy)
    assert repair.transcripts is not None
    assert repair.transcripts.startswith("left out, a Runtime makes them anew from the copy: it is folded up to seq ")
    assert not (target / "transcript").exists()
    path = database_path(copy)
    path.write_bytes(path.read_bytes()[:5000])
    repair = repair_log(find_log(copy), tmp_path / "third")
    assert repair.transcripts is not None
    assert repair.transcripts.startswith("left out")
    assert not (tmp_path / "third" / "transcript").exists()


def test_a_log_that_a_writer_holds_and_a_target_that_exists_are_refused(copy: Path, tmp_path: Path):
    with Runtime.open(copy), pytest.raises(LogHeldError):
        repair_log(find_log(copy), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(OSError, match="is there already"):
        repair_log(find_log(copy), copy)


def test_files_without_a_record_are_no_log(copy: Path, tmp_path: Path):
    for path in segments_of(copy):
        path.write_bytes(b"nothing\n")
    (copy / "log" / "COMMITTED").unlink()
    with pytest.raises(LogFormatError, match="nothing in its files"):
        repair_log(find_log(copy), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]

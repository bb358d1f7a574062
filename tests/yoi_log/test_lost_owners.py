from __future__ import annotations

from pathlib import Path

from yoi_log.lost_owners import Owned, own_lost_events
from yoi_log.salvage import Hole, Placed, PlannedSegment
from yoi_log.segment_scan import Run, WorkerPart

TIME = "2026-11-22T17:37:23.123456Z"


def run(first_seq: int, last_seq: int, **workers: tuple[int, int]) -> Placed:
    parts = {name: WorkerPart(b"", first, TIME, 1, last, last_seq, TIME) for name, (first, last) in workers.items()}
    parts.setdefault("", WorkerPart(b"", 0, TIME, 1, 0, last_seq, TIME))
    return Placed(Run(0, "0" * 16, 1, 1, 0, 1, first_seq, last_seq, parts), Path("x"))


def hole(first_seq: int, last_seq: int, lines: tuple[Path, list[bytes]] | None = None) -> Hole:
    if lines is None:
        return Hole(1, 0, 1000, first_seq, last_seq)
    path, content = lines
    path.write_bytes(b"".join(line + b"\n" for line in content))
    return Hole(1, 0, path.stat().st_size, first_seq, last_seq, (path, 0))


def owners(
    *pieces: Placed | Hole, before: dict[str, int] | None = None, newest: dict[str, tuple[int, int]] | None = None
) -> list[Owned]:
    return own_lost_events([PlannedSegment(1, 1, 1, b"", False, list(pieces))], before, newest or {})


def names(owned: Owned) -> list[tuple[str | None, int]]:
    return [(event.worker_id, event.worker_seq) for event in owned.events]


def test_a_gap_in_a_worker_s_numbers_says_how_many_were_its():
    (owned,) = owners(run(1, 5, a=(1, 3), b=(1, 2)), hole(6, 9), run(10, 12, a=(5, 6), b=(5, 5)), before={})
    assert sorted(names(owned), key=str) == [("a", 4), ("b", 3), ("b", 4), (None, 0)]
    assert [event.seq for event in owned.events] == [6, 7, 8, 9]
    assert owned.unowned == 0


def test_what_is_missing_over_two_holes_is_shared_out_so_that_all_have_a_place():
    first, second = owners(
        run(1, 5, a=(1, 3), b=(1, 2)),
        hole(6, 7),
        run(8, 9, b=(4, 5)),
        hole(10, 11),
        run(12, 13, a=(6, 6), b=(7, 7)),
        before={},
    )
    assert sorted(filter(lambda name: name[0], names(first)), key=str) == [("a", 4), ("b", 3)]
    assert sorted(filter(lambda name: name[0], names(second)), key=str) == [("a", 5), ("b", 6)]


def test_lines_that_can_still_be_read_say_the_order(tmp_path: Path):
    def line(name: str, worker_seq: int) -> bytes:
        return f'{{"worker_id":"{name}","worker_seq":{worker_seq},"time":"'.encode()

    lines = [line("b", 3), b"nothing", line("a", 4), line("c", 1)]
    (owned,) = owners(
        run(1, 5, a=(1, 3), b=(1, 2)), hole(6, 9, (tmp_path / "x", lines)), run(10, 12, a=(5, 6), b=(4, 4)), before={}
    )
    assert names(owned) == [("b", 3), (None, 0), ("a", 4), ("c", 1)]
    assert owned.sizes == [len(one) + 1 for one in lines]


def test_a_line_that_the_numbers_belie_is_not_believed(tmp_path: Path):
    lines = [b'{"worker_id":"a","worker_seq":99,"time":"']
    (owned,) = owners(run(1, 5, a=(1, 3)), hole(6, 6, (tmp_path / "x", lines)), run(7, 8, a=(4, 4)), before={})
    assert names(owned) == [(None, 0)]


def test_the_catalog_knows_the_newest_event_of_a_worker():
    (owned,) = owners(run(1, 5, a=(1, 3)), hole(6, 8), before={}, newest={"a": (7, 4), "b": (8, 1)})
    assert names(owned) == [(None, 0), ("a", 4), ("b", 1)]


def test_more_than_there_is_room_for_is_told():
    (owned,) = owners(run(1, 5, a=(1, 3)), hole(6, 6), run(7, 8, a=(6, 6)), before={})
    assert owned.unowned == 1


def test_where_the_beginning_is_not_known_nobody_is_missed():
    (owned,) = owners(hole(101, 102), run(103, 105, a=(50, 52)), before=None)
    assert names(owned) == [(None, 0), (None, 0)]
    assert [event.time for event in owned.events] == [TIME, TIME]

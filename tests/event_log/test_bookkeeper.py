"""yoi_runtime.event_log.bookkeeper: who keeps the books hears of everything, in the log's order, one call at a time."""

from __future__ import annotations

import inspect
import os
import threading
from pathlib import Path

from tests.event_log.memory_books import MemoryBooks
from tests.event_log.sample_event_log import open_event_log
from yoi_runtime.catalog.catalog import Catalog
from yoi_runtime.event_log.bookkeeper import Bookkeeper
from yoi_runtime.events import TextDelta
from yoi_runtime.segment_log.retention import RetentionPolicy

CALLS = [name for name in vars(Bookkeeper) if not name.startswith("_")]


def test_the_catalog_is_a_bookkeeper():
    kind: type[Bookkeeper] = Catalog
    for name in CALLS:
        assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(Bookkeeper, name)), name


def test_every_append_is_told_and_every_roll_between_the_appends(tmp_path: Path):
    books = MemoryBooks()
    log = open_event_log(tmp_path / "log", books)
    for number in range(40):
        log.append(TextDelta(text="x" * 400), f"w{number % 3}")
    log.close()
    assert [seq for seq, _ in books.of("appended")] == list(range(1, 41))
    rolls = books.of("sealed")
    assert len(rolls) > 3
    for segment, first_seq, last_seq, active in rolls:
        assert active == segment + 1
        before = books.calls[: books.calls.index(("sealed", (segment, first_seq, last_seq, active)))]
        assert [numbers[0] for call, numbers in before if call == "appended"] == list(range(1, last_seq + 1))
    assert [first_seq for _, first_seq, _, _ in rolls] == [1, *[last + 1 for _, _, last, _ in rolls[:-1]]]
    assert books.calls[-1] == ("save", (40,))


def test_what_goes_is_told_before_and_after(tmp_path: Path):
    books = MemoryBooks()
    there: list[tuple[str, list[str]]] = []
    log_directory = tmp_path / "log"
    books.before = lambda call: there.append((call, sorted(path.name for path in log_directory.glob("*.jsonl"))))
    log = open_event_log(log_directory, books, retention=RetentionPolicy(None, None, 3))
    for _ in range(60):
        log.append(TextDelta(text="x" * 400), "w")
    log.close()
    assert books.of("rotating_out") == books.of("rotated_out")
    gone = [number for numbers in books.of("rotating_out") for number in numbers]
    assert gone == list(range(1, len(gone) + 1))
    assert gone
    before = [names for call, names in there if call == "rotating_out"]
    after = [names for call, names in there if call == "rotated_out"]
    for (number,), names_before, names_after in zip(books.of("rotating_out"), before, after, strict=True):
        assert f"{number:020d}.jsonl" in names_before
        assert f"{number:020d}.jsonl" not in names_after


def test_two_calls_never_overlap(tmp_path: Path):
    inside: list[int] = []
    overlaps: list[str] = []

    def enter(call: str) -> None:
        inside.append(threading.get_ident())
        os.sched_yield()
        if len(set(inside)) > 1:
            overlaps.append(call)
        inside.remove(threading.get_ident())

    log = open_event_log(tmp_path / "log", MemoryBooks(before=enter), retention=RetentionPolicy(None, None, 2))

    def emit() -> None:
        for _ in range(100):
            log.append(TextDelta(text="x" * 300), "w")

    threads = [threading.Thread(target=emit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert overlaps == []

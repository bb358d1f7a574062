"""A copy of a log that is being written, made as docs/log-format.md says, is that log up to the copied watermark."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from tests.event_log.written_events import check_numbers, envelopes_in
from tests.segment_log.sample_log import read_all
from tests.support.deadline import wait_until
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.reader import LogReader

COPIES = 12
# Rolls and retention go on all the time.
OPTIONS = RuntimeOptions(segment_bytes=16 << 10, retain_bytes=200 << 10)


def copy_live(source: Path, target: Path) -> bool:
    """Copy by the text; False when a segment went away meanwhile."""
    (target / "log").mkdir(parents=True)
    shutil.copy(source / "log" / "COMMITTED", target / "log")
    shutil.copy(source / "catalog.json", target)
    names = sorted(path.name for path in (source / "log").iterdir())
    try:
        for name in names:
            if name.endswith((".jsonl", ".index.json")):
                shutil.copy(source / "log" / name, target / "log")
    except FileNotFoundError:
        return False
    return True


def test_a_copy_of_a_log_that_is_being_written_opens_and_has_all_that_was_shown(tmp_path: Path):
    source = tmp_path / "data"
    runtime = Runtime.open(source, OPTIONS)
    workers = [runtime.create_worker(name) for name in ("a", "b")]
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            cursor = workers[number % 2].emit(TextDelta(text=f"{number} " + "x" * (number * 37 % 400)))
            number += 1
            if number % 20 == 0:
                runtime.wait_durable(cursor)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: len(list((source / "log").glob("*.jsonl"))) > 5)
        copied, again = 0, 0
        while copied < COPIES:
            target = tmp_path / f"copy-{copied}-{again}"
            if not copy_live(source, target):
                again += 1
                continue
            reader = LogReader(target / "log")
            shown = reader.end.seq
            read = read_all(reader)
            assert read.lost == []
            reader.close()
            with Runtime.open(target, OPTIONS) as second:
                second.create_worker("a").emit(TextDelta(text="in the copy"))
            reader = LogReader(target / "log")
            read = read_all(reader)
            assert read.lost == []
            assert read.seqs[-1] > shown
            reader.close()
            # Also the Workers' numbers go on where the copied log ends.
            check_numbers(envelopes_in(target / "log"), first_seq=None)
            copied += 1
    finally:
        stop.set()
        writer.join()
        runtime.close()

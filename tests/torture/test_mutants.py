"""Each suite finds what it is there to find: the engine is broken in one place, and the suite has to notice.

What is broken stands in the names. A suite that only exercised too little has noticed nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import Phase

from tests.faults.failing_files import FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.torture import aliasing, corruption, errors, fuzz, kill, model, power, processes, rig
from tests.torture.report import Budget, Suite, VacuousError
from tests.torture.suites import ENGINE_SUITES
from yoi_runtime.catalog.catalog import Catalog
from yoi_runtime.errors import CursorExpiredError, LogBrokenError
from yoi_runtime.segment_log import record, recovery, segment, watermark
from yoi_runtime.segment_log.commit import Commit
from yoi_runtime.segment_log.cursor import Cursor, CursorToken
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.retention import SteadyClock
from yoi_runtime.segment_log.writer import LogWriter

Break = Callable[[pytest.MonkeyPatch], None]


def _nothing(*_: object) -> None:
    """Do not do it."""


def _put(target: Any, name: str, stand_in: object = _nothing) -> Break:
    return lambda patch: patch.setattr(target, name, stand_in)


def _one_nonce_for_all(patch: pytest.MonkeyPatch) -> None:
    def platform(files: MemoryFiles, life: object) -> Platform:
        made = rig.platform_with(files, life)
        return Platform(made.files, made.clock, Random(1).randbytes, made.boot_id, made.pid)

    patch.setattr(aliasing, "platform_with", platform)


def _any_nonce_will_do(patch: pytest.MonkeyPatch) -> None:
    resolve = LogReader._resolve_in_segment

    def lax(reader: LogReader, cursor: Cursor, token: CursorToken) -> Position:
        nonce = reader._segments.header(cursor.segment).nonce if cursor.segment in reader.segment_numbers() else 0
        return resolve(reader, cursor._replace(nonce_prefix=nonce >> 32), token)

    patch.setattr(LogReader, "_resolve_in_segment", lax)


def _the_floor_will_do(reader: LogReader, floor: Position, cursor: Cursor, token: CursorToken) -> Position:
    if cursor.seq < floor.seq:
        raise CursorExpiredError(token, reader.token_at(floor))
    return floor


def _the_last_record_is_dropped(patch: pytest.MonkeyPatch) -> None:
    def shorter(data: bytes, form: record.RecordFormat, seq: int) -> record.Scan:
        scan = record.scan_records(data, form, seq)
        return scan._replace(length=data.rfind(b"\n", 0, scan.length - 1) + 1, records=scan.records - 1)

    patch.setattr(
        recovery, "scan_records", lambda *given: shorter(*given) if b"\n" in given[0] else record.Scan(0, 0, None)
    )
    patch.setattr(recovery, "next_whole_record", lambda *_: None)


def _who_comes_back_begins_at_the_end(patch: pytest.MonkeyPatch) -> None:
    # In the processes that follow.
    program = """
import runpy
from yoi_runtime.segment_log.reader import LogReader
LogReader.resolve = lambda reader, cursor: reader.end
runpy.run_module("tests.torture.actors", run_name="__main__", alter_sys=True)
"""
    patch.setattr(processes, "_PROGRAM", ("-c", program))


def _a_short_write_will_do(patch: pytest.MonkeyPatch) -> None:
    pwrite = FailingFiles.pwrite

    def whole(files: FailingFiles, fd: int, data: bytes, offset: int) -> int:
        pwrite(files, fd, data, offset)
        return len(data)

    # Whoever writes is told that all of it was written, which is to not look.
    patch.setattr(FailingFiles, "pwrite", whole)


def _a_failed_sync_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Commit, "break_off", lambda commit, reason: LogBrokenError(Path("x"), 0, 0, reason))


def _numbers_are_believed(patch: pytest.MonkeyPatch) -> None:
    for module in (segment, watermark):
        patch.setattr(module, "whole_number", lambda value, bits=56: int(value))


MUTANTS: dict[str, tuple[Suite, Break]] = {
    "directories are not synced": (power.run, _put(MemoryFiles, "sync_directory")),
    "files are not synced": (power.run, _put(MemoryFiles, "fdatasync")),
    "what was recovered is not copied to fresh pages": (power.run, _put(recovery, "_rewrite")),
    "the books are saved before the log is synced": (power.run, _put(LogWriter, "sync")),
    "segments are deleted that were not counted as gone": (kill.run, _put(Catalog, "rotating_out")),
    "a recovery drops the last whole record": (kill.run, _the_last_record_is_dropped),
    "a short write is taken for a whole one": (errors.run, _a_short_write_will_do),
    "a failed sync is tried again": (errors.run, _a_failed_sync_is_tried_again),
    "checksums are not looked at": (corruption.run, _put(record, "check_crc", lambda line: True)),
    "a header of any segment will do": (corruption.run, _put(segment, "segment_number", lambda name: 1)),
    "the nonce of a cursor is not looked at": (aliasing.run, _any_nonce_will_do),
    "nonces come again": (aliasing.run, _one_nonce_for_all),
    "the boundary of a record is not looked at": (fuzz.run, _put(LogReader, "_is_boundary", lambda *_: True)),
    "numbers in files are believed": (fuzz.run, _numbers_are_believed),
    "who comes back with a cursor begins at the end": (processes.run, _who_comes_back_begins_at_the_end),
    "a cursor below the floor is not looked at": (model.run, _put(LogReader, "_resolve_below", _the_floor_will_do)),
    "worker_seq begins anew at each opening": (model.run, _put(Catalog, "last_worker_seq", lambda *_: 0)),
    "age is told by the wall clock": (model.run, _put(SteadyClock, "now_us", lambda clock: clock._clock.now_us())),
}


def test_every_suite_has_something_to_find():
    assert {suite for suite, _ in MUTANTS.values()} == set(ENGINE_SUITES.values())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_engine_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch):
    suite, break_it = MUTANTS[name]
    # The engine warns of what is done to it here.
    monkeypatch.setattr(logging.getLogger("yoi_runtime"), "propagate", False)
    monkeypatch.setattr(logging.getLogger("yoi_runtime"), "handlers", [logging.NullHandler()])
    monkeypatch.setattr(model, "_PHASES", (Phase.generate,))
    break_it(monkeypatch)
    with pytest.raises(Exception) as caught:
        suite(1, Budget("short"))
    assert not isinstance(caught.value, VacuousError), "it got nowhere, and noticed nothing"

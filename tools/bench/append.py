"""append: how fast one thread hands typed events to the log, with Redis and SQLite beside it."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target, ratio
from tools.bench.peers import PeerMissingError, package_python, redis_program, redis_server, redis_version
from tools.bench.setting import Setting

__all__ = ["run"]

TEXT_BYTES = 100
PER_PIPELINE = 1_000
METHOD = (
    "One thread builds a `TextDelta` of 100 bytes and calls `worker.emit` with it, over and over; durability `synced`, nobody waits; "
    "the clock stops when the last event survives a power cut. "
    f"By the thousand: the same events, built and handed to `worker.emit_many` in lists of {PER_PIPELINE:,}, as Redis's are to a pipeline. "
    f"Redis: redis-py sends `XADD` of the text and two names in pipelines of {PER_PIPELINE:,} over loopback, `appendonly yes`, `appendfsync everysec`, "
    "and the clock stops at the last answer, which promises no disk. "
    "SQLite: one `INSERT` of the text and its Worker per transaction, `journal_mode=WAL`, `synchronous=FULL`. "
    "Every measurement is a fresh process and a fresh file; they take turns."
)


def run(setting: Setting) -> Result:
    """Measure ours and the peers' in turn."""
    events, rows = (2_000, 20) if setting.quick else (200_000, 2_000)
    notes = [f"SQLite {sqlite3.sqlite_version}"]
    redis = python = None
    try:
        python, redis = package_python(install=setting.install), redis_program(install=setting.install)
        notes.append(f"Redis {redis_version(redis)}")
    except PeerMissingError as error:
        notes.append(f"no figures of Redis: {error}")
    ours: list[float] = []
    many: list[float] = []
    theirs: dict[bool, list[float]] = {False: [], True: []}
    lite: list[float] = []
    directory = str(setting.shelf.directory)
    for number in range(setting.rounds):
        setting.say(f"round {number + 1} of {setting.rounds}")
        ours.append(measure("append", "emit_events", directory=directory, events=events))
        many.append(measure("append", "emit_many_events", directory=directory, events=events))
        if python is not None and redis is not None:
            for hiredis, rates in theirs.items():
                with redis_server(redis, setting.shelf.directory) as port:
                    rates.append(
                        measure("redis_peer", "add_entries", python=python, port=port, events=events, hiredis=hiredis)
                    )
        lite.append(measure("append", "insert_rows", directory=directory, rows=rows))
    figures = [
        Figure("yoi_runtime, typed append, synced", "/s", tuple(ours), Target(at_least=100_000)),
        Figure("yoi_runtime, typed append by the thousand, synced", "/s", tuple(many)),
        Figure("SQLite, one transaction per row", "/s", tuple(lite)),
        ratio("yoi_runtime to SQLite", ours, lite, Target(at_least=20)),
    ]
    if theirs[False]:
        figures += [
            Figure("Redis, pipelined XADD, everysec", "/s", tuple(theirs[False])),
            ratio("yoi_runtime to Redis", ours, theirs[False], Target(at_least=2)),
            ratio("yoi_runtime by the thousand to Redis", many, theirs[False]),
            Figure("Redis, the same with hiredis", "/s", tuple(theirs[True])),
            ratio("yoi_runtime to Redis with hiredis", ours, theirs[True]),
            ratio("yoi_runtime by the thousand to Redis with hiredis", many, theirs[True]),
        ]
    return Result("append", METHOD, tuple(figures), tuple(notes))


# What the measuring processes do.


def emit_events(directory: str, events: int) -> float:
    """Return typed appends per second."""
    from yoi_runtime import Runtime
    from yoi_runtime.events import TextDelta

    text = "x" * TEXT_BYTES
    with tempfile.TemporaryDirectory(prefix="append-", dir=directory) as data_dir, Runtime.open(data_dir) as runtime:
        worker = runtime.create_worker("coder")
        cursor = worker.emit(TextDelta(text=text))
        runtime.wait_durable(cursor)
        start = time.perf_counter()
        for _ in range(events):
            cursor = worker.emit(TextDelta(text=text))
        runtime.wait_durable(cursor)
        return events / (time.perf_counter() - start)


def emit_many_events(directory: str, events: int) -> float:
    """Return typed appends per second, by the thousand."""
    from yoi_runtime import Runtime
    from yoi_runtime.events import TextDelta

    text = "x" * TEXT_BYTES
    with tempfile.TemporaryDirectory(prefix="append-", dir=directory) as data_dir, Runtime.open(data_dir) as runtime:
        worker = runtime.create_worker("coder")
        cursors = [worker.emit(TextDelta(text=text))]
        runtime.wait_durable(cursors[-1])
        start = time.perf_counter()
        for first in range(0, events, PER_PIPELINE):
            cursors = worker.emit_many([TextDelta(text=text) for _ in range(min(PER_PIPELINE, events - first))])
        runtime.wait_durable(cursors[-1])
        return events / (time.perf_counter() - start)


def insert_rows(directory: str, rows: int) -> float:
    """Return rows per second, each in a transaction of its own."""
    text = "x" * TEXT_BYTES
    with tempfile.TemporaryDirectory(prefix="sqlite-", dir=directory) as data_dir:
        # isolation_level=None: every statement is a transaction.
        database = sqlite3.connect(Path(data_dir) / "events.db", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, worker_id TEXT, name TEXT, text TEXT)")
        start = time.perf_counter()
        for _ in range(rows):
            database.execute(
                "INSERT INTO event (worker_id, name, text) VALUES (?, ?, ?)", ("coder", "text_delta", text)
            )
        took = time.perf_counter() - start
        database.close()
        return rows / took

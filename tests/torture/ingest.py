"""Many programs bring their Workers through one Runtime's socket, and everything is killed: they, and the Runtime.

Every acknowledged line is in the log exactly once, where its cursor says, and in order of its Worker: of ``emit``, whose
exit code 0 acknowledges all, and of peers that write down each answer and repeat with keys what they are not sure of.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.event_log.written_events import by_worker, check_numbers, envelopes_in
from tests.support.deadline import wait_until
from tests.torture.report import Budget, Goal, Report
from yoi_runtime.events import Envelope, TextDone, WorkerEnded

__all__ = ["run"]

_ROOT = Path(__file__).absolute().parents[2]
_ACTORS = Path(__file__).with_name("ingest_actors.py")
_DEADLINE_SECONDS = 300.0
_GOAL = Goal(short=4_000, small=40_000, large=200_000, per_second=100)
# What a peer repeats although it knows better, at most.
_MOST_REPEATED = 400


class _Round(NamedTuple):
    """How many programs at once, how many lines each, and how often everything is killed."""

    emits: int
    peers: int
    lines: int
    runtime_kills: int


_ROUNDS = {
    "short": _Round(emits=8, peers=2, lines=500, runtime_kills=2),
    "small": _Round(emits=12, peers=8, lines=2_000, runtime_kills=4),
    "large": _Round(emits=50, peers=10, lines=4_000, runtime_kills=10),
}


def _lines_of(count: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(count))


class _Emit:
    """One ``yoi-runtime emit``, fed by a thread in pieces that end anywhere; a victim is killed in the middle of a line."""

    def __init__(self, data_dir: Path, worker_id: str, lines: int, is_victim: bool, go: threading.Event) -> None:
        self.worker_id = worker_id
        self.lines = lines
        self.is_victim = is_victim
        self._go = go
        self.errors = data_dir.with_name(f"{worker_id}.err")
        command = [sys.executable, "-m", "yoi_runtime", "emit", "--worker", worker_id, "--data-dir", str(data_dir)]
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*command, "--adapter", "lines", "--reconnect", "off"], cwd=_ROOT, stdin=subprocess.PIPE, stderr=errors
            )
        self.feeding = threading.Thread(target=self._feed, name=f"feeds {worker_id}")
        self.feeding.start()

    def _feed(self) -> None:
        stdin, data = self.process.stdin, memoryview(_lines_of(self.lines))
        assert stdin is not None
        self._go.wait(_DEADLINE_SECONDS)
        try:
            for begin in range(0, len(data) - 2 if self.is_victim else len(data), 1_000):
                # A victim gets half of its last line, and no end.
                end = min(begin + 1_000, len(data) - 2) if self.is_victim else begin + 1_000
                stdin.write(data[begin:end])
                stdin.flush()
            if not self.is_victim:
                stdin.close()
        except BrokenPipeError:
            assert self.is_victim

    def clean_up(self) -> None:
        self.process.kill()
        self.process.wait()

    def kill(self) -> None:
        self.clean_up()
        self.feeding.join()
        if self.process.stdin is not None:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                return


class _Peer:
    """One peer with a journal; a dead one is followed by another, which repeats some of what that one had said."""

    def __init__(self, data_dir: Path, worker_id: str, lines: int, journal: Path, rng: Random) -> None:
        self.worker_id = worker_id
        self.lines = lines
        self._data_dir = data_dir
        self._journal = journal
        self._rng = rng
        self.process = self._start(0)

    def _start(self, begin: int) -> subprocess.Popen[bytes]:
        arguments = [str(self._data_dir), self.worker_id, str(self.lines), str(self._journal), str(begin)]
        return subprocess.Popen([sys.executable, "-I", "-S", str(_ACTORS), "peer", *arguments])

    def clean_up(self) -> None:
        self.process.kill()
        self.process.wait()

    def notes(self) -> list[dict[str, int | str | bool]]:
        if not self._journal.exists():
            return []
        # Of a peer that was killed in the middle of a note nobody knows whether it was one.
        return [json.loads(line) for line in self._journal.read_bytes().split(b"\n")[:-1]]

    def kill(self) -> bool:
        """Kill it and start the next one; False when it had ended."""
        if self.process.poll() is not None:
            return False
        self.process.kill()
        self.process.wait()
        self.restart()
        return True

    def restart(self) -> None:
        done = max((int(note["n"]) + 1 for note in self.notes()), default=0)
        self.process = self._start(max(0, done - 1 - self._rng.randrange(_MOST_REPEATED)))


@contextmanager
def _runtime(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(_ACTORS), "runtime", str(data_dir)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def _started(data_dir: Path) -> int:
    return sum(path.read_bytes().count(b'"event":"worker_started"') for path in (data_dir / "log").glob("*.jsonl"))


def _written(data_dir: Path) -> int:
    return sum(path.stat().st_size for path in (data_dir / "log").glob("*.jsonl"))


def _wait_until_written(data_dir: Path, size_bytes: int) -> None:
    wait_until(lambda: _written(data_dir) >= size_bytes, _DEADLINE_SECONDS)


def _play(report: Report, rng: Random, size: _Round, directory: Path) -> None:
    data_dir = directory / "data"
    with ExitStack() as stack:
        runtime = stack.enter_context(_runtime(data_dir))
        victims = set(rng.sample(range(size.emits), max(1, size.emits // 5)))
        go = threading.Event()
        stack.callback(go.set)
        emits = [_Emit(data_dir, f"emit-{number}", size.lines, number in victims, go) for number in range(size.emits)]
        # Before the first kill: who begins without a Runtime ends, and says so.
        wait_until(lambda: _started(data_dir) == size.emits, _DEADLINE_SECONDS)
        go.set()
        peers = [
            _Peer(data_dir, f"peer-{number}", size.lines, directory / f"journal-{number}", rng)
            for number in range(size.peers)
        ]
        for clean_up in (*(emit.clean_up for emit in emits), *(peer.clean_up for peer in peers)):
            stack.callback(clean_up)
        # Of what comes for sure, whoever is killed: a record takes more than 300 bytes.
        sure = (size.emits - len(victims) + size.peers) * size.lines * 300
        moments = sorted(rng.randrange(1, sure * 9 // 10) for _ in range(size.runtime_kills))
        for moment in moments:
            _wait_until_written(data_dir, moment)
            for peer in rng.sample(peers, 1 + len(peers) // 3):
                report.count("peers killed", peer.kill())
            if victims and rng.random() < 0.7:
                emits[victims.pop()].kill()
                report.count("emits killed in the middle of a line")
            runtime.kill()
            runtime.wait()
            report.count("Runtimes killed")
            runtime = stack.enter_context(_runtime(data_dir))
        for emit in emits:
            if emit.is_victim and emit.process.poll() is None:
                emit.kill()
                report.count("emits killed in the middle of a line")
            elif not emit.is_victim:
                assert emit.process.wait(_DEADLINE_SECONDS) == 0, f"{emit.worker_id}: {emit.errors.read_text()}"
                emit.feeding.join()
        for peer in peers:
            assert peer.process.wait(_DEADLINE_SECONDS) == 0, f"{peer.worker_id} failed"
            # And once more, though nothing happened to it.
            peer.restart()
        for peer in peers:
            assert peer.process.wait(_DEADLINE_SECONDS) == 0, f"{peer.worker_id} failed"
        assert runtime.stdin is not None
        runtime.stdin.close()
        assert runtime.wait(_DEADLINE_SECONDS) == 0
    _judge(report, emits, peers, data_dir)


def _judge(report: Report, emits: list[_Emit], peers: list[_Peer], data_dir: Path) -> None:
    envelopes = envelopes_in(data_dir / "log")
    check_numbers(envelopes)
    found = by_worker(envelopes)
    by_cursor = {envelope.cursor: envelope for envelope in envelopes}
    ended = {e.payload.worker_id: e.payload.outcome for e in envelopes if isinstance(e.payload, WorkerEnded)}
    for emit in emits:
        texts = _texts(found.get(emit.worker_id, []))
        report.count("lines", len(texts))
        whole = [str(number) for number in range(emit.lines)]
        if emit.is_victim:
            assert texts == whole[: len(texts)], f"{emit.worker_id}: not the beginning of what it was sent"
            assert ended.get(emit.worker_id) in (None, "crashed", "lost"), emit.worker_id
        else:
            assert texts == whole, f"{emit.worker_id}: not what it acknowledged"
            assert ended[emit.worker_id] == "completed"
    for peer in peers:
        texts = _texts(found[peer.worker_id])
        report.count("lines", len(texts))
        assert texts == [str(number) for number in range(peer.lines)], f"{peer.worker_id}: lines are missing or doubled"
        notes = peer.notes()
        for note in notes:
            envelope = by_cursor[str(note["cursor"])]
            assert (envelope.worker_id, envelope.payload) == (peer.worker_id, TextDone(text=str(note["n"])))
        report.count("acknowledgements looked up", len(notes))
        report.count("lines that were repeated and counted once", sum(bool(note["repeated"]) for note in notes))


def _texts(envelopes: list[Envelope]) -> list[str]:
    return [envelope.payload.text for envelope in envelopes if isinstance(envelope.payload, TextDone)]


def run(seed: int, budget: Budget) -> Report:
    """Rounds with a directory each, until so many lines are in the logs."""
    report = Report("ingest", seed, budget)
    size = _ROUNDS[budget.size or "small"]
    for number in report.until("lines", _GOAL):
        rng = Random(f"ingest-{seed}-{number}")
        with (
            tempfile.TemporaryDirectory(prefix="yoi-ingest-", dir=os.environ.get("TMPDIR")) as name,
            report.case(f"round {number}"),
        ):
            _play(report, rng, size, Path(name))
    report.require("Runtimes killed", 1)
    if not budget.is_short:
        # In the short size they may be too quick to be killed.
        report.require("peers killed", 1)
    report.require("emits killed in the middle of a line", 1)
    report.require("acknowledgements looked up", size.peers * size.lines)
    report.require("lines that were repeated and counted once", 1)
    return report

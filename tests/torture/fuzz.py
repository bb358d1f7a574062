"""Random and mutated bytes wherever the engine reads: a typed error or a typed result, in bounded time and memory.

Cursor tokens, event ids, COMMITTED, segments, catalog and indexes. Bytes that fail their checksum are the easy half;
the other half is sealed again after the mutation, so that what is behind the checksum is reached: numbers that are
texts, negative, huge or infinite, members missing or of the wrong kind, nested without end. Whatever a file holds, the
reader answers, and a writer opens the log or says why it does not.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any
from zlib import crc32

from tests.faults.memory_files import MemoryFiles
from tests.torture.report import Budget, Goal, Report
from tests.torture.rig import DATA, LOG, Rig, platform_with
from tests.torture.witness import Witness, copy_of, names_in, segment_files
from yoi_runtime.errors import CursorError, LogError, RecordCorruptError, YoiError
from yoi_runtime.segment_log.cursor import Cursor, decode_token, encode_token
from yoi_runtime.segment_log.reader import LogReader

__all__ = ["run"]

_GOAL = Goal(short=600, small=10_000, large=1_000_000, per_second=60)

# Of the processor's time, for one input; generous, for a machine that does other things too.
_MOST_SECONDS = 0.5
_MOST_BYTES = 16 << 20
# tracemalloc makes everything several times slower: it looks at one input in so many.
_MEASURE_EVERY = 25


def _mutate(data: bytes, rng: Random) -> bytes:
    """Return ``data`` with a few bytes changed, taken out, put in or doubled."""
    new = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(new) + 1)
        length = rng.choice((1, 2, 8, 100))
        match rng.randrange(5):
            case 0 if at < len(new):
                new[at] ^= 1 << rng.randrange(8)
            case 1:
                del new[at : at + length]
            case 2:
                new[at:at] = rng.randbytes(length)
            case 3:
                new[at:at] = new[max(0, at - length) : at]
            case _:
                new[at : at + length] = rng.choice((b"\n", b"\0" * length, b'"', b"{", b"}", b"9" * length, b"\xff"))
    return bytes(new)


def _hostile_value(rng: Random) -> object:
    nested: object = []
    for _ in range(rng.choice((3, 300))):
        nested = [nested]
    return rng.choice(
        (
            None, True, False, 0, -1, 1, 2**31, 2**40, 2**63, 2**64, 10**30, -(10**30), 0.5, 1e300, float("inf"),
            float("nan"), "", "x", "\0", "\ud800", "-1", "0x10", "99999999999999999999", "ffffffffffffffff", "f" * 17,
            "z" * 16, "é" * 8, "9" * 5000, [], [1], {}, {"a": 1}, nested,
        )
    )  # fmt: skip


def _twist(tree: object, rng: Random) -> None:
    """Change one thing somewhere in a JSON tree."""
    holders: list[dict[str, object] | list[object]] = []
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            holders.append(node)
            pending += node.values()
        elif isinstance(node, list):
            holders.append(node)
            pending += node
    holder = rng.choice([holder for holder in holders if holder])
    if isinstance(holder, dict):
        key = rng.choice(list(holder))
        if rng.random() < 0.15:
            del holder[key]
        else:
            holder[key] = _hostile_value(rng)
    else:
        index = rng.randrange(len(holder))
        if rng.random() < 0.15:
            del holder[index]
        else:
            holder[index] = _hostile_value(rng)


def _sealed(line: bytes, rng: Random) -> bytes:
    """Return a sealed JSON line twisted and sealed again: its checksum is right, what it says is not."""
    head = line.rstrip(b" \n\0").rpartition(b',"crc":')[0] + b"}"
    tree = json.loads(head)
    for _ in range(rng.choice((1, 1, 2))):
        _twist(tree, rng)
    if rng.random() < 0.05:
        tree = _hostile_value(rng)
    body = json.dumps(tree, separators=(",", ":")).encode()
    if rng.random() < 0.05:
        body = b"[" * rng.choice((900, 100_000)) + body
    body = body[:-1]
    return b'%s,"crc":"%08x"}' % (body, crc32(body))


class _Fuzz:
    def __init__(self, seed: int, budget: Budget) -> None:
        self.report = Report("fuzz", seed, budget)
        self.rng = Random(f"fuzz-{seed}-{budget.part}")
        self.memory = MemoryFiles()
        rig = Rig(platform_with(self.memory, f"{seed}-whole"))
        for number in range(30):
            rig.append(f"record {number}", ("a", "b", None)[number % 3], 100)
        rig.close()
        self.witness = Witness(LOG)
        self.tokens = [record.token for record in self.witness.look(self.memory)]
        self.ids = list(self.witness.ever)
        reader = LogReader(LOG, platform_with(self.memory, 0))
        starts = [reader.start_of(number) for number in reader.segment_numbers()]
        reader.close()
        self.places = {(record.segment, record.offset, record.seq) for record in self.witness.ever.values()}
        self.places |= {(start.segment, start.offset, start.seq) for start in starts}
        self.inputs = 0

    def bounded(self, kind: str, ask: Callable[[], object]) -> None:
        """Ask within bounds of time and memory. Only typed errors, and those of the file system, may come out."""
        self.inputs += 1
        self.report.count(kind)
        measured = self.inputs % _MEASURE_EVERY == 0
        peak = 0
        if measured:
            tracemalloc.start()
        began = time.thread_time()
        try:
            ask()
        except (YoiError, OSError) as error:
            self.report.count(f"answered with {type(error).__name__}")
        else:
            self.report.count("answered")
        finally:
            seconds = time.thread_time() - began
            if measured:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
        if measured:
            self.report.count("inputs whose memory was measured")
            self.report.note_peak("bytes of memory for one input", peak)
            assert peak < _MOST_BYTES, f"{peak} bytes of memory for one input"
        else:
            self.report.note_peak("seconds of the processor for one input", seconds)
            assert seconds < _MOST_SECONDS, f"{seconds} s for one input"

    # What a peer sends.

    def token(self) -> None:
        rng = self.rng
        reader = LogReader(LOG, platform_with(self.memory, 0))
        for _ in range(50):
            token = rng.choice(self.tokens)
            match rng.randrange(4):
                case 0:
                    text = _mutate(token.encode(), rng).decode("utf-8", "replace")
                case 1:
                    text = "wo1" + urlsafe_b64encode(rng.randbytes(45)).decode()
                case 2:
                    text = rng.choice(
                        ("", "wo1", "wo2" + token[3:], token + "\n", token * 2000, "\ud800" * 63, "é" * 63)
                    )
                case _:
                    text = self._sealed_token(token)
            self.bounded("tokens", partial(self._resolve, reader, text))
        for _ in range(10):
            event_id = _mutate(rng.choice(self.ids).encode(), rng).decode("utf-8", "replace")
            self.bounded("event ids", partial(reader.find_event, event_id))
        reader.close()

    def _resolve(self, reader: LogReader, text: str) -> None:
        """A token that is made by hand resolves only if it names a place that there is."""
        place = reader.resolve(decode_token(text))
        assert (place.segment, place.offset, place.seq) in self.places, f"{place} is no place in this log"

    def _sealed_token(self, token: str) -> str:
        """Return a token with a right checksum that names some place, most likely none that there is."""
        rng, cursor = self.rng, decode_token(token)
        change = rng.choice(("segment", "nonce_prefix", "offset", "seq", "worker_seq", "log_id"))
        most = {"segment": 40, "nonce_prefix": 32, "offset": 40, "seq": 56, "worker_seq": 56}
        if change == "log_id":
            return encode_token(cursor._replace(log_id=rng.randbytes(8).hex()))
        near = getattr(cursor, change) + rng.randrange(-3, 4)
        value = rng.choice((0, 1, near, rng.getrandbits(most[change]), (1 << most[change]) - 1))
        changes: dict[str, Any] = {change: max(0, value) % (1 << most[change])}
        changed: Cursor = cursor._replace(**changes)
        text = encode_token(changed)
        assert decode_token(text) == changed
        return text

    # What stands in the files.

    def file(self) -> None:
        """Let one file of a whole log hold something else; read it, and open it for writing."""
        rng = self.rng
        memory = copy_of(self.memory)
        names = [
            *(LOG / name for name in segment_files(names_in(memory, LOG))),
            LOG / "COMMITTED",
            DATA / "catalog.json",
        ]
        path = rng.choice([*names, LOG / "COMMITTED", DATA / "catalog.json", LOG / "00000000000000000001.index.json"])
        memory.write_bytes(path, self._other_bytes(path.name, memory.read_bytes(path)))
        kind = "segments" if path.suffix == ".jsonl" else "indexes" if "index" in path.name else path.name
        self.bounded(f"{kind}, read", lambda: self._read(memory))
        self.bounded(f"{kind}, opened for writing", lambda: self._open(memory))

    def _other_bytes(self, name: str, data: bytes) -> bytes:
        rng = self.rng
        if rng.random() < 0.1:
            return rng.choice((b"", b"\n", bytes(1024), rng.randbytes(2000), b"{" * 200_000, b"[]\n" * 100))
        if rng.random() < 0.4:
            return _mutate(data, rng)
        if name == "COMMITTED":
            slots = [_sealed(data[at : at + 512], rng)[:511].ljust(511) + b"\n" for at in (0, 512)]
            return b"".join(slots) if rng.random() < 0.7 else data[:512] + slots[1]
        lines = data.splitlines(keepends=True)
        which = 0 if rng.random() < 0.6 else rng.randrange(len(lines))
        lines[which] = _sealed(lines[which], rng) + b"\n"
        return b"".join(lines)

    def _read(self, memory: MemoryFiles) -> None:
        reader = LogReader(LOG, platform_with(memory, 0))
        try:
            self._read_to_the_end(reader)
            for token in self.tokens[::5]:
                try:
                    reader.resolve(decode_token(token))
                except CursorError:
                    continue
            reader.readable_bytes()
        finally:
            reader.close()

    def _read_to_the_end(self, reader: LogReader) -> None:
        position = reader.floor()
        for _ in range(1000):
            try:
                chunk = reader.read(position, 4096)
            except RecordCorruptError as error:
                after = reader.after_damage(error)
            else:
                if chunk is None:
                    return
                after = chunk.end
            # Where a header lies about its nonce, the place is the same and its nonce is not: that is reported, too.
            assert after != position, f"no progress at {position}"
            position = after
        raise AssertionError("reading comes to no end")

    def _open(self, memory: MemoryFiles) -> None:
        rig = Rig(platform_with(memory, self.inputs))
        rig.append("after it", "a", 10)
        rig.log.roll()
        rig.log.maintain()
        rig.close()
        try:
            self._read(memory)
        except LogError as error:
            raise AssertionError(f"a writer opened it, and it cannot be read: {error}") from error


def run(seed: int, budget: Budget) -> Report:
    """Feed the engine what it should not be fed."""
    fuzz = _Fuzz(seed, budget)
    report = fuzz.report
    for number in report.until("files that hold something else", _GOAL):
        with report.case(f"round {number}"):
            if number // budget.parts % 10 == 0:
                fuzz.token()
            fuzz.file()
        report.count("files that hold something else")
    report.require_share("tokens", 4)
    report.require_share("event ids", 0.8)
    for kind in ("segments, read", "COMMITTED, read", "catalog.json, opened for writing", "indexes, read"):
        report.require_share(kind, 0.05)
    report.require_share("inputs whose memory was measured", 0.2)
    return report

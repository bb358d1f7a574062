"""The catalog: the ledger made durable, as ``DATA_DIR/catalog.json``.

The snapshot names the segment it was taken at the end of; whoever opens the catalog reads the log from
there on. It is replaced at every roll, before any segment is deleted, and at a clean close, so what it
says was rotated out is never less than what is gone. Format: docs/log-format.md, "catalog.json".
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from yoi_runtime.catalog.durable_file import remove_leftover, replace_file
from yoi_runtime.catalog.fold import fold_chunk
from yoi_runtime.catalog.ledger import Ledger
from yoi_runtime.catalog.place_file import place_path
from yoi_runtime.catalog.segment_index import index_path, read_index, remove_orphans, write_index
from yoi_runtime.catalog.worker_state import Tally, WorkerState
from yoi_runtime.errors import LogFormatError, RecordCorruptError, SegmentGoneError
from yoi_runtime.events import Event
from yoi_runtime.segment_log.json_fields import hex_id, hex_number, parse_object, whole_number
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import Chunk, LogReader
from yoi_runtime.segment_log.record import check_crc, seal_object
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.writer import SealedSegment

__all__ = ["CATALOG", "Catalog", "Snapshot", "read_snapshot"]

CATALOG = "catalog.json"
_READ_BYTES = 1 << 20
_FORGET_AFTER_US = 30 * 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A ledger as of ``as_of`` in the log ``log_id``, and the rule by which the log is kept."""

    log_id: str
    as_of: Position
    ledger: Ledger
    retention: RetentionPolicy


def read_snapshot(data_dir: Path, platform: Platform) -> Snapshot | None:
    """Return what ``catalog.json`` holds, None when it is missing or not sound."""
    files = platform.files
    try:
        fd = files.open_read(data_dir / CATALOG)
    except FileNotFoundError:
        return None
    try:
        line = files.pread(fd, files.stat(fd).size, 0).rstrip(b"\n")
    finally:
        files.close(fd)
    if not check_crc(line):
        return None
    try:
        fields = parse_object(line)
        if (fields["kind"], fields["format"]) != ("catalog", 1):
            return None
        place = fields["as_of"]
        ledger = Ledger()
        ledger.rotated_out = Tally.from_json(fields["rotated_out"])
        ledger.unaccounted_seq = whole_number(fields["unaccounted_seq"])
        ledger.forgotten_seq = whole_number(fields["forgotten_seq"])
        for entry in fields["workers"]:
            state = WorkerState.from_json(entry)
            ledger.workers[state.worker_id] = state
        ledger.seq = whole_number(place["seq"])
        as_of = Position(
            whole_number(place["segment"], 40),
            hex_number(place["nonce"]),
            whole_number(place["offset"], 40),
            ledger.seq,
        )
        return Snapshot(hex_id(fields["log_id"]), as_of, ledger, RetentionPolicy(**fields["retention"]))
    except (ValueError, KeyError, TypeError):
        return None


def _is_of(snapshot: Snapshot, reader: LogReader) -> bool:
    """Say whether a snapshot was taken of this log, and not of one that went another way from an old copy."""
    if snapshot.log_id != reader.log_id or snapshot.as_of > reader.end or snapshot.as_of.seq > reader.end.seq:
        return False
    try:
        return reader.start_of(snapshot.as_of.segment).nonce == snapshot.as_of.nonce
    except (LogFormatError, SegmentGoneError):
        return True


class Catalog:
    """The writing process's catalog. Its owner serialises all calls; none is for two threads at once."""

    def __init__(
        self,
        data_dir: Path,
        log_directory: Path,
        platform: Platform,
        steady_now_us: Callable[[], int],
        retention: RetentionPolicy | None = None,
    ) -> None:
        """Load the snapshot and read the log on from there, to its end. ``steady_now_us`` is the log's steady clock.

        ``retention`` is written down for servers to tell; the decision by it is taken elsewhere.

        A missing or damaged snapshot is made again from the whole log; what was rotated out is then unknown.

        Raises:
            LogError, OSError: the log cannot be read.
        """
        self._data_dir = data_dir
        self._log_directory = log_directory
        self._platform = platform
        self._steady_now_us = steady_now_us
        self._retention = retention or RetentionPolicy()
        remove_leftover(data_dir / CATALOG, platform)
        reader = LogReader(log_directory, platform)
        try:
            self._log_id = reader.log_id
            floor = reader.floor()
            snapshot = read_snapshot(data_dir, platform)
            if snapshot is not None and _is_of(snapshot, reader):
                self.ledger = snapshot.ledger
                position = max(snapshot.as_of, floor)
            else:
                self.ledger = Ledger()
                self.ledger.seq = floor.seq
                position = floor
            if floor.seq > max(self.ledger.rotated_out.last_seq, self.ledger.unaccounted_seq):
                # Segments went that the snapshot had not counted.
                self.ledger.unaccounted_seq = floor.seq
            self._encoded: dict[str, str] = {}
            self.ledger.changed.update(self.ledger.workers)
            self._as_of = self._fold(reader, position, reader.end)
            remove_orphans(log_directory, frozenset(reader.segment_numbers()), platform)
            if snapshot is None or snapshot.retention != self._retention:
                self._save_or_wait()
        finally:
            reader.close()

    def _save_or_wait(self) -> None:
        """Save now if that can be done; the next roll does it in any case."""
        with contextlib.suppress(OSError):
            self.save()

    def _fold(self, reader: LogReader, position: Position, end: Position) -> Position:
        """Fold the records between two places into the ledger; passes damage by, which readers report."""
        while position < end:
            chunk: Chunk | None = None
            try:
                chunk = reader.read(position, _READ_BYTES)
                if chunk is None:
                    break
                start = chunk.start
            except RecordCorruptError as error:
                start = reader.after_damage(error)
            except SegmentGoneError:
                reader.relist()
                start = reader.floor()
            if start.segment != position.segment:
                self._finish_segment(position)
            if chunk is not None:
                fold_chunk(self.ledger, chunk.data)
            position = chunk.end if chunk is not None else start
        if position.segment != end.segment:
            self._finish_segment(position)
        return end

    def _finish_segment(self, position: Position) -> None:
        """Put away the tallies of the segment of ``position``; an index that cannot be written is made later."""
        tallies = self.ledger.begin_segment()
        if tallies:
            try:
                write_index(self._log_directory, position.segment, position.nonce, tallies, self._platform)
            except OSError:
                return

    # What the event log calls, under its lock.

    def last_worker_seq(self, worker_id: str) -> int:
        """Return the newest worker_seq of a Worker, 0 when it has none."""
        state = self.ledger.workers.get(worker_id)
        return state.worker_seq if state is not None else 0

    def appended(self, seq: int, worker_id: str | None, worker_seq: int, time: str, event: Event) -> None:
        """Take in a record that was just appended."""
        self.ledger.apply(seq, worker_id, worker_seq, time, event)

    def appended_run(self, seq: int, worker_id: str, worker_seq: int, time: str, events: Sequence[Event]) -> None:
        """Take in records of one Worker that were just appended in one write; the first has these numbers."""
        self.ledger.apply_run(seq, worker_id, worker_seq, time, events)

    def sealed(self, segment: SealedSegment, next_start: Position) -> None:
        """Write the index of a segment that was just sealed, then the snapshot as of its end.

        Raises:
            OSError: the snapshot is the one before; call ``save`` again before anything is deleted.
        """
        tallies = self.ledger.begin_segment()
        self._as_of = next_start
        write_index(self._log_directory, segment.number, segment.nonce, tallies, self._platform)
        self.save()

    def counted_seq(self) -> int:
        """Return up to which seq segments were counted as gone, whether they are deleted or not."""
        return self.ledger.rotated_out.last_seq

    def catch_up(self) -> None:
        """Count the records since the snapshot anew, from the log; everything appended is committed.

        Raises:
            LogError, OSError: call again.
        """
        reader = LogReader(self._log_directory, self._platform)
        try:
            self.ledger.begin_segment()
            self.ledger.seq = self._as_of.seq
            self._fold(reader, self._as_of, reader.end)
            self._as_of = reader.start_of(reader.end.segment)
        finally:
            reader.close()

    def rotating_out(self, segments: Sequence[SealedSegment]) -> None:
        """Count ``segments`` (oldest first) as gone, durably; after this they may be deleted.

        A segment counted before, by a pass that did not come to its end, is not counted twice.

        Raises:
            OSError, LogError: delete nothing; call again.
        """
        for segment in segments:
            if segment.last_seq > self.ledger.rotated_out.last_seq:
                tallies = self._tallies_of(segment)
                self.ledger.note_rotated_out(tallies, segment.last_seq)
                if sum(tally.events for tally in tallies.values()) <= segment.last_seq - segment.first_seq:
                    # Some of its records could not be read: nobody knows whose they were.
                    self.ledger.unaccounted_seq = segment.last_seq
        self.save()

    def _tallies_of(self, segment: SealedSegment) -> dict[str, Tally]:
        tallies = read_index(self._log_directory, segment.number, segment.nonce, self._platform)
        return tallies if tallies is not None else self._tally_segment(segment)

    def _tally_segment(self, segment: SealedSegment) -> dict[str, Tally]:
        """Read a whole segment for want of its index; what of it cannot be read is not in the tallies."""
        ledger = Ledger()
        reader = LogReader(self._log_directory, self._platform)
        try:
            position = reader.start_of(segment.number)
            while position.segment == segment.number:
                try:
                    chunk = reader.read(position, _READ_BYTES)
                except RecordCorruptError as error:
                    position = reader.after_damage(error)
                    continue
                if chunk is None or chunk.start.segment != segment.number:
                    break
                fold_chunk(ledger, chunk.data)
                position = chunk.end
        except (LogFormatError, SegmentGoneError):
            pass  # its header is damaged, or somebody else deleted it
        finally:
            reader.close()
        return ledger.segment_tallies

    def rotated_out(self, segments: Sequence[SealedSegment]) -> None:
        """Delete the indexes of deleted segments; one that stays is deleted at the next open."""
        for segment in segments:
            for path in (index_path, place_path):
                try:
                    self._platform.files.unlink(path(self._log_directory, segment.number))
                except OSError:
                    continue

    def save(self, end: Position | None = None) -> None:
        """Replace the snapshot; ``end`` moves it to the end of the log, for a clean close.

        Raises:
            OSError: the snapshot is the one before.
        """
        if end is not None:
            self._finish_segment(end)
            self._as_of = end
        self.ledger.forget_ended(self._steady_now_us(), _FORGET_AFTER_US)
        line = seal_object(self._encode()) + b"\n"
        replace_file(self._data_dir / CATALOG, line, self._platform)

    def _encode(self) -> bytes:
        """Return the snapshot's object. Of 20,000 Workers only those that changed are encoded (9 µs each)."""
        ledger = self.ledger
        for worker_id in ledger.changed:
            if worker_id in ledger.workers:
                self._encoded[worker_id] = json.dumps(ledger.workers[worker_id].to_json(), separators=(",", ":"))
        ledger.changed.clear()
        for worker_id in self._encoded.keys() - ledger.workers.keys():
            del self._encoded[worker_id]
        place = self._as_of
        head = {
            "kind": "catalog",
            "format": 1,
            "log_id": self._log_id,
            "as_of": {
                "segment": place.segment,
                "nonce": f"{place.nonce:016x}",
                "offset": place.offset,
                "seq": place.seq,
            },
            "rotated_out": ledger.rotated_out.to_json(),
            "unaccounted_seq": ledger.unaccounted_seq,
            "forgotten_seq": ledger.forgotten_seq,
            "retention": asdict(self._retention),
        }
        workers = ",".join(self._encoded[worker_id] for worker_id in ledger.workers)
        return f'{json.dumps(head, separators=(",", ":"))[:-1]},"workers":[{workers}]}}'.encode()

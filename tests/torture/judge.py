"""What must be true of a log after anything: asked of the engine, judged by what the witness saw."""

# ruff: noqa: PT017  which error may come depends on what was done before

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from tests.segment_log.sample_log import read_all
from tests.torture.rig import Rig
from tests.torture.witness import Record, Witness, parse_record
from yoi_runtime.errors import CursorError, CursorExpiredError, CursorForeignError, LogUnavailableError
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader

__all__ = ["Found", "adopt", "check_books", "check_kept", "check_tokens", "read_out"]


class Found(NamedTuple):
    """What a reader gave: every record from the floor to the end, and the seqs it announced as lost."""

    floor: Position
    end: Position
    records: list[Record]
    lost: list[int]

    @property
    def seqs(self) -> list[int]:
        return [record.seq for record in self.records]


def read_out(reader: LogReader, max_bytes: int = 4096) -> Found:
    """Read the whole log, from its floor: each seq up to the end comes, or is announced, exactly once."""
    reader.refresh()
    reader.relist()
    floor = reader.floor()
    read = read_all(reader, floor, max_bytes)
    records = []
    for line in read.lines:
        record = parse_record(line)
        assert record is not None, f"a reader gave what is no record: {line!r}"
        token = decode_token(record.token)
        assert token.seq == record.seq, "a record's token names another record"
        records.append(record._replace(segment=token.segment, offset=token.offset))
    found = Found(floor, reader.end, records, read.lost)
    expected = list(range(floor.seq + 1, reader.end.seq + 1))
    assert sorted(found.seqs + found.lost) == expected, "a hole that nobody announced"
    assert found.seqs == sorted(found.seqs), "records out of order"
    assert len({record.event_id for record in records}) == len(records), "an event id came twice"
    return found


def check_kept(found: Found, witness: Witness, durable_seq: int) -> None:
    """Nothing is altered or invented, and what stood at ``durable_seq`` or before is there, or was rotated out before."""
    for record in found.records:
        known = witness.ever.get(record.event_id)
        assert known is not None, f"event {record.event_id} was never appended"
        assert known.line == record.line, f"event {record.event_id} was altered"
    assert found.floor.seq <= witness.floor_seq, "more is gone than was rotated out"
    by_seq = {record.seq: record for record in found.records}
    for seq in range(found.floor.seq + 1, durable_seq + 1):
        known = witness.present.get(seq)
        if known is not None:
            assert by_seq.get(seq) is not None, f"record {seq} was promised, and is lost"
            assert by_seq[seq].event_id == known.event_id, f"seq {seq} was promised to another event"


def adopt(found: Found, witness: Witness) -> list[Record]:
    """Make what was found the log's present life; returns the records that are no longer in it."""
    before = witness.present
    now: dict[int, Record | None] = {seq: record for seq, record in before.items() if seq <= found.floor.seq}
    now.update(dict.fromkeys(found.lost, None))
    witness.holes.update({seq: record.event_id for seq in found.lost if (record := before.get(seq)) is not None})
    now.update({record.seq: record for record in found.records})
    witness.present, witness.floor_seq = now, found.floor.seq
    return [record for seq, record in before.items() if record is not None and not _same(now.get(seq), record)]


def _same(one: Record | None, other: Record) -> bool:
    return one is not None and one.event_id == other.event_id


def check_tokens(reader: LogReader, witness: Witness, records: Iterable[Record]) -> Counter[str]:
    """Resume after each of ``records``, of whatever life: at its very place, or with an answer that says why not.

    Returns how often each answer came.
    """
    answers: Counter[str] = Counter()
    floor = reader.floor()
    for record in records:
        present = witness.present.get(record.seq)
        is_here = _same(present, record)
        try:
            position = reader.resolve(decode_token(record.token))
        except CursorExpiredError:
            answers["expired"] += 1
            assert record.seq < floor.seq, f"the cursor of seq {record.seq} is called expired, the floor is {floor.seq}"
        except (CursorError, LogUnavailableError) as error:
            answers[type(error).__name__] += 1
            # Once segments without records went with its own, nothing vouches for a cursor at the floor.
            unproven = record.seq == floor.seq and record.segment < floor.segment - 1
            assert not is_here or record.seq > reader.end.seq or unproven, f"seq {record.seq} is there, and got {error}"
            assert not isinstance(error, CursorForeignError) or reader.log_id != decode_token(record.token).log_id
        else:
            answers["resumed"] += 1
            assert position.seq == record.seq
            # In a hole that is announced, the place is as good as the record that was there.
            is_hole = record.seq in witness.present and present is None
            in_it = is_hole and witness.holes.get(record.seq, record.event_id) == record.event_id
            assert is_here or in_it, f"silently at a wrong place: seq {record.seq} is another event now"
            assert (position.segment, position.offset) == (record.segment, record.offset) or position == floor
    return answers


def check_books(rig: Rig, witness: Witness) -> None:
    """The catalog knows each Worker's newest number, and exactly what of it was rotated out.

    Call it on a log without announced holes: of what is lost in one, nobody knows whose it was.
    """
    ledger = rig.catalog.ledger
    assert ledger.unaccounted_seq == 0, "the catalog lost count of what was rotated out"
    floor_seq = rig.writer.sealed[0].first_seq - 1 if rig.writer.sealed else rig.writer.active_start.seq
    gone_seq = ledger.rotated_out.last_seq
    assert gone_seq >= floor_seq, "deleted before it was counted"
    newest: dict[str, int] = {}
    gone: Counter[str] = Counter()
    for seq, record in sorted(witness.present.items()):
        assert record is not None
        if record.worker_id is None:
            continue
        before = newest.get(record.worker_id, 0)
        assert record.worker_seq == before + 1, f"worker_seq {record.worker_seq} of {record.worker_id} follows {before}"
        newest[record.worker_id] = record.worker_seq
        gone[record.worker_id] += seq <= gone_seq
    known = {worker_id: state.worker_seq for worker_id, state in ledger.workers.items()}
    assert known == newest, f"the catalog knows {known}, the log {newest}"
    counted = {worker_id: state.rotated_out.events for worker_id, state in ledger.workers.items() if state.rotated_out}
    assert counted == {worker_id: events for worker_id, events in gone.items() if events}
    assert ledger.rotated_out.events == sum(1 for seq in witness.present if seq <= gone_seq)

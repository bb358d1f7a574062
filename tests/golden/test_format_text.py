"""docs/log-format.md is true, byte by byte, and enough to write a reader from."""

from __future__ import annotations

import base64
import re
from hashlib import blake2b
from pathlib import Path
from zlib import crc32

import pytest

from tests.codebase.tree import ROOT
from tests.golden.make import BUILDERS, V1
from tests.golden.plain_reader import parse_line, read_log, resolve
from tests.segment_log.sample_log import read_all
from tests.torture.witness import parse_record
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.reader import LogReader

TEXT = (ROOT / "docs" / "log-format.md").read_text("utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)\n```", TEXT, re.DOTALL)
CLEAN = V1 / "clean"
KINDS = ["segment", "event", "committed", "segment_index", "catalog"]


def example(kind: str) -> bytes:
    return next(line.encode() for line in EXAMPLES if line.startswith(f'{{"kind":"{kind}"'))


def test_there_is_an_example_of_every_kind_of_line():
    assert [re.match(r'\{"kind":"(\w+)"', line)[1] for line in EXAMPLES] == KINDS  # type: ignore[index]


@pytest.mark.parametrize("kind", KINDS)
def test_every_example_stands_in_the_golden_directory_and_its_checksum_is_right(kind: str):
    line = example(kind)
    assert parse_line(line) is not None
    assert any(line in path.read_bytes() for path in CLEAN.rglob("*") if path.is_file())


def test_the_records_lie_where_the_text_says():
    header = example("segment")
    data = next(path.read_bytes() for path in CLEAN.rglob("*.jsonl") if path.read_bytes().startswith(header))
    rows = re.findall(
        r"^\| (\d+)–(\d+) \| (the header|record (\d+)) and its newline|^\| (\d+)–(\d+) \| record (\d+), the one",
        TEXT,
        re.MULTILINE,
    )
    places = [tuple(int(number) for number in re.findall(r"\d+", "–".join(row))) for row in rows]
    assert len(places) == 4
    assert data[: places[0][1] + 1] == header + b"\n"
    before = places[0][1]
    for start, end, *_, seq in places[1:]:
        assert start == before + 1
        record = parse_record(data[start : end + 1])
        assert record is not None
        assert record.seq == seq
        before = end
    assert f"the valid length is {len(data)}" in TEXT
    record_line = example("event")
    assert data[785:1072] == record_line + b"\n"
    assert len(record_line) == 286
    assert b'"crc":"%08x"' % crc32(record_line[:268]) in record_line
    assert record_line[268:].startswith(b',"crc"')


def test_the_token_of_the_example_holds_what_the_table_says():
    token = re.search(rb'"cursor":"wo1([^"]+)"', example("event"))
    assert token is not None
    raw = base64.urlsafe_b64decode(token[1])
    rows = re.findall(r"^\| (\d+)–(\d+) \| [^|]* \| `([0-9a-f]+)`(?:: (\d+))?", TEXT, re.MULTILINE)
    assert len(rows) == 8
    assert "".join(row[2] for row in rows) == raw.hex()
    for first, last, value, number in rows:
        assert raw[int(first) : int(last) + 1].hex() == value
        assert not number or int(number) == int(value, 16)
    assert blake2b(b"agent", digest_size=5).digest() == raw[29:34]
    assert crc32(raw[:41]) == int.from_bytes(raw[41:], "big")


@pytest.mark.parametrize("name", BUILDERS)
def test_a_reader_written_from_the_text_reads_what_ours_reads(name: str):
    log: Path = V1 / name / "log"
    reader = LogReader(log)
    ours, theirs = read_all(reader), read_log(log)
    assert (theirs.log_id, theirs.lines, theirs.lost) == (reader.log_id, ours.lines, ours.lost)
    assert theirs.lines
    for line in theirs.lines:
        record = parse_record(line)
        assert record is not None
        place = reader.resolve(decode_token(record.token))
        assert resolve(log, record.token) == (place.segment, place.offset, place.seq)
    reader.close()

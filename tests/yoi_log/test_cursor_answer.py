from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from yoi_log.cursor_answer import answer_cursor
from yoi_log.log_place import find_log

from tests.yoi_log.sample import make_log, yoi_log
from yoi_runtime.errors import CursorMalformedError
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.cursor import decode_token, encode_token
from yoi_runtime.segment_log.reader import LogReader


def tokens_of(data: Path) -> list[str]:
    found = []
    for path in sorted((data / "log").glob("*.jsonl")):
        found += [line[38:101].decode() for line in path.read_bytes().split(b"\n")[1:-1]]
    return found


def test_without_a_log_a_token_is_only_decoded(tmp_path: Path):
    token = tokens_of(make_log(tmp_path / "data"))[10]
    answer = answer_cursor(token, None)
    assert (answer.seq, answer.answer, answer.worker_id) == (11, None, None)
    assert answer.worker_tag is not None


def test_every_cursor_of_the_log_resumes_with_the_events_behind_it(tmp_path: Path):
    data = make_log(tmp_path / "data")
    tokens = tokens_of(data)
    for number, token in enumerate(tokens, 1):
        answer = answer_cursor(token, find_log(data))
        assert (answer.answer, answer.events_behind) == ("resumes", len(tokens) - number)
    assert {answer_cursor(token, find_log(data)).worker_id for token in tokens} == {"coder", "helper", None}


def test_the_other_answers(tmp_path: Path):
    data = make_log(tmp_path / "data", events=200)
    old, last = tokens_of(data)[5], decode_token(tokens_of(data)[-1])
    other = make_log(tmp_path / "other")
    assert answer_cursor(old, find_log(other)).answer == "foreign"
    wrong = encode_token(decode_token(old)._replace(offset=decode_token(old).offset + 1))
    assert answer_cursor(wrong, find_log(data)).answer == "unknown"
    ahead = encode_token(last._replace(segment=last.segment + 7))
    assert answer_cursor(ahead, find_log(data)).answer == "ahead"
    for segment in sorted((data / "log").glob("*.jsonl"))[:3]:
        segment.unlink()
    expired = answer_cursor(old, find_log(data))
    assert expired.answer == "expired"
    reader = LogReader(data / "log")
    assert expired.reason == f"{reader.floor().seq - 6} events after it were rotated out"
    assert expired.oldest_cursor == reader.token_at(reader.floor())
    reader.close()


def test_a_quiet_worker_s_cursor_goes_on_where_only_others_events_were_rotated_out(tmp_path: Path):
    data = tmp_path / "data"
    options = RuntimeOptions(segment_bytes=4096, retain_bytes=16_384, retain_age_seconds=None)
    with Runtime.open(data, options) as runtime:
        noisy, quiet = runtime.create_worker("noisy"), runtime.create_worker("quiet")
        first = quiet.emit(TextDelta(text="one"))
        last = quiet.emit(TextDelta(text="two"))
        own = noisy.emit(TextDelta(text="mine"))
        for number in range(200):
            noisy.emit(TextDelta(text=f"piece {number}"))
    answers = [answer_cursor(token, find_log(data)) for token in (last, first, own)]
    assert [answer.answer for answer in answers] == ["expired"] * 3
    assert [answer.worker_answer for answer in answers] == ["resumes", "expired", "expired"]
    assert answers[1].worker_reason == "1 of its events after it were rotated out"
    assert yoi_log("cursor", last, "--dir", data).returncode == 0
    assert "none of its events" in yoi_log("cursor", last, "--dir", data).stdout
    assert yoi_log("cursor", first, "--dir", data).returncode == 1


def test_a_token_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(CursorMalformedError):
        answer_cursor("wo1nothing", None)


def test_a_copy_with_a_shorter_end_answers_ahead(tmp_path: Path):
    data = make_log(tmp_path / "data")
    shutil.copytree(data, tmp_path / "copy")
    token = tokens_of(data)[-1]
    with Runtime.open(data) as runtime:
        runtime.create_worker("coder")
    later = tokens_of(data)[-1]
    assert answer_cursor(token, find_log(tmp_path / "copy")).answer == "resumes"
    assert answer_cursor(later, find_log(tmp_path / "copy")).answer == "ahead"

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from yoi_log.selection import Selection, SelectionError, parse_moment, parse_seqs

from yoi_runtime.catalog.worker_state import Tally

NOW = datetime(2026, 11, 22, 18, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", "2026-11-22T17:58:30.000000Z"),
        ("1.5h", "2026-11-22T16:30:00.000000Z"),
        ("3d", "2026-11-19T18:00:00.000000Z"),
        ("1w", "2026-11-15T18:00:00.000000Z"),
        ("2026-11-22T17:37:23Z", "2026-11-22T17:37:23.000000Z"),
        ("2026-11-22T19:37:23.5+02:00", "2026-11-22T17:37:23.500000Z"),
    ],
)
def test_moments_become_what_records_say(text: str, moment: str):
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "2", "h", "yesterday", "2026-13-01", "-2h", "9999999999999w"])
def test_what_is_no_moment_is_refused(text: str):
    with pytest.raises(SelectionError):
        parse_moment(text, NOW)


def test_ranges_of_seqs():
    assert [parse_seqs(text) for text in ("7", "7-12", "7-", "-12")] == [(7, 7), (7, 12), (7, None), (None, 12)]
    for text in ("", "-", "12-7", "a", "1-2-3"):
        with pytest.raises(SelectionError):
            parse_seqs(text)


TIME = "2026-11-22T17:37:23.000000Z"


@pytest.mark.parametrize(
    ("selection", "takes"),
    [
        (Selection(), True),
        (Selection(worker_ids=frozenset({"coder", "x"})), True),
        (Selection(worker_ids=frozenset({"x"})), False),
        (Selection(event_names=frozenset({"text_done"})), False),
        (Selection(since=TIME), True),
        (Selection(until=TIME), False),
        (Selection(first_seq=8), False),
        (Selection(first_seq=7, last_seq=7), True),
        (Selection(last_seq=6), False),
        (Selection(grep=re.compile("日本|x")), True),
        (Selection(grep=re.compile("^日本")), False),
    ],
)
def test_all_filters_must_agree(selection: Selection, takes: bool):
    payload = '{"event":"text_delta","data":{"text":"日本"}}'.encode()
    assert selection.takes(7, "coder", TIME, "text_delta", payload) is takes


def test_a_segment_is_ruled_out_by_its_tallies_alone():
    tallies = {"coder": Tally(5, 9, 5, "2026-11-22T17:00:00.000000Z", "2026-11-22T18:00:00.000000Z"), "": Tally(1)}
    assert Selection().may_be_in(tallies)
    assert not Selection(worker_ids=frozenset({"x"})).may_be_in(tallies)
    coder = frozenset({"coder"})
    # One hour more or less: the clock may have been set back in the middle.
    for since, may in (("2026-11-22T18:59:00.000000Z", True), ("2026-11-22T19:01:00.000000Z", False)):
        assert Selection(worker_ids=coder, since=since).may_be_in(tallies) is may
    for until, may in (("2026-11-22T16:01:00.000000Z", True), ("2026-11-22T15:59:00.000000Z", False)):
        assert Selection(worker_ids=coder, until=until).may_be_in(tallies) is may

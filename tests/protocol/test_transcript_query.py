from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.errors import RequestInvalidError
from yoi_runtime.protocol.transcript_query import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    TranscriptQuery,
    parse_transcript_query,
)


def test_without_parameters_it_is_the_beginning_without_thinking():
    assert parse_transcript_query([]) == TranscriptQuery(None, DEFAULT_LIMIT, False)


@given(
    query=st.builds(
        TranscriptQuery, st.none() | st.integers(0, 2**53 - 1), st.integers(1, MAX_LIMIT), thinking=st.booleans()
    )
)
def test_a_query_is_read_back_as_it_was_written(query: TranscriptQuery):
    assert parse_transcript_query(query.parameters().items()) == query


@pytest.mark.parametrize(
    ("pairs", "parameter"),
    [
        ([("limit", "0")], "limit"),
        ([("limit", "1001")], "limit"),
        ([("limit", "")], "limit"),
        ([("limit", "-1")], "limit"),
        ([("limit", "1.0")], "limit"),
        ([("limit", "٣")], "limit"),
        ([("limit", "9" * 5000)], "limit"),
        ([("start", "-1")], "start"),
        ([("start", " 1")], "start"),
        ([("start", "1_0")], "start"),
        ([("start", str(2**53))], "start"),
        ([("thinking", "yes")], "thinking"),
        ([("thinking", "")], "thinking"),
        ([("start", "1"), ("start", "1")], "start"),
        ([("cursor", "x")], "cursor"),
    ],
)
def test_anything_else_is_told_by_its_name(pairs: list[tuple[str, str]], parameter: str):
    with pytest.raises(RequestInvalidError) as caught:
        parse_transcript_query(pairs)
    assert caught.value.parameter == parameter

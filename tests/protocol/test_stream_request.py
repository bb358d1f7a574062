from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.errors import RequestInvalidError
from yoi_runtime.protocol.paths import events_url
from yoi_runtime.protocol.stream_request import (
    FromCursor,
    FromEventId,
    FromNow,
    FromOldest,
    Start,
    StreamRequest,
    parse_stream_request,
)
from yoi_runtime.protocol.versions import ProtocolVersion

V0: list[str] = []
V1 = ["yoi.events.v1"]
BOTH = pytest.mark.parametrize("offered", [V0, V1], ids=["v0", "v1"])
LONG = "x" * 5000


def pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


@BOTH
@pytest.mark.parametrize(
    ("query", "start"),
    [
        ("", FromNow()),
        ("from=now", FromNow()),
        ("from=oldest", FromOldest()),
        ("cursor=wo1abc", FromCursor("wo1abc")),
        ("last_event_id=abc.1", FromEventId("abc.1")),
        # No 400: these are answered as cursors, malformed or unknown ones.
        ("cursor=", FromCursor("")),
        (f"cursor={LONG}", FromCursor(LONG)),
        ("cursor=%00+%C3%A9", FromCursor("\x00 \u00e9")),
        ("last_event_id=", FromEventId("")),
        (f"last_event_id={LONG}", FromEventId(LONG)),
    ],
)
def test_the_start_is_read_as_the_peer_gave_it(offered: list[str], query: str, start: Start) -> None:
    request = parse_stream_request("w", pairs(query), offered)
    version = ProtocolVersion.V1 if offered else ProtocolVersion.V0
    assert request == StreamRequest(version, "w", start, batch=False, events=None)


@BOTH
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("cursor=a&from=oldest", "cursor"),
        ("from=now&cursor=a", "cursor"),
        ("cursor=a&last_event_id=b", "cursor"),
        ("last_event_id=b&from=now", "last_event_id"),
        ("cursor=a&last_event_id=b&from=now", "cursor"),
        ("cursor=a&cursor=a", "cursor"),
        ("cursor=&cursor=a", "cursor"),
        ("last_event_id=a&last_event_id=a", "last_event_id"),
        ("from=now&from=now", "from"),
        ("from=", "from"),
        ("from=newest", "from"),
        ("from=OLDEST", "from"),
        ("from=oldest%20", "from"),
    ],
)
def test_more_than_one_start_or_an_unknown_one_is_invalid(offered: list[str], query: str, parameter: str) -> None:
    with pytest.raises(RequestInvalidError) as caught:
        parse_stream_request(None, pairs(query), offered)
    assert caught.value.parameter == parameter


def test_v0_ignores_what_it_does_not_know() -> None:
    request = parse_stream_request(None, pairs("token=x&From=oldest&token=y&Cursor=a&&=b"), V0)
    assert request == StreamRequest(ProtocolVersion.V0, None, FromNow())


@pytest.mark.parametrize("query", ["batch=1", "batch=0", "batch=", "events=text_delta", "events="])
def test_v0_refuses_what_v1_alone_has(query: str) -> None:
    with pytest.raises(RequestInvalidError) as caught:
        parse_stream_request(None, pairs(query), V0)
    assert caught.value.parameter == query.partition("=")[0]


@pytest.mark.parametrize(
    ("query", "batch", "events"),
    [
        ("", False, None),
        ("batch=1", True, None),
        ("batch=0", False, None),
        ("events=text_delta", False, {"text_delta"}),
        ("events=text_delta,run_end,text_delta", False, {"text_delta", "run_end"}),
        ("batch=1&events=x9_,unheard_of&from=oldest", True, {"x9_", "unheard_of"}),
    ],
)
def test_v1_reads_batch_and_events(query: str, batch: bool, events: set[str] | None) -> None:
    request = parse_stream_request(None, pairs(query), V1)
    assert request.batch is batch
    assert request.events == events


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("token=x", "token"),
        ("From=oldest", "From"),
        ("=x", ""),
        ("batch=true", "batch"),
        ("batch=", "batch"),
        ("batch=01", "batch"),
        ("batch=1&batch=1", "batch"),
        ("batch=1&batch=0", "batch"),
        ("events=", "events"),
        ("events=,", "events"),
        ("events=a,", "events"),
        ("events=a,,b", "events"),
        ("events=a, b", "events"),
        ("events=Text", "events"),
        ("events=a%0A", "events"),
        ("events=a&events=b", "events"),
    ],
)
def test_v1_refuses_what_it_does_not_know_or_cannot_reconcile(query: str, parameter: str) -> None:
    with pytest.raises(RequestInvalidError) as caught:
        parse_stream_request(None, pairs(query), V1)
    assert caught.value.parameter == parameter


def test_an_unknown_parameters_name_is_cut_in_the_error() -> None:
    with pytest.raises(RequestInvalidError) as caught:
        parse_stream_request(None, [(LONG, "")], V1)
    assert len(str(caught.value)) < 100


def test_a_foreign_subprotocol_is_an_invalid_request() -> None:
    with pytest.raises(RequestInvalidError):
        parse_stream_request(None, [], ["graphql-ws"])


STARTS: st.SearchStrategy[Start] = st.one_of(
    st.just(FromNow()), st.just(FromOldest()), st.builds(FromCursor, st.text()), st.builds(FromEventId, st.text())
)
REQUESTS = st.one_of(
    st.builds(StreamRequest, st.just(ProtocolVersion.V0), st.none() | st.just("w-1"), STARTS),
    st.builds(
        StreamRequest,
        st.just(ProtocolVersion.V1),
        st.none() | st.just("w-1"),
        STARTS,
        st.booleans(),
        st.none() | st.frozensets(st.from_regex(r"[a-z0-9_]+", fullmatch=True), min_size=1),
    ),
)


@given(REQUESTS)
def test_a_request_survives_the_way_through_an_address(request: StreamRequest) -> None:
    url = events_url("http://h/p", request.worker_id, **request.parameters())
    offered = V1 if request.version is ProtocolVersion.V1 else V0
    assert parse_stream_request(request.worker_id, pairs(urlsplit(url).query), offered) == request


@given(
    st.lists(st.tuples(st.sampled_from(["cursor", "from", "batch", "events", ""]) | st.text(), st.text())),
    st.booleans(),
)
def test_no_query_does_anything_but_parse_or_be_refused(parameters: list[tuple[str, str]], v1: bool) -> None:
    try:
        request = parse_stream_request(None, parameters, V1 if v1 else V0)
    except RequestInvalidError:
        return
    assert isinstance(request, StreamRequest)

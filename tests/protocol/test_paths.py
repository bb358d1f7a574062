from __future__ import annotations

import pytest

from yoi_runtime.errors import RequestInvalidError, WorkerIdInvalidError
from yoi_runtime.protocol import paths


def test_the_paths_are_those_of_the_protocol() -> None:
    assert {name: getattr(paths, name) for name in paths.__all__ if name.isupper()} == {
        "EVENTS_WS": "/v1/events/ws",
        "WORKER_EVENTS_WS": "/v1/workers/{worker_id}/events/ws",
        "RUNTIME": "/v1/runtime",
        "WORKERS": "/v1/workers",
        "WORKER": "/v1/workers/{worker_id}",
        "WORKER_TRANSCRIPT": "/v1/workers/{worker_id}/transcript",
        "EVENTS_STATUS": "/v1/events/status",
        "HEALTHZ": "/healthz",
        "READYZ": "/readyz",
    }
    assert paths.worker_path("w-1") == "/v1/workers/w-1"
    assert paths.worker_transcript_path("w-1") == "/v1/workers/w-1/transcript"
    assert paths.worker_events_path("w-1") == "/v1/workers/w-1/events/ws"


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://127.0.0.1:38800", "ws://127.0.0.1:38800/v1/events/ws"),
        ("https://runtime.example", "wss://runtime.example/v1/events/ws"),
        ("ws://h", "ws://h/v1/events/ws"),
        ("wss://h/", "wss://h/v1/events/ws"),
        ("HTTP://h", "ws://h/v1/events/ws"),
        ("http://[::1]:80", "ws://[::1]:80/v1/events/ws"),
        ("http://h/runtimes/a", "ws://h/runtimes/a/v1/events/ws"),
        ("http://h/runtimes/a%20b/", "ws://h/runtimes/a%20b/v1/events/ws"),
    ],
)
def test_an_address_is_made_of_any_kind_of_base(base_url: str, expected: str) -> None:
    assert paths.events_url(base_url) == expected


def test_a_worker_and_parameters_come_behind() -> None:
    assert paths.events_url("http://h/p", "W_1", cursor="wo1-_x") == "ws://h/p/v1/workers/W_1/events/ws?cursor=wo1-_x"
    assert paths.events_url("http://h", **{"from": "oldest", "batch": "1", "events": None}) == (
        "ws://h/v1/events/ws?from=oldest&batch=1"
    )
    assert paths.events_url("http://h", last_event_id="a b&c=d+\u00e9#") == (
        "ws://h/v1/events/ws?last_event_id=a%20b%26c%3Dd%2B%C3%A9%23"
    )


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "127.0.0.1:38800",
        "localhost:38800",
        "ftp://h",
        "http://",
        "http:///p",
        "http://:80",
        "http://h:99999",
        "http://h:x",
        "http://[::1",
        "http://h?cursor=x",
        "http://h/?",
        "http://h#f",
        "http://h/p#",
        "http://user:secret@h",
        "http://secret@h",
        " http://h",
        "http://h\n/x",
        "http://h\t",
    ],
)
def test_a_base_that_is_no_address_is_refused_without_quoting_it(base_url: str) -> None:
    with pytest.raises(RequestInvalidError) as caught:
        paths.events_url(base_url)
    assert caught.value.parameter == "url"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("worker_id", ["", "..", "a/b", "a b", "w\n", "\u00e9", "a" * 65, "%2e"])
def test_no_path_is_made_of_what_is_no_worker_id(worker_id: str) -> None:
    for build in (paths.worker_path, paths.worker_events_path):
        with pytest.raises(WorkerIdInvalidError):
            build(worker_id)
    with pytest.raises(WorkerIdInvalidError):
        paths.events_url("http://h", worker_id)

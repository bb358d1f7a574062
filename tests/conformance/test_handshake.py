from __future__ import annotations

import pytest

from yoi_runtime.conformance.handshake import RequestFaultError, answer, parse_request, upgrade

HEAD = (
    b"GET /v1/events/ws?cursor=wo1-_&x= HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: a, yoi.events.v1\r\nX: 1\r\nx: 2\r\n\r\n"
)


def test_a_request_is_read():
    request = parse_request(HEAD)
    assert (request.method, request.path) == ("GET", "/v1/events/ws")
    assert request.parameters == (("cursor", "wo1-_"), ("x", ""))
    assert request.subprotocols == ("a", "yoi.events.v1")
    assert request.headers["x"] == "1, 2"


@pytest.mark.parametrize(
    "head",
    [b"\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/2\r\n\r\n", b"GET / HTTP/1.1\r\n folded\r\n\r\n", b"\x16\x03\x01"],
)
def test_what_is_no_request_is_refused(head: bytes):
    with pytest.raises(RequestFaultError):
        parse_request(head)


def test_the_upgrade_proves_that_the_key_was_read():
    """The example of RFC 6455, section 1.3."""
    lines = upgrade(parse_request(HEAD), "yoi.events.v1").decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines
    assert "Sec-WebSocket-Protocol: yoi.events.v1" in lines
    assert lines[-2:] == ["", ""]


def test_without_a_subprotocol_none_is_named():
    assert b"Sec-WebSocket-Protocol" not in upgrade(parse_request(HEAD), None)


def test_an_answer_ends_the_connection():
    said = answer(429, b"{}", {"Retry-After": "5"})
    assert said.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nConnection: close\r\n" in said
    assert b"\r\nRetry-After: 5\r\n" in said
    assert said.endswith(b"\r\n\r\n{}")
    assert answer(499, b"").startswith(b"HTTP/1.1 499 Scripted\r\n")

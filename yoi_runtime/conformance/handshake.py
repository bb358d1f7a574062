"""The HTTP before a WebSocket: requests read, upgrades and refusals written (RFC 9112, RFC 6455 section 4). No I/O."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["HEAD_END", "HttpRequest", "RequestFaultError", "answer", "parse_request", "upgrade"]

HEAD_END: Final = b"\r\n\r\n"
_KEY_SUFFIX: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RequestFaultError(Exception):
    """The bytes are no HTTP request. Never leaves the room."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request's head. Header names are in lower case; of repeated headers the values are joined by commas."""

    method: str
    target: str
    path: str
    parameters: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]

    @property
    def subprotocols(self) -> tuple[str, ...]:
        offered = self.headers.get("sec-websocket-protocol", "")
        return tuple(name.strip() for name in offered.split(",") if name.strip())


def parse_request(head: bytes) -> HttpRequest:
    """Read a head, up to and with its empty line.

    Raises:
        RequestFaultError: says what is wrong.
    """
    try:
        request_line, *lines = head.removesuffix(HEAD_END).decode("latin-1").split("\r\n")
        method, target, version = request_line.split(" ")
    except ValueError:
        raise RequestFaultError("not an HTTP request") from None
    if not version.startswith("HTTP/1."):
        raise RequestFaultError(f"not HTTP/1.1: {version}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            raise RequestFaultError("a header without a name")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    parts = urlsplit(target)
    pairs = tuple(parse_qsl(parts.query, keep_blank_values=True))
    return HttpRequest(method, target, unquote(parts.path), pairs, headers)


def upgrade(request: HttpRequest, subprotocol: str | None) -> bytes:
    """Return the answer that makes the connection a WebSocket."""
    key = request.headers.get("sec-websocket-key", "").encode("latin-1")
    accept = base64.b64encode(sha1(key + _KEY_SUFFIX, usedforsecurity=False).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    lines.append(f"Sec-WebSocket-Accept: {accept}")
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join(lines).encode() + HEAD_END


def answer(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """Return an answer that ends the connection; the body is JSON."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Scripted"
    lines = [
        f"HTTP/1.1 {status} {phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + HEAD_END + body

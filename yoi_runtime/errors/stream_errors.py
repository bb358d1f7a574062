"""What goes wrong on the Backend client's side of a stream. The whole tree is drawn in ``yoi_runtime.errors``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yoi_runtime.errors.root import YoiError

__all__ = [
    "CursorStoreError",
    "StreamConnectError",
    "StreamError",
    "StreamFrameError",
    "StreamGapError",
    "StreamRefusedError",
]


class CursorStoreError(YoiError):
    """A cursor could not be loaded or saved. ``store`` says where; what it held before, it still holds."""

    def __init__(self, store: str, reason: str) -> None:
        self.store = store
        self.reason = reason
        super().__init__(f"cursor store {store}: {reason}")


class StreamError(YoiError):
    """Something about the stream from ``url`` (never with credentials in it)."""

    def __init__(self, url: str, message: str) -> None:
        self.url = url
        super().__init__(message)


class StreamConnectError(StreamError):
    """No connection could be made; trying again may help.

    ``code`` tells the kind: ``connect.dns``, ``connect.refused``, ``connect.tls``, ``connect.timeout`` and so on
    (docs/client.md, "Why a connection ended"). ``reason`` is for people.
    """

    def __init__(self, url: str, reason: str, code: str = "connect.failed") -> None:
        self.reason = reason
        self.code = code
        super().__init__(url, f"cannot connect to {url}: {reason}")


class StreamRefusedError(StreamError):
    """The Runtime refused with a diagnostic that says not to repeat the request.

    ``lost`` is the receipt for events that can no longer be read, when the diagnostic has one.
    """

    def __init__(self, url: str, diagnostic: Mapping[str, Any]) -> None:
        self.diagnostic = dict(diagnostic)
        self.code = str(diagnostic.get("code", ""))
        self.recovery = str(diagnostic.get("recovery", ""))
        self.lost: Mapping[str, Any] | None = diagnostic.get("lost")
        super().__init__(url, f"{url} refused: {self.code}: {diagnostic.get('message', '')}")


class StreamGapError(StreamError):
    """Two events that came do not follow each other: the number ``expected`` should have come, ``got`` did.

    ``numbering`` is ``seq`` or ``worker_seq``; ``replayed`` when a filtered stream came to its end with ``got`` events
    where the Runtime had sent ``expected - 1``. ``cursor`` is the point before the hole, of the last event handed
    over; ``cursor_after`` the point after the event ``got``, which was not.
    """

    def __init__(self, url: str, expected: int, got: int, *, numbering: str, cursor: str, cursor_after: str) -> None:
        self.expected = expected
        self.got = got
        self.numbering = numbering
        self.cursor = cursor
        self.cursor_after = cursor_after
        super().__init__(url, f"{url}: {numbering} {expected} should have come, {got} did")


class StreamFrameError(StreamError):
    """The Runtime sent what cannot be read; since it may have been an event, the stream ends here."""

    def __init__(self, url: str, reason: str) -> None:
        self.reason = reason
        super().__init__(url, f"{url}: {reason}")

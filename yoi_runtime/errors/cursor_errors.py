"""The answers to a cursor that cannot be honoured; never merged. The whole tree is drawn in ``yoi_runtime.errors``."""

from __future__ import annotations

from yoi_runtime.errors.root import YoiError

__all__ = [
    "CursorAheadError",
    "CursorError",
    "CursorExpiredError",
    "CursorForeignError",
    "CursorMalformedError",
    "CursorUnknownError",
]


class CursorError(YoiError):
    """An answer to a cursor that cannot be resumed from. ``token`` is as the peer sent it, cut to 64 characters."""

    def __init__(self, token: str, message: str) -> None:
        self.token = token[:64]
        super().__init__(message)


class CursorMalformedError(CursorError):
    """Not a cursor token: empty, too long, not decodable, or its checksum does not match."""

    def __init__(self, token: str, reason: str) -> None:
        self.reason = reason
        super().__init__(token, f"not a cursor token: {reason}")


class CursorForeignError(CursorError):
    """A sound token of another log."""

    def __init__(self, token: str, cursor_log_id: str, log_id: str) -> None:
        self.cursor_log_id = cursor_log_id
        self.log_id = log_id
        super().__init__(token, f"the cursor belongs to log {cursor_log_id}, this is log {log_id}")


class CursorExpiredError(CursorError):
    """An event after the cursor was rotated out. ``floor`` is the oldest cursor token still readable."""

    def __init__(self, token: str, floor: str) -> None:
        self.floor = floor
        super().__init__(token, "events after the cursor were rotated out")


class CursorUnknownError(CursorError):
    """The log has no such place (another segment nonce, or not a record boundary)."""

    def __init__(self, token: str, reason: str) -> None:
        self.reason = reason
        super().__init__(token, f"the log has no such place: {reason}")


class CursorAheadError(CursorError):
    """The cursor lies past the end of the log, or of its segment: the events it follows were lost."""

    def __init__(self, token: str, reason: str) -> None:
        self.reason = reason
        super().__init__(token, f"the cursor lies past the end of the log: {reason}")

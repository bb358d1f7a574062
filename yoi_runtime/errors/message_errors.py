"""What somebody said and that breaks the rules: events, requests, frames, cases. The whole tree is drawn in ``yoi_runtime.errors``."""

from __future__ import annotations

from yoi_runtime.errors.root import YoiError

__all__ = [
    "CaseInvalidError",
    "EventInvalidError",
    "FrameInvalidError",
    "RequestInvalidError",
]


class EventInvalidError(YoiError):
    """An event that breaks the vocabulary's rules. ``where`` is a path such as ``data.text``."""

    def __init__(self, event_name: str | None, where: str, reason: str) -> None:
        self.event_name = event_name
        self.where = where
        self.reason = reason
        name = f"event {event_name!r}" if event_name is not None else "event"
        super().__init__(f"{name}, {where}: {reason}" if where else f"{name}: {reason}")


class RequestInvalidError(YoiError):
    """A request for a stream that breaks the protocol's rules. ``parameter``: what to change, cut to 64 characters."""

    def __init__(self, parameter: str, reason: str) -> None:
        self.parameter = parameter[:64]
        self.reason = reason
        super().__init__(f"{self.parameter}: {reason}")


class FrameInvalidError(YoiError):
    """A text message that is not JSON, or not of the shape its kind has."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"not a frame: {reason}")


class CaseInvalidError(YoiError):
    """A conformance case that cannot be played. ``where``: its file or its name."""

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"{where}: {reason}")

"""What goes wrong between a local program and a Runtime's socket. The whole tree is drawn in ``yoi_runtime.errors``."""

from __future__ import annotations

from yoi_runtime.errors.root import YoiError

__all__ = [
    "IngestError",
    "IngestLostError",
    "IngestRefusedError",
]


class IngestError(YoiError):
    """Something about the socket on which local programs bring their Workers."""


class IngestRefusedError(IngestError):
    """A line was refused, or a whole connection.

    ``code`` is one of docs/ingest.md, "Refusals"; ``where`` the member at fault, such as ``data.text``, or "".
    """

    def __init__(self, code: str, reason: str, where: str = "") -> None:
        self.code = code
        self.reason = reason
        self.where = where
        super().__init__(f"{where}: {reason} ({code})" if where else f"{reason} ({code})")


class IngestLostError(IngestError):
    """The Runtime cannot be reached, and was not back within ``waited_seconds``; ``unsent`` events are not in its log.

    ``reason`` says what the last attempt ran into.
    """

    def __init__(self, reason: str, waited_seconds: float, unsent: int) -> None:
        self.reason = reason
        self.waited_seconds = waited_seconds
        self.unsent = unsent
        lost = f"; {unsent} lines were not acknowledged" if unsent else ""
        super().__init__(f"{reason} (tried for {waited_seconds:.0f} s{lost})")

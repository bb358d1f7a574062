"""What goes wrong between a local program and a Runtime's socket. The whole tree is drawn in ``yoi_runtime.errors``."""

from __future__ import annotations

from yoi_runtime.errors.root import YoiError

__all__ = [
    "IngestError",
    "IngestLostError",
    "IngestRefusedError",
]


class IngestError(YoiError):
    """Something about the socket on which local programs bring their Workers; ``reason`` says what."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class IngestRefusedError(IngestError):
    """A line was refused, or a whole connection.

    ``code`` is one of docs/ingest.md, "Refusals"; ``where`` the member at fault, such as ``data.text``, or "".
    """

    def __init__(self, code: str, reason: str, where: str = "") -> None:
        self.code = code
        self.where = where
        super().__init__(reason, f"{where}: {reason} ({code})" if where else f"{reason} ({code})")


class IngestLostError(IngestError):
    """The Runtime cannot be reached, and was not back within ``waited_seconds``; ``unsent`` events are not in its log.

    ``reason`` says what the last attempt ran into.
    """

    def __init__(self, reason: str, waited_seconds: float, unsent: int) -> None:
        self.waited_seconds = waited_seconds
        self.unsent = unsent
        lost = f"; {unsent} lines were not acknowledged" if unsent else ""
        super().__init__(reason, f"{reason} (tried for {waited_seconds:.0f} s{lost})")

"""The optional half of yoi_runtime, loaded when a command needs it, with one clear sentence when it is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yoi_runtime.errors import MissingExtraError

if TYPE_CHECKING:
    from yoi_runtime.server.event_server import EventServer

__all__ = ["load_event_server", "load_observe"]

_LIBRARY = "tornado"


def load_event_server() -> type[EventServer]:
    """Return the class ``EventServer``.

    Raises:
        MissingExtraError: Tornado is not installed.
    """
    try:
        from yoi_runtime.server.event_server import EventServer
    except ModuleNotFoundError as error:
        raise _missing(error, "ws-server", "serving events") from error
    return EventServer


def _missing(error: ModuleNotFoundError, extra: str, purpose: str) -> ModuleNotFoundError | MissingExtraError:
    """Return what to raise: the error itself when it is about anything else."""
    return MissingExtraError(extra, purpose) if (error.name or "").partition(".")[0] == _LIBRARY else error

"""The server, loaded when a command needs it, and one clear sentence when its extra is not installed.

The client needs no such help: ``observe`` says the same itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from yoi_runtime.errors import MissingExtraError

if TYPE_CHECKING:
    from yoi_runtime.server.event_server import EventServer

__all__ = ["load_event_server"]

_LIBRARY = "tornado"


def load_event_server() -> type[EventServer]:
    """Return the class ``EventServer``.

    Raises:
        MissingExtraError: Tornado is not installed.
    """
    try:
        from yoi_runtime.server.event_server import EventServer
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != _LIBRARY:
            raise
        raise MissingExtraError("ws-server", "serving events") from error
    return EventServer

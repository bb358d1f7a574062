"""The server, loaded when a command needs it, and one clear sentence when its extra is not installed.

The client needs no such help: ``observe`` says the same itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from yoi_runtime.errors import MissingExtraError

if TYPE_CHECKING:
    from yoi_runtime.server.event_server import EventServer

__all__ = ["load_event_server"]

# What the extra brings.
_LIBRARIES = ("prometheus_client", "tornado")


def load_event_server() -> type[EventServer]:
    """Return the class ``EventServer``.

    Raises:
        MissingExtraError: Tornado or the Prometheus client is not installed.
    """
    try:
        from yoi_runtime.server.event_server import EventServer
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LIBRARIES:
            raise
        raise MissingExtraError("ws-server", "serving events") from error
    return EventServer

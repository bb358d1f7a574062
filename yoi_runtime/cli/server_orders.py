"""What one more server process has to know: handed to it as its only argument, by ``serve --processes``.

It holds names of files, and nothing that stands in them: arguments are for everybody on the machine to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from yoi_runtime.cli.operator_log import LogFormat
from yoi_runtime.cli.options import Address
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.limits import Limits

__all__ = ["ServerOrders"]


@dataclass(frozen=True, slots=True)
class ServerOrders:
    """``listening``: descriptors of sockets that are bound to ``bind``. ``transcripts``: whether the writer keeps them.

    ``metrics_directory``: where the processes ask each other for their metrics, as whose ``number``; None: nowhere.
    """

    data_dir: Path
    bind: Address
    listening: tuple[int, ...]
    number: int
    cache_bytes: int
    transcripts: bool
    access: ServerAccess
    limits: Limits
    log_format: LogFormat
    log_level: str
    metrics_directory: Path | None = None

    def argument(self) -> str:
        """Write them as JSON."""
        return _ADAPTER.dump_json(self).decode()

    @classmethod
    def read(cls, argument: str) -> ServerOrders:
        """Read what ``argument`` wrote. Raises ``ValueError`` for anything else."""
        return _ADAPTER.validate_json(argument)


_ADAPTER = TypeAdapter(ServerOrders)

"""One more server process on sockets that its parent bound: what ``serve --processes`` starts, and nobody else.

    python -m yoi_runtime.cli.server_process ORDERS

ORDERS: see ``server_orders``. When stdin ends, nobody new is let in.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from yoi_runtime.cli import operator_log
from yoi_runtime.cli.access_options import hide_files
from yoi_runtime.cli.exit_codes import exit_code_of, say, sentence_of
from yoi_runtime.cli.serve import Kinship, serve_read_only
from yoi_runtime.cli.served_runtime import ServeOptions
from yoi_runtime.cli.server_orders import ServerOrders
from yoi_runtime.errors import YoiError
from yoi_runtime.notices import Notice
from yoi_runtime.server.sibling_metrics import SiblingPlace
from yoi_runtime.transcript.options import TranscriptOptions

__all__ = ["main"]

# A descriptor, whatever Python has made of it.
_STDIN = 0


def main(argument: str) -> int:
    """Serve until a signal and return the exit code."""
    orders = ServerOrders.read(argument)
    log = operator_log.set_up(orders.log_format, orders.log_level)
    log.hide(orders.data_dir, "DATA_DIR")
    hide_files(log, orders.access)
    options = ServeOptions(
        orders.data_dir,
        orders.bind,
        transcripts=TranscriptOptions() if orders.transcripts else None,
        cache_bytes=orders.cache_bytes,
        access=orders.access,
        limits=orders.limits,
    )
    directory = orders.metrics_directory
    siblings = SiblingPlace(directory, orders.number) if directory is not None else None
    try:
        listening = [socket.socket(fileno=descriptor) for descriptor in orders.listening]
        for listener in listening:
            # Each process wakes for a connection and only one gets it: the others must not wait in accept(2).
            listener.setblocking(False)
        return asyncio.run(serve_read_only(options, Kinship(listening, _STDIN, siblings)))
    except (YoiError, OSError) as error:
        say(sentence_of(error), Notice.COMMAND_FAILED, error=type(error).__name__)
        return exit_code_of(error)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

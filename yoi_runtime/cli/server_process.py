"""One more server process on sockets that its parent bound: what ``serve --processes`` starts, and nobody else.

python -m yoi_runtime.cli.server_process DATA_DIR HOST PORT CACHE_BYTES TRANSCRIPTS DOOR DESCRIPTOR ...

TRANSCRIPTS is yes or no: whether the writing process keeps them. DOOR: who may come in, see ``door_argument``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from yoi_runtime.cli.door_argument import read_door_argument
from yoi_runtime.cli.exit_codes import exit_code_of, say, sentence_of
from yoi_runtime.cli.options import Address
from yoi_runtime.cli.serve import serve_read_only
from yoi_runtime.cli.served_runtime import ServeOptions
from yoi_runtime.errors import YoiError
from yoi_runtime.transcript.options import TranscriptOptions

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal and return the exit code."""
    data_dir, host, port, cache_bytes, transcripts, door, *descriptors = arguments
    access, limits = read_door_argument(door)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    options = ServeOptions(
        Path(data_dir),
        Address(host, int(port)),
        transcripts=TranscriptOptions() if transcripts == "yes" else None,
        cache_bytes=int(cache_bytes),
        access=access,
        limits=limits,
    )
    try:
        listening = [socket.socket(fileno=int(descriptor)) for descriptor in descriptors]
        for listener in listening:
            # Each process wakes for a connection and only one gets it: the others must not wait in accept(2).
            listener.setblocking(False)
        return asyncio.run(serve_read_only(options, listening))
    except (YoiError, OSError) as error:
        say(sentence_of(error))
        return exit_code_of(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

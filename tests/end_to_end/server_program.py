"""A server alone as a program for the tests of the whole path: ``server_program.py DATA_DIR``. Ends with its input."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from yoi_runtime.cli import operator_log
from yoi_runtime.cli.operator_log import LogFormat
from yoi_runtime.server.event_server import EventServer


async def main(data_dir: Path) -> None:
    server = await EventServer.start(data_dir, "127.0.0.1", 0)
    sys.stdout.write(json.dumps({"url": server.url}) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()


if __name__ == "__main__":
    operator_log.set_up(LogFormat.JSON).hide(Path(sys.argv[1]), "DATA_DIR")
    asyncio.run(main(Path(sys.argv[1])))

"""``DATA_DIR/server.json``: how a writing process tells ``tail`` where it serves.

    {"url": "http://127.0.0.1:38800", "pid": 4711, "log_id": "d6a3…"}

Written when the server is ready, removed at a clean stop. What is left after a crash names a dead process.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from yoi_runtime.errors import StreamError

__all__ = [
    "SERVER_FILE",
    "ServerInfo",
    "find_server",
    "process_is_alive",
    "read_server_file",
    "remove_server_file",
    "write_server_file",
]

SERVER_FILE = "server.json"


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A serving process."""

    url: str
    pid: int
    log_id: str


def write_server_file(data_dir: Path, info: ServerInfo) -> None:
    """Write the file; readers see the old one or the new one, whole. Raises ``OSError``: the old one stays."""
    # The pid in the name: nobody else writes it, and we hold the log.
    temporary = data_dir / f".{SERVER_FILE}.{info.pid}"
    try:
        temporary.write_text(json.dumps(asdict(info)) + "\n", "utf-8")
        temporary.replace(data_dir / SERVER_FILE)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_server_file(data_dir: Path) -> ServerInfo | None:
    """Return what the file says, None when there is none or it is not of the known shape."""
    try:
        fields = json.loads((data_dir / SERVER_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    match fields:
        case {"url": str(url), "pid": int(pid), "log_id": str(log_id)} if pid > 0 and not isinstance(pid, bool):
            return ServerInfo(url, pid, log_id)
        case _:
            return None


def remove_server_file(data_dir: Path, pid: int) -> None:
    """Remove the file when it is that of process ``pid``. Raises ``OSError``."""
    info = read_server_file(data_dir)
    if info is not None and info.pid == pid:
        (data_dir / SERVER_FILE).unlink(missing_ok=True)


def process_is_alive(pid: int) -> bool:
    """Say whether a process has this id. In another PID namespace (a container) the answer is about another process."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def find_server(data_dir: Path) -> str:
    """Return the address of the Runtime that serves ``data_dir``.

    Raises:
        StreamError: nobody does, or its process has died; says what to do.
        OSError: the file cannot be read.
    """
    info = read_server_file(data_dir)
    if info is None:
        raise StreamError(
            str(data_dir),
            f"no Runtime serves {data_dir} (it has no {SERVER_FILE}); start one with yoi-runtime serve,"
            " or say where it is: yoi-runtime tail URL",
        )
    if not process_is_alive(info.pid):
        raise StreamError(
            str(data_dir),
            f"process {info.pid}, which served {data_dir} at {info.url}, no longer runs; start it again with"
            " yoi-runtime serve, or give the URL if it is in another container",
        )
    return info.url

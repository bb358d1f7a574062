"""A server process beside the one that writes: ``yoi-runtime serve --read-only``, as it is and with polling alone."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["read_only_server"]

_ROOT = Path(__file__).resolve().parents[2]
# As where the library is missing that asks the kernel for notices.
_WITHOUT_NOTICES = (
    "import sys; sys.modules['inotify_simple'] = None; from yoi_runtime.__main__ import main; sys.exit(main())"
)


@contextmanager
def read_only_server(data_dir: Path, *, polling: bool = False) -> Iterator[tuple[int, int]]:
    """Serve a log that others write; yields the server's process id and port. ``polling``: without the kernel's notices.

    Raises:
        RuntimeError: it does not start.
    """
    program = ["-c", _WITHOUT_NOTICES] if polling else ["-m", "yoi_runtime"]
    command = [sys.executable, *program, "serve", "--read-only", "--data-dir", str(data_dir), "--bind", "127.0.0.1:0"]
    server = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        said = server.stdout.readline()
        port = re.search(r"serving http://127\.0\.0\.1:([0-9]+) ", said)
        if port is None:
            raise RuntimeError(f"the server does not start: {said!r}")
        yield server.pid, int(port[1])
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate()

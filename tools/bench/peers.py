"""What the peers need: their Python packages in an environment of their own, Redis from the distribution.

The packages are pinned by hash in tools/bench/requirements.lock and go into .venv-bench, which belongs to
this module; nothing of theirs comes near the environment that yoi_runtime is tested in.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools import dev

__all__ = [
    "PeerMissingError",
    "nats_program",
    "nats_version",
    "package_python",
    "redis_program",
    "redis_server",
    "redis_version",
]

LOCK = dev.ROOT / "tools" / "bench" / "requirements.lock"
ENVIRONMENT = dev.ROOT / ".venv-bench"
_START_ATTEMPTS = 5


class PeerMissingError(Exception):
    """A peer cannot be had here; the text says why and what to do."""


def package_python(*, install: bool) -> Path:
    """Return the interpreter that has the peers' packages; make its environment when it is not true to the lock.

    Raises:
        PeerMissingError: there is none, and it may not or cannot be made.
    """
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / ".ready"
    made_from = f"{sys.version_info[:2]} {ENVIRONMENT}".encode() + LOCK.read_bytes()
    wanted = hashlib.sha256(made_from).hexdigest()
    if _is_ready(python, stamp, wanted):
        return python
    if not install:
        raise PeerMissingError(f"{ENVIRONMENT.name} is missing or of another lock, and nothing may be installed")
    try:
        with dev.set_up_lock():
            if not _is_ready(python, stamp, wanted):
                dev.say(f"making {ENVIRONMENT.name} for the peers (about 10 s)")
                stamp.unlink(missing_ok=True)
                dev.make_venv(ENVIRONMENT)
                dev.pip_install(
                    ENVIRONMENT, "--require-hashes", "--only-binary=:all:", "--no-deps", "--requirement", str(LOCK)
                )
                stamp.write_text(wanted, "ascii")
    except dev.SetUpError as error:
        raise PeerMissingError(f"the peers' packages could not be installed: {error}") from error
    return python


def _is_ready(python: Path, stamp: Path, wanted: str) -> bool:
    try:
        return stamp.read_text("ascii") == wanted and python.exists()
    except OSError:
        return False


def redis_program(*, install: bool) -> str:
    """Return the path of redis-server; install the distribution's (Debian, Ubuntu) when it is missing and we may.

    Raises:
        PeerMissingError: there is none.
    """
    return _program("redis-server", install=install)


def nats_program(*, install: bool) -> str:
    """Return the path of nats-server, as ``redis_program`` does. Raises ``PeerMissingError``."""
    return _program("nats-server", install=install)


def nats_version(program: str) -> str:
    """Return ``2.9.10``."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return answer.strip().removeprefix("nats-server: v")


def _program(name: str, *, install: bool) -> str:
    found = shutil.which(name)
    if found is None and install and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        dev.say(f"installing {name} with apt-get, for the comparison; no service is started")
        # RUNLEVEL=1: the package's own service stays off (invoke-rc.d(8)).
        variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", name]):
            command = ["apt-get", "--quiet=2", *arguments]
            subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
        found = shutil.which(name)
    if found is None:
        raise PeerMissingError(f"{name} is missing (Debian, Ubuntu: apt install {name})")
    return found


def redis_version(program: str) -> str:
    """Return ``7.0.15``."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return next((word[2:] for word in answer.split() if word.startswith("v=")), answer.strip())


@contextlib.contextmanager
def redis_server(program: str, directory: Path) -> Iterator[int]:
    """Run a Redis that appends to a file and syncs it every second; yields its port on the loopback.

    Raises:
        PeerMissingError: it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="redis-", dir=directory) as data:
        server, port = _start(program, Path(data))
        try:
            yield port
        finally:
            server.kill()
            server.communicate()


def _start(program: str, data: Path) -> tuple[subprocess.Popen[str], int]:
    words = ""
    for _ in range(_START_ATTEMPTS):
        port = _free_port()
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(data),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            # A rewrite of the file in the middle of a run would be Redis's loss.
            "auto-aof-rewrite-percentage": "0",
        }
        command = [program, *(word for name, value in options.items() for word in (f"--{name}", value))]
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        words = ""
        for line in server.stdout:
            words += line
            if "Ready to accept connections" in line:
                return server, port
        # Its words have ended, so it has: somebody else took the port in between.
        server.communicate()
    raise PeerMissingError(f"redis-server does not start:\n{words.strip()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""The clients that are not ours, and how each is made ready: found, installed or built outside of the tree.

Each is a program that takes one argument, a task as JSON:

    {"url": "ws://…/events/ws", "version": "v0" or "v1", "batch": false, "events": 45, "drop_after": 7}

It reads the stream from the oldest event, drops the connection after every ``drop_after`` events, connects again with
the last cursor, and prints for each event ``{"event_id","cursor","worker_id","seq","event"}``; at the end it asks with a
cursor that is none and prints ``{"diagnostic": code}``. It fails on any frame that it cannot decode.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["BUILD_VARIABLE", "CLIENTS", "NotReadyError", "Preparation", "cache_directory"]

_HERE: Final = Path(__file__).resolve().parent
# Set by ``python3 tools/dev.py foreign``: what takes a registry and a compiler is made ready only for whom asks.
BUILD_VARIABLE: Final = "YOI_FOREIGN_BUILD"
_STEP_SECONDS = 240
# The major version that the client was written with.
_NPM_WS = "ws@8"
# The newest Node that has its WebSocket behind a flag.
_NODE_WITH_FLAG = 21


class NotReadyError(Exception):
    """The client cannot run here; the text says why."""


Preparation = Callable[[], list[str]]
"""Returns the command to which the task is appended. Raises ``NotReadyError``."""


def cache_directory() -> Path:
    """Return where packages and builds are kept from one run to the next: outside of the tree."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "yoi-runtime" / "foreign"


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NotReadyError(f"{name} is not on PATH")
    return found


def _run(command: list[str], directory: Path, **variables: str) -> None:
    """Run a step that makes a client ready. Raises ``subprocess.SubprocessError``."""
    environment = {**os.environ, **variables}
    subprocess.run(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, check=True, timeout=_STEP_SECONDS)


def _fetch(command: list[str], directory: Path) -> None:
    """Run a step that takes a registry, which may be out of reach."""
    try:
        _run(command, directory)
    except subprocess.SubprocessError as error:
        raise NotReadyError(f"packages cannot be fetched: {error}") from None


def _only_when_asked() -> None:
    if not os.environ.get(BUILD_VARIABLE):
        raise NotReadyError("takes a registry; python3 tools/dev.py foreign runs it")


def _python_websockets() -> list[str]:
    return [sys.executable, str(_HERE / "websockets_client.py")]


def _node_command() -> list[str]:
    node = _program("node")
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = int(answer.stdout.strip().removeprefix("v").partition(".")[0] or 0) if answer.returncode == 0 else 0
    if major < 20:
        raise NotReadyError(f"Node 20 or later is needed, not {answer.stdout.strip() or answer.stderr.strip()}")
    flag = ["--experimental-websocket", "--no-warnings"] if major <= _NODE_WITH_FLAG else []
    return [node, *flag, str(_HERE / "node_client.mjs")]


def _node_ws() -> list[str]:
    _only_when_asked()
    node, npm = _program("node"), _program("npm")
    directory = cache_directory() / "npm"
    if not (directory / "node_modules" / "ws" / "package.json").exists():
        directory.mkdir(parents=True, exist_ok=True)
        _fetch([npm, "install", "--no-save", "--no-package-lock", "--ignore-scripts", "--silent", _NPM_WS], directory)
    return [node, str(_HERE / "node_client.mjs"), f"--modules={directory}"]


def _rust_tungstenite() -> list[str]:
    _only_when_asked()
    cargo = _program("cargo")
    directory = cache_directory() / "rust"
    source, target = directory / "source", directory / "target"
    # A copy: cargo writes its lock, with the registry's host in it, beside the manifest.
    shutil.copytree(_HERE / "rust", source, dirs_exist_ok=True)
    _fetch([cargo, "fetch", "--quiet"], source)
    # What does not compile is a fault, and no reason to skip.
    _run([cargo, "build", "--quiet", "--offline"], source, CARGO_TARGET_DIR=str(target))
    return [str(target / "debug" / "yoi-foreign-client")]


CLIENTS: Final[dict[str, Preparation]] = {
    "python_websockets": _python_websockets,
    "node_built_in": _node_command,
    "node_ws": _node_ws,
    "rust_tungstenite": _rust_tungstenite,
}

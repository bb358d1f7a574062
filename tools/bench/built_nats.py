"""A newer NATS than the distribution has, built with Go: one pinned version, in a directory of this tree alone.

Debian's does not know ``sync_interval: always``, which is the one promise of JetStream that compares with ``synced``. Go checks what it
downloads against its public database of checksums.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import dev
from tools.bench.peers import PeerMissingError

__all__ = ["VERSION", "built_nats_program"]

VERSION = "2.15.2"
DIRECTORY = dev.ROOT / ".venv-bench-nats"
_MODULE = f"github.com/nats-io/nats-server/v2@v{VERSION}"
# Where its own installer puts it, often outside of PATH.
_USUAL_GO = Path("/usr/local/go/bin/go")


def built_nats_program(*, install: bool) -> str:
    """Return the path of that nats-server; build it when it is missing and we may.

    Raises:
        PeerMissingError: there is none, and it may not or cannot be built.
    """
    program = DIRECTORY / VERSION / "nats-server"
    if program.exists():
        return str(program)
    if not install:
        raise PeerMissingError(f"NATS {VERSION} has not been built, and nothing may be installed")
    go = shutil.which("go") or (str(_USUAL_GO) if _USUAL_GO.exists() else None)
    if go is None:
        raise PeerMissingError(
            f"NATS {VERSION} is built with Go, which is missing (Debian, Ubuntu: apt install golang-go)"
        )
    with dev.set_up_lock():
        if not program.exists():
            dev.say(f"building NATS {VERSION} with Go, for the comparison (a minute or two)")
            _build(go, program)
    return str(program)


def _build(go: str, program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    # Half a gigabyte of sources and objects, wanted once.
    with tempfile.TemporaryDirectory(prefix="build-", dir=DIRECTORY) as scratch:
        variables = {
            **os.environ,
            "GOBIN": f"{scratch}/bin",
            "GOPATH": f"{scratch}/path",
            "GOCACHE": f"{scratch}/cache",
            "GOFLAGS": "-modcacherw -trimpath",
            "CGO_ENABLED": "0",
            # The one that is here, or none: no other is fetched.
            "GOTOOLCHAIN": "local",
        }
        command = [go, "install", "-ldflags=-s -w", _MODULE]
        ended = subprocess.run(
            command, env=variables, cwd=scratch, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
        )
        if ended.returncode:
            raise PeerMissingError(f"NATS {VERSION} could not be built; Go's words are above")
        # A whole file or none, whenever this is broken off.
        Path(scratch, "bin", "nats-server").replace(program)

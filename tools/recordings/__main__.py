"""Make the sample recordings again: ``python3 tools/dev.py recordings [DIR]``, by default tests/yoi_log/recordings.

- ``agents``: a coder, a reviewer and the demo's line counter side by side: turns, tools, retries, tokens, an error.
- ``build``: a build in a shell, one that fails, and a program that is killed.
- ``restarts``: one Worker in three Runtimes, the second of which is killed, with the beginning rotated out.

Words are scripted, what the programs do is real, so each making differs in its times and ids.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from yoi_runtime.runtime.child_workers import ChildWorkers
from yoi_runtime.runtime.runtime import Runtime

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "tests" / "yoi_log" / "recordings"
_KEPT = ("*.jsonl", "*.index.json", "COMMITTED")

_BUILD = """set -e
for part in one two three; do
  echo "compiling $part"
  echo "def $part(): return '$part'" > $part.py
  python3 -m py_compile $part.py
done
echo "warning: nothing tests this" >&2
echo "built $(ls *.py | wc -l) modules"
"""
_FAILING_BUILD = """echo "compiling broken"
echo "def broken(:" > broken.py
python3 -m py_compile broken.py 2>&1 | tail -n 1
echo "build failed" >&2
exit 2
"""
_KILLED = "echo working; sleep 0.5; kill -KILL $$"


def main(target: Path) -> int:
    """Make every recording below ``target``, each in place of the one before."""
    for name, make in (("agents", _agents), ("build", _build), ("restarts", _restarts)):
        with tempfile.TemporaryDirectory(prefix="yoi-recording-") as directory:
            data = Path(directory) / "data"
            make(data)
            size_bytes = _keep(data, target / name)
        print(f"{name}: {size_bytes / 1024:.0f} KiB")
    return 0


def _agents(data: Path) -> None:
    module = ("python3", "-m", "tools.recordings.coding_agent")
    asyncio.run(
        _run(
            data,
            {
                "coder": (*module, "coder"),
                "reviewer": (*module, "reviewer"),
                "counter": ("python3", "-m", "yoi_runtime.cli.demo_counter", "0.3"),
            },
            ROOT,
        )
    )


def _build(data: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="yoi-recording-") as directory:
        scripts = {"build": _BUILD, "build-broken": _FAILING_BUILD, "watcher": _KILLED}
        commands = {worker_id: ("sh", "-c", script) for worker_id, script in scripts.items()}
        asyncio.run(_run(data, commands, Path(directory)))


async def _run(data: Path, commands: Mapping[str, Sequence[str]], cwd: Path) -> None:
    runtime = Runtime.open(data)
    try:
        children = ChildWorkers(runtime)
        # By name, not by place: the command is part of the recording.
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        environment = {**os.environ, "PATH": programs, "PYTHONDONTWRITEBYTECODE": "1"}
        for worker_id, command in commands.items():
            children.start(worker_id, command, cwd=cwd, env=environment)
        await children.wait()
    finally:
        runtime.close()


def _restarts(data: Path) -> None:
    program = [sys.executable, "-m", "tools.recordings.restarting", str(data)]
    for how in ("close", "kill", "close"):
        subprocess.run([*program, how], cwd=ROOT, check=how == "close")


def _keep(data: Path, target: Path) -> int:
    """Copy what a reader needs; no lock, no reserve. Returns the bytes."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "log").mkdir(parents=True)
    for pattern in _KEPT:
        for path in (data / "log").glob(pattern):
            shutil.copyfile(path, target / "log" / path.name)
    shutil.copyfile(data / "catalog.json", target / "catalog.json")
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET))

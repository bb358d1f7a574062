"""serve-processes: the same readers, served by one process and by two on one socket."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target, ratio
from tools.bench.light_reader import Swarm, cpu_seconds
from tools.bench.serve_fan_out import stream_arguments
from tools.bench.setting import Setting

__all__ = ["run", "serve"]

READERS = 20
METHOD = (
    f"`yoi-runtime serve` and `serve --processes 2` on the log of serve-catch-up; {READERS} readers from the oldest event, v1 batch. Deliveries per second of the processor time of all server processes. "
    "Which process gets which reader is the kernel's choice. Every measurement is a fresh server; they take turns."
)


def run(setting: Setting) -> Result:
    """Measure one and two in turn."""
    events = 2_000 if setting.quick else 200_000
    found: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="processes-", dir=setting.shelf.directory) as data_dir:
        measure("serve_catch_up", "make", data_dir=data_dir, events=events, starts=1)
        for number in range(setting.rounds):
            setting.say(f"round {number + 1} of {setting.rounds}")
            for count, rates in found.items():
                rates.append(measure("serve_processes", "serve", data_dir=data_dir, processes=count, events=events))
    figures = (
        Figure("one process", "/CPU-s", tuple(found[1])),
        Figure("two processes", "/CPU-s", tuple(found[2])),
        ratio("two to one", found[2], found[1], Target(at_least=0.85)),
    )
    return Result("serve-processes", METHOD, figures)


def serve(data_dir: str, processes: int, events: int) -> float:
    """Return deliveries per CPU-second of so many server processes."""
    command = [sys.executable, "-m", "yoi_runtime", "serve", "--data-dir", data_dir, "--bind", "127.0.0.1:0"]
    server = subprocess.Popen([*command, "--processes", str(processes)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        port = int(json.loads((Path(data_dir) / "server.json").read_bytes())["url"].rpartition(":")[2])
        pids = _serving(server.pid, processes)
        before = sum(map(cpu_seconds, pids))
        swarm = Swarm(**stream_arguments(port, 1, READERS, "?from=oldest"))
        try:
            swarm.account()
        finally:
            swarm.stop()
        return READERS * events / max(sum(map(cpu_seconds, pids)) - before, 1 / os.sysconf("SC_CLK_TCK"))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def _serving(pid: int, processes: int) -> list[int]:
    """Return the server processes, once each has done what it does at its start."""
    pids: list[int] = []
    deadline = time.monotonic() + 30
    last = -1.0
    while time.monotonic() < deadline:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        pids = [pid, *map(int, children)]
        used = sum(map(cpu_seconds, pids))
        if len(pids) == processes and used - last < 2 / os.sysconf("SC_CLK_TCK"):
            return pids
        last = used
        select.select([], [], [], 0.5)
    raise RuntimeError(f"there are {len(pids)} server processes")

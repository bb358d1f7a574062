"""The server of a soak: the real program in a process of its own, and what can be seen of it from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tools.soak.judgement import Sample

__all__ = ["SoakedServer"]

_ROOT = Path(__file__).resolve().parents[2]
# About one segment a second: 100 lines of 400 bytes make about 80 KB of records.
_LINES_PER_SECOND, _LINE_BYTES = 100, 400
_SEGMENT_BYTES, _RETAIN_BYTES = 72 << 10, 1 << 20
# Full within the warm-up: a cache that fills is no leak.
_CACHE_BYTES = 4 << 20
_STOP_SECONDS = 60


class SoakedServer:
    """``yoi-runtime serve`` with a Worker that talks and one that is silent."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "log.jsonl"
        talker = f"{sys.executable} -m tools.soak.talker {_LINES_PER_SECOND} {_LINE_BYTES}"
        with self._log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "yoi_runtime", "serve", "--bind", "127.0.0.1:0"),
                    *("--data-dir", str(directory / "data"), "--log-format", "json"),
                    *("--segment-bytes", str(_SEGMENT_BYTES), "--retain-bytes", str(_RETAIN_BYTES)),
                    *("--cache-bytes", str(_CACHE_BYTES)),
                    *("--worker", f"talker={talker}", "--worker", "silent=sleep 1000000"),
                ],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        if len(words) < 3:
            raise RuntimeError(f"the server did not start: {self._log.read_text('utf-8')}")
        self.url = words[2]
        self.port = int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self._process.pid

    def sample(self, at: float) -> Sample:
        """Look at /metrics and, for what the kernel knows better, at /proc."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:  # noqa: S310 - our own server
            text = answer.read().decode()
        sums: defaultdict[str, float] = defaultdict(float)
        too_slow = 0
        for family in text_string_to_metric_families(text):
            for one in family.samples:
                sums[one.name] += one.value
                if one.name == "yoi_disconnects_total" and one.labels["code"] == "4508":
                    too_slow = int(one.value)
        return Sample(
            at,
            int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir()),
            int(sums["yoi_event_loop_tasks"]),
            int(sums["yoi_subscribers"]),
            int(sums["yoi_segments_rotated_out_total"]),
            int(sums["yoi_connects_total"]),
            int(sums["yoi_events_delivered_total"]),
            sums["yoi_lag_seconds_max"],
            too_slow,
        )

    def stop(self) -> tuple[float, int]:
        """Ask it to end; return how long that took, and its exit code."""
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_STOP_SECONDS)
        finally:
            self.kill()
        return time.monotonic() - began, code

    def kill(self) -> None:
        """End it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def notices(self) -> dict[str, int]:
        """Return what it logged, by name. Every line must be an object of JSON."""
        lines = self._log.read_text("utf-8").splitlines()
        return dict(Counter(json.loads(line)["event"] for line in lines))

"""The few read-only HTTP answers that a client may look for before it opens its stream. Pure."""

from __future__ import annotations

from yoi_runtime.protocol.paths import HEALTHZ, READYZ, RUNTIME, WORKERS
from yoi_runtime.version import VERSION

__all__ = ["view"]

_LOG_ID = "c0f0c0f0c0f0c0f0"


def view(path: str) -> tuple[int, object]:
    """Return status and body for ``path``. Any Worker that is asked for exists, and runs."""
    if path in (HEALTHZ, READYZ):
        return 200, {"status": "ok"}
    if path == RUNTIME:
        api = {"stream_versions": ["v0", "v1"]}
        runtime = {"runtime_id": f"rt-{_LOG_ID}", "log_id": _LOG_ID, "version": VERSION, "api": api}
        return 200, {"runtime": runtime}
    if path == WORKERS:
        return 200, {"workers": []}
    worker_id = path.removeprefix(f"{WORKERS}/")
    if worker_id != path and "/" not in worker_id:
        return 200, {"worker": {"worker_id": worker_id, "status": "running", "worker_seq": 0}}
    return 404, {"error": "the conformance kit plays event streams"}

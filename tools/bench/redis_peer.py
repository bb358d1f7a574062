"""Redis as a peer. Runs in the peers' environment, where redis-py is and yoi_runtime is not."""

from __future__ import annotations

import sys
import time

__all__ = ["add_entries"]

_PER_PIPELINE = 1_000
_TEXT = b"x" * 100


def add_entries(port: int, events: int, hiredis: bool) -> float:
    """Return stream entries per second, sent in pipelines; ``hiredis``: with redis-py's parser in C, an extra of its own."""
    if not hiredis:
        # What is None here cannot be imported, and redis-py then does without.
        sys.modules["hiredis"] = None  # type: ignore[assignment]
    import redis  # type: ignore[import-not-found, unused-ignore]

    client = redis.Redis(host="127.0.0.1", port=port)
    client.ping()
    start = time.perf_counter()
    for first in range(0, events, _PER_PIPELINE):
        pipeline = client.pipeline(transaction=False)
        for _ in range(min(_PER_PIPELINE, events - first)):
            pipeline.xadd("events", {"worker_id": "coder", "event": "text_delta", "text": _TEXT})
        pipeline.execute()
    took = time.perf_counter() - start
    client.close()
    return events / took

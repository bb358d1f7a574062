"""All benches there are. A new one is a module with ``run(setting) -> Result``, a line here and a section in docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tools.bench import (
    append,
    client,
    group_commit,
    memory,
    open_log,
    serve_catch_up,
    serve_fan_out,
    serve_handshakes,
    serve_idle,
    serve_latency,
    serve_processes,
    serve_scoped,
    serve_stalled,
)
from tools.bench.figures import Result
from tools.bench.setting import Setting

__all__ = ["BENCHES", "Bench"]


class Bench(NamedTuple):
    """``rounds``: how often everything is measured, unless the person says otherwise."""

    name: str
    summary: str
    rounds: int
    run: Callable[[Setting], Result]


BENCHES = {
    bench.name: bench
    for bench in (
        Bench("append", "typed appends per second, beside Redis and SQLite", 7, append.run),
        Bench("group-commit", "events per second when each is awaited until durable", 7, group_commit.run),
        Bench("open", "opening and resuming in a log of 10 GB, beside smaller ones", 7, open_log.run),
        Bench("serve-fan-out", "live events to 50 subscribers, beside NATS and naive servers", 5, serve_fan_out.run),
        Bench("serve-catch-up", "readers of an old log, beside JetStream and Redis", 5, serve_catch_up.run),
        Bench("serve-scoped", "1,000 Workers with a subscriber each; one Worker's resume in 1 GB", 3, serve_scoped.run),
        Bench("serve-latency", "from append to receipt, beside JetStream that syncs", 3, serve_latency.run),
        Bench("serve-handshakes", "subscribers that come, beside NATS and naive Tornado", 5, serve_handshakes.run),
        Bench("serve-idle", "subscribers who get nothing, where the log is written and elsewhere", 3, serve_idle.run),
        Bench("serve-stalled", "subscribers who read nothing, and others beside them", 3, serve_stalled.run),
        Bench("serve-processes", "two server processes on one socket beside one", 3, serve_processes.run),
        Bench("memory", "memory of an open log of 10 MB and of 10 GB", 5, memory.run),
        Bench("client", "our client on a backlog, beside the websockets client", 3, client.run),
    )
}

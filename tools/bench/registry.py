"""All benches there are. A new one is a module with ``run(setting) -> Result``, a line here and a section in docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tools.bench import append, client, group_commit, memory, open_log
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
        Bench("memory", "memory of an open log of 10 MB and of 10 GB", 5, memory.run),
        Bench("client", "our client on a backlog, beside the websockets client", 3, client.run),
    )
}

"""How much of this server anybody may take: the limits, and what is counted against them. Pure.

Each server process counts for itself. What is refused is counted by its reason; metrics read the counters as they are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["USUAL_SUBSCRIBERS", "LimitCounters", "Limits", "RefusedBecause", "SubscriberPlaces"]


# Each costs about 20 KiB, and a descriptor.
USUAL_SUBSCRIBERS = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Defaults for one process. None: no limit of its own."""

    # None: USUAL_SUBSCRIBERS, or as many as fit under the limit of open files.
    subscribers: int | None = None
    subscribers_per_token: int | None = None
    subscribers_per_worker: int | None = None
    # Connections that have not sent a good request yet. A good peer is among them for milliseconds.
    unfinished: int = 256
    # For the head of a request, and for the first good request of a connection.
    header_seconds: float = 10.0
    header_bytes: int = 8 << 10
    # What a subscriber may send. A keepalive needs one ping in 20 s, and 131 bytes each are the most.
    pings_per_second: int = 50
    inbound_bytes_per_second: int = 16 << 10
    # For what is no connection: segments, indexes, transcripts, pipes of Workers. They must not run out for subscribers.
    reserve_descriptors: int = 128

    def __post_init__(self) -> None:
        """Refuse what would serve nobody.

        Raises:
            ValueError: a limit is below its least value; says which.
        """
        least = {
            "subscribers": 1,
            "subscribers_per_token": 1,
            "subscribers_per_worker": 1,
            "unfinished": 1,
            "header_bytes": 1 << 10,
            "pings_per_second": 1,
            "inbound_bytes_per_second": 1 << 10,
            "reserve_descriptors": 0,
        }
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise ValueError(f"{name} is {value}, and at least {bound:,}")
        if self.header_seconds <= 0:
            raise ValueError("header_seconds is no time at all")


class RefusedBecause(StrEnum):
    """Why a connection or a request was turned away."""

    BROWSER = "browser"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    SUBSCRIBERS = "subscribers"
    SUBSCRIBERS_PER_TOKEN = "subscribers_per_token"  # noqa: S105 - no password
    SUBSCRIBERS_PER_WORKER = "subscribers_per_worker"
    # Dropped before their first good request: too many of them, or too slow.
    UNFINISHED = "unfinished"
    # No descriptor was left for another connection.
    DESCRIPTORS = "descriptors"
    HEADERS = "headers"
    FLOOD = "flood"
    # Streams ended because their token expired or was revoked.
    REVOKED = "revoked"


@dataclass(slots=True)
class LimitCounters:
    """What there is now, and what was refused since the start."""

    active: int = 0
    unfinished: int = 0
    connections: int = 0
    refused: Counter[RefusedBecause] = field(default_factory=Counter)


class SubscriberPlaces:
    """The places for subscribers: in all, by token, by Worker."""

    def __init__(self, limits: Limits, counters: LimitCounters) -> None:
        self._limits = limits
        self._counters = counters
        self._by_token: Counter[str] = Counter()
        self._by_worker: Counter[str] = Counter()

    def full(self, token_id: str | None, worker_id: str | None) -> RefusedBecause | None:
        """Return which limit forbids one more, None when there is a place."""
        limits = self._limits
        if _reached(self._counters.active, limits.subscribers):
            return RefusedBecause.SUBSCRIBERS
        if token_id is not None and _reached(self._by_token[token_id], limits.subscribers_per_token):
            return RefusedBecause.SUBSCRIBERS_PER_TOKEN
        if worker_id is not None and _reached(self._by_worker[worker_id], limits.subscribers_per_worker):
            return RefusedBecause.SUBSCRIBERS_PER_WORKER
        return None

    def take(self, token_id: str | None, worker_id: str | None) -> None:
        self._count(token_id, worker_id, 1)

    def leave(self, token_id: str | None, worker_id: str | None) -> None:
        self._count(token_id, worker_id, -1)

    def _count(self, token_id: str | None, worker_id: str | None, step: int) -> None:
        self._counters.active += step
        for counts, name in ((self._by_token, token_id), (self._by_worker, worker_id)):
            if name is not None:
                counts[name] += step
                if not counts[name]:
                    del counts[name]


def _reached(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit

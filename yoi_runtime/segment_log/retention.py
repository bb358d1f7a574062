"""Which segments to rotate out. Decides, and touches nothing: the writer deletes.

Three rules, whichever bites first: total bytes, age, number of segments. The active segment always
stays. Age is counted from the moment a segment was sealed, against a clock that cannot jump (see
``SteadyClock``), because a wall clock that leaps ten years must not delete a log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from yoi_runtime.segment_log.platform import Clock

__all__ = ["Aged", "RetentionPolicy", "SteadyClock", "count_to_rotate_out"]

_DAY_US = 86_400 * 1_000_000
# Between two runs of a Runtime the wall clock is believed for this long; a larger step is a jump.
_LARGEST_BELIEVED_STEP_US = 400 * _DAY_US


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How much backlog is kept. ``None`` switches a rule off."""

    retain_bytes: int | None = 1 << 30
    retain_age_seconds: float | None = 7 * 86_400
    retain_segments: int | None = None


class Aged(Protocol):
    """A sealed segment as the decision sees it; ``sealed_us`` in microseconds since 1970. Looking may read a file."""

    @property
    def size_bytes(self) -> int: ...
    @property
    def sealed_us(self) -> int: ...


def count_to_rotate_out(sealed: Sequence[Aged], active_bytes: int, policy: RetentionPolicy, now_us: int) -> int:
    """Return how many of ``sealed`` (oldest first) to delete, from the oldest on. Looks only at what the rules ask for."""
    too_large = 0
    if policy.retain_bytes is not None:
        too_large = active_bytes + sum(segment.size_bytes for segment in sealed) - policy.retain_bytes
    count = 0
    for index, segment in enumerate(sealed):
        too_many_bytes = too_large > 0
        too_many = policy.retain_segments is not None and len(sealed) + 1 - index > policy.retain_segments
        too_old = (
            policy.retain_age_seconds is not None and now_us - segment.sealed_us > policy.retain_age_seconds * 1_000_000
        )
        if not (too_many_bytes or too_many or too_old):
            break
        too_large -= segment.size_bytes
        count = index + 1
    return count


class SteadyClock:
    """Wall time that moves only as the monotonic clock does.

    It starts at the wall clock's reading, unless that lies before the newest time in the log or more
    than 400 days after it: then it starts at the log's time, so nothing ages by the jump.
    """

    def __init__(self, clock: Clock, newest_us: int | None) -> None:
        self._clock = clock
        start_us = clock.now_us()
        if newest_us is not None and not 0 <= start_us - newest_us <= _LARGEST_BELIEVED_STEP_US:
            start_us = newest_us
        self._start_us = start_us
        self._start = clock.monotonic()

    def now_us(self) -> int:
        return self._start_us + int((self._clock.monotonic() - self._start) * 1_000_000)

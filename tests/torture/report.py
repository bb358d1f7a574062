"""How much a suite does, and what it says it did: a run that exercised less than it should has failed."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeVar

__all__ = ["Budget", "Goal", "Report", "Size", "Suite", "VacuousError"]

_T = TypeVar("_T")
# Of a run in time, this share of what is due is due however little of the processor it got.
_LEAST_SHARE = 0.05
# A suite that gets no further in so many rounds never will.
_ROUNDS_WITHOUT_PROGRESS = 1000

Size = Literal["short", "small", "large"]


class VacuousError(AssertionError):
    """The suite found nothing because it did not look: a count stayed below what it has to reach."""


@dataclass(frozen=True)
class Goal:
    """How often a thing has to be done in each size, and how often a second by one process in a run in time.

    ``per_second`` is a tenth to a fifth of what an idle machine does.
    """

    short: int
    small: int
    large: int
    per_second: float


class Budget:
    """The size of a run: counted, the same each time, or in seconds. Several processes may share it, a part each.

    ``short`` is what every test run does, ``small`` what every commit has to bear, ``large`` all that was promised.
    """

    def __init__(
        self, size: Size | None = None, seconds: float | None = None, *, part: int = 0, parts: int = 1
    ) -> None:
        assert (size is None) != (seconds is None)
        self.size = size
        self.seconds = seconds
        self.part = part
        self.parts = parts
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def is_short(self) -> bool:
        return self.size == "short"

    def has_time(self) -> bool:
        """Return whether time is left, in a run in time."""
        return self._end is not None and time.monotonic() < self._end

    def goal(self, goal: Goal) -> int:
        """Return how often something has to be done, by all parts together."""
        if self.seconds is not None:
            return max(1, int(goal.per_second * self.seconds * self.parts))
        return {"short": goal.short, "small": goal.small, "large": goal.large}[self.size or "short"]

    def __str__(self) -> str:
        shared = f" in {self.parts} processes" if self.parts > 1 else ""
        return (f"{self.seconds:g} s" if self.seconds is not None else f"size {self.size}") + shared


class Report:
    """What one run of a suite exercised, and how much of each thing it has to."""

    def __init__(self, suite: str, seed: int, budget: Budget) -> None:
        self.suite = suite
        self.seed = seed
        self.budget = budget
        self.counts: Counter[str] = Counter()
        self.peaks: dict[str, float] = {}
        self._floors: dict[str, int] = {}
        self._rates: dict[str, float] = {}
        self._timed: set[str] = set()
        self._goal = ""
        self._started = time.monotonic(), time.process_time()
        self._stopped: float | None = None
        self.processor_seconds = 0.0

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] += number

    def note_peak(self, what: str, value: float) -> None:
        """Keep the highest ``value`` that there was."""
        self.peaks[what] = max(value, self.peaks.get(what, value))

    def until(self, what: str, goal: Goal) -> Iterator[int]:
        """Number rounds, differently in each part, until ``what`` was done often enough; in a run in time, until that is up.

        What was done before counts; when nothing was, there is one round at least.
        """
        self._goal = what
        self._floors[what] = self.budget.goal(goal)
        self._timed.add(what)
        share = -(-self._floors[what] // self.budget.parts)
        since, reached = 0, self.counts[what]
        for number in itertools.count(self.budget.part, self.budget.parts):
            is_timed = self.budget.seconds is not None
            if self.counts[what] and not (self.budget.has_time() if is_timed else self.counts[what] < share):
                return
            if since == _ROUNDS_WITHOUT_PROGRESS:
                raise VacuousError(f"{self.suite}, seed {self.seed}: {since} rounds, and none of {what}")
            yield number
            since = since + 1 if self.counts[what] == reached else 0
            reached = self.counts[what]

    def each(self, what: str, cases: Sequence[_T], rng: Random, *, short: int, per_second: float) -> Iterator[_T]:
        """Go through this part's share of ``cases``, and count each as ``what``.

        All of them, but in the short size ``short`` that are drawn, and in a run in time in any order until it is up.
        Cases and ``rng`` are the same in every part.
        """
        chosen = list(cases)
        floor = len(chosen)
        if self.budget.is_short:
            chosen = rng.sample(chosen, min(short, len(chosen)))
            floor = len(chosen)
        elif self.budget.seconds is not None:
            rng.shuffle(chosen)
            floor = min(floor, self.budget.goal(Goal(0, 0, 0, per_second)))
            self._timed.add(what)
        self._floors[what] = floor
        for case in chosen[self.budget.part :: self.budget.parts]:
            if self.budget.seconds is not None and self.counts[what] and not self.budget.has_time():
                return
            yield case
            self.count(what)

    def require(self, what: str, floor: int) -> None:
        """Say how much of ``what`` there has to be, by all parts together."""
        self._floors[what] = floor

    def require_share(self, what: str, share: float) -> None:
        """Say how much of ``what`` there has to be as a share of what ``until`` counts, one at least."""
        self._rates[what] = share

    @contextmanager
    def case(self, name: str) -> Iterator[None]:
        """Name what is tried, so that a failure says how to try it again."""
        try:
            yield
        except BaseException as error:
            part = f", part {self.budget.part + 1} of {self.budget.parts}" if self.budget.parts > 1 else ""
            error.add_note(f"{self.suite}, seed {self.seed}{part}: {name}")
            raise

    @property
    def floors(self) -> dict[str, int]:
        """Return how much there has to be of what."""
        floors = dict(self._floors)
        if self.budget.seconds:
            # On a machine that does other things too, what is due follows the processor's time.
            share = min(1.0, max(_LEAST_SHARE, self.processor_seconds / (self.budget.seconds * self.budget.parts)))
            floors |= {what: max(1, int(floors[what] * share)) for what in self._timed}
        done = self.counts[self._goal]
        return floors | {what: max(1, int(share * done)) for what, share in self._rates.items()}

    def stop(self) -> Report:
        """End the work of this process; of a run that others share, the whole is still to come."""
        self._stopped = time.monotonic()
        self.processor_seconds += time.process_time() - self._started[1]
        return self

    def take_in(self, part: Report) -> None:
        """Count what one of several processes exercised that share this run; each knows what is due by all."""
        self.counts.update(part.counts)
        self.processor_seconds += part.processor_seconds
        self._floors, self._rates, self._timed, self._goal = part._floors, part._rates, part._timed, part._goal
        for what, value in part.peaks.items():
            self.note_peak(what, value)

    @property
    def elapsed_seconds(self) -> float:
        return (self._stopped or time.monotonic()) - self._started[0]

    def finish(self) -> Report:
        """End the run.

        Raises:
            VacuousError: something was not exercised as often as it has to be.
        """
        floors = self.floors
        short = [
            f"{what}: {self.counts[what]}, at least {floor} are due"
            for what, floor in floors.items()
            if self.counts[what] < floor
        ]
        if short:
            raise VacuousError("\n".join([f"{self.suite}, seed {self.seed}, exercised too little", *short, str(self)]))
        return self

    def summary(self) -> str:
        """Return in one line what has to be exercised, and was."""
        parts = [f"{self.counts[what]:,} {what}" for what in self.floors]
        return f"{self.suite}, seed {self.seed}, {self.elapsed_seconds:.0f} s: {', '.join(parts)}"

    def __str__(self) -> str:
        floors = self.floors
        lines = [
            f"{self.suite}: seed {self.seed}, {self.budget}, took {self.elapsed_seconds:.1f} s, {self.processor_seconds:.1f} s of the processor"
        ]
        lines += [f"  {self.counts[what]:>10,}  {what}  (at least {floor:,})" for what, floor in floors.items()]
        others = sorted(what for what in self.counts if what not in floors)
        lines += [f"  {self.counts[what]:>10,}  {what}" for what in others]
        lines += [f"  {value:>10.3g}  {what}, at most" for what, value in sorted(self.peaks.items())]
        return "\n".join(lines)


# A suite: a seed and a size in, what was exercised out; whatever is wrong is raised.
Suite = Callable[[int, Budget], Report]

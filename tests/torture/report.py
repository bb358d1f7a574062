"""How long a suite may run, and what it says it did: a run that exercised less than it should has failed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Budget", "Report", "Suite", "VacuousError"]


class VacuousError(AssertionError):
    """The suite found nothing because it did not look: a count stayed below what it has to reach."""


class Budget:
    """The size of a run: ``Budget.small()`` is counted, the same each time; ``Budget.of_seconds`` goes on until time is up."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    @classmethod
    def small(cls) -> Budget:
        """Return the size that every commit can bear."""
        return cls(None)

    @classmethod
    def of_seconds(cls, seconds: float) -> Budget:
        """Return a size in time; a suite ends the round it is in, so it takes a little longer."""
        return cls(seconds)

    @property
    def is_small(self) -> bool:
        return self.seconds is None

    def rounds(self, small: int) -> Iterator[int]:
        """Count rounds: ``small`` of them, or one at least and then until time is up."""
        number = 0
        while number < small if self._end is None else number == 0 or time.monotonic() < self._end:
            yield number
            number += 1

    def floor(self, small: int, per_second: float | None) -> int:
        """Return what has to be reached: ``small``, or so many a second (a third of what a 2-core machine does).

        ``per_second`` None: the work is the same in both sizes.
        """
        return small if self.seconds is None or per_second is None else int(self.seconds * per_second)


class Report:
    """What one run of a suite exercised, and how much of each thing it has to."""

    def __init__(self, suite: str, seed: int, budget: Budget) -> None:
        self.suite = suite
        self.seed = seed
        self.budget = budget
        self.counts: Counter[str] = Counter()
        self._floors: dict[str, int] = {}
        self._started = time.monotonic()
        self.elapsed_seconds = 0.0

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] += number

    def require(self, what: str, small: int, per_second: float | None = None) -> None:
        """Say how much of ``what`` there has to be, at least one."""
        self._floors[what] = max(1, self.budget.floor(small, per_second))

    @contextmanager
    def case(self, name: str) -> Iterator[None]:
        """Name what is tried, so that a failure says how to try it again."""
        try:
            yield
        except BaseException as error:
            error.add_note(f"{self.suite}, seed {self.seed}: {name}")
            raise

    def finish(self) -> Report:
        """End the run.

        Raises:
            VacuousError: something was not exercised as often as it has to be.
        """
        self.elapsed_seconds = time.monotonic() - self._started
        short = [
            f"{what}: {self.counts[what]}, at least {floor} are due"
            for what, floor in self._floors.items()
            if self.counts[what] < floor
        ]
        if short:
            raise VacuousError("\n".join([f"{self.suite}, seed {self.seed}, exercised too little", *short, str(self)]))
        return self

    def summary(self) -> str:
        """Return in one line what has to be exercised, and was."""
        parts = [f"{self.counts[what]:,} {what}" for what in self._floors]
        return f"{self.suite}, seed {self.seed}, {self.elapsed_seconds:.0f} s: {', '.join(parts)}"

    def __str__(self) -> str:
        size = "small" if self.budget.seconds is None else f"{self.budget.seconds:g} s"
        lines = [f"{self.suite}: seed {self.seed}, size {size}, {self.elapsed_seconds:.1f} s"]
        lines += [f"  {self.counts[what]:>10,}  {what}  (at least {floor})" for what, floor in self._floors.items()]
        others = sorted(what for what in self.counts if what not in self._floors)
        lines += [f"  {self.counts[what]:>10,}  {what}" for what in others]
        return "\n".join(lines)


# A suite: a seed and a size in, what was exercised out; whatever is wrong is raised.
Suite = Callable[[int, Budget], Report]

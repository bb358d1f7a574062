"""What a bench finds: figures, each measured several times, and the targets they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Figure", "Result", "Target", "ratio"]


@dataclass(frozen=True, slots=True)
class Target:
    """What the design asks of a median: ``at_least`` or ``at_most`` that much, in the figure's unit."""

    at_least: float | None = None
    at_most: float | None = None

    def is_met_by(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        low = None if self.at_least is None else f">= {show(self.at_least)}"
        high = None if self.at_most is None else f"<= {show(self.at_most)}"
        return ", ".join(part for part in (low, high) if part is not None)


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, once in each round. ``unit`` is empty for a ratio."""

    name: str
    unit: str
    values: tuple[float, ...]
    target: Target | None = None

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def is_met(self) -> bool | None:
        """Return whether the median meets the target, None without one."""
        return None if self.target is None else self.target.is_met_by(self.median)

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "lowest": min(self.values),
            "highest": max(self.values),
            "values": list(self.values),
            "target": None if self.target is None else str(self.target),
            "met": self.is_met,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """All that one run of a bench found. ``method``: how, in sentences; ``notes``: what this run lacked."""

    bench: str
    method: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()


def ratio(name: str, of: Sequence[float], to: Sequence[float], target: Target | None = None) -> Figure:
    """Return ``of`` / ``to``, round by round: what slowed the machine for a moment slowed both sides of a round."""
    return Figure(name, "", tuple(one / other for one, other in zip(of, to, strict=True)), target)


def show(value: float) -> str:
    """Return a number as people read it: three digits that count, thousands with commas."""
    if abs(value) >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{float(f'{value:.3g}'):g}"

"""How results are told: as text, as JSON, and as the sections of docs/performance.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.bench.figures import Figure, Result, show
from tools.bench.plot import as_svg

__all__ = ["Circumstances", "MarkerError", "as_json", "as_text", "write_section"]


class MarkerError(Exception):
    """The document has no place for a section; the text says which is missing."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When and where the figures were taken. ``busy``: the share of the processors that others used just before."""

    date: str
    machine: str
    busy: float | None
    quick: bool

    def sentence(self, result: Result) -> str:
        busy = "an unknown share" if self.busy is None else f"{self.busy:.0%}"
        parts = [
            self.date,
            self.machine,
            *result.notes,
            f"rounds: {len(result.figures[0].values)}",
            f"others used {busy} of the processors just before",
        ]
        return "; ".join(parts) + "."


def as_text(result: Result, circumstances: Circumstances) -> str:
    """Return what a person reads in the terminal."""
    rows = [("", "median", "lowest .. highest", "target", ""), *map(_row, result.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    quick = "\nQuick: these figures say only that it runs." if circumstances.quick else ""
    return f"{result.bench}\n\n" + "\n".join(lines) + f"\n\n{result.method}\n{circumstances.sentence(result)}{quick}\n"


def _row(figure: Figure) -> tuple[str, str, str, str, str]:
    unit = f" {figure.unit}" if figure.unit and not figure.unit.startswith("/") else figure.unit
    verdict = {None: "", True: "met", False: "not met"}[figure.is_met]
    spread = f"{show(min(figure.values))} .. {show(max(figure.values))}"
    target = "" if figure.target is None else str(figure.target)
    return figure.name, show(figure.median) + unit, spread, target, verdict


def as_json(results: Sequence[Result], circumstances: Circumstances) -> str:
    """Return one JSON object with every single value."""
    return json.dumps(
        {
            "date": circumstances.date,
            "machine": circumstances.machine,
            "busy": circumstances.busy,
            "quick": circumstances.quick,
            "benches": [
                {
                    "name": result.bench,
                    "method": result.method,
                    "notes": list(result.notes),
                    "figures": [figure.to_json() for figure in result.figures],
                }
                for result in results
            ],
        },
        indent=1,
    )


def write_section(document: Path, result: Result, circumstances: Circumstances) -> None:
    """Replace what stands between the markers of one bench, and its picture; the rest of the document stays as it is.

    Raises:
        MarkerError: the markers are missing; nothing was changed.
    """
    text = document.read_text("utf-8")
    begin, end = f"<!-- begin of {result.bench} -->\n", f"<!-- end of {result.bench} -->"
    before, opened, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise MarkerError(f"{document.name} has no section between '{begin.strip()}' and '{end}'")
    picture = document.parent / document.stem / f"{result.bench}.svg"
    picture.parent.mkdir(exist_ok=True)
    picture.write_text(as_svg(result), "utf-8")
    document.write_text(before + begin + _section(result, circumstances) + end + after, "utf-8")


def _section(result: Result, circumstances: Circumstances) -> str:
    lines = ["| what | median | lowest .. highest | target | |", "|---|--:|--:|--:|---|"]
    lines += [f"| {' | '.join(_row(figure))} |" for figure in result.figures]
    picture = f"![{result.bench}](performance/{result.bench}.svg)"
    return "\n" + "\n".join(lines) + f"\n\n{picture}\n\n{result.method}\n\n{circumstances.sentence(result)}\n\n"

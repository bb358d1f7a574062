"""A result as a picture: horizontal bars of the medians, with the spread as a thin line, in an SVG file. No library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tools.bench.figures import Figure, Result, show

__all__ = ["as_svg"]

_WIDTH = 900
_NAME_WIDTH = 380
_BAR_WIDTH = 380
_ROW = 24
_HEAD = 34


def as_svg(result: Result) -> str:
    """Return the picture: the figures of each unit together, on a scale of their own. A target is a mark on its bar."""
    groups: dict[str, list[Figure]] = {}
    for figure in result.figures:
        groups.setdefault(figure.unit, []).append(figure)
    rows: list[str] = []
    y = 10
    for unit, figures in groups.items():
        rows.append(_text(10, y + 18, _title(unit), "font-weight:bold"))
        y += _HEAD
        most = max(max(figure.values) for figure in figures) or 1.0
        for figure in figures:
            rows += _bar(figure, y, most)
            y += _ROW
        y += 10
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" viewBox="0 0 {_WIDTH} {y}" '
        'font-family="sans-serif" font-size="13">'
    )
    return "\n".join(
        [
            head,
            f"<title>{escape(result.bench)}</title>",
            f'<rect width="{_WIDTH}" height="{y}" fill="#fff"/>',
            *rows,
            "</svg>",
            "",
        ]
    )


def _title(unit: str) -> str:
    return {"": "ratios", "/s": "per second", "/CPU-s": "per second of the server's processor time"}.get(unit, unit)


def _bar(figure: Figure, y: int, most: float) -> Sequence[str]:
    def x(value: float) -> float:
        return round(_NAME_WIDTH + value / most * _BAR_WIDTH, 1)

    color = {None: "#8a94a6", True: "#2f7d4f", False: "#b3541e"}[figure.is_met]
    drawn = [
        _text(_NAME_WIDTH - 8, y + 15, figure.name, "text-anchor:end"),
        f'<rect x="{_NAME_WIDTH}" y="{y + 3}" width="{x(figure.median) - _NAME_WIDTH:.1f}" height="16" fill="{color}"/>',
        f'<line x1="{x(min(figure.values))}" x2="{x(max(figure.values))}" y1="{y + 11}" y2="{y + 11}" stroke="#222"/>',
        _text(x(max(figure.values)) + 8, y + 15, show(figure.median), ""),
    ]
    bounds = (figure.target.at_least, figure.target.at_most) if figure.target is not None else ()
    drawn += [
        f'<line x1="{x(bound)}" x2="{x(bound)}" y1="{y}" y2="{y + 22}" stroke="#000" stroke-width="2"/>'
        for bound in bounds
        if bound is not None and bound <= most
    ]
    return drawn


def _text(x: float, y: float, text: str, style: str) -> str:
    styled = f' style="{style}"' if style else ""
    return f'<text x="{x}" y="{y}"{styled}>{escape(text)}</text>'

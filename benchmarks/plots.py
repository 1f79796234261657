"""Plots as SVG, readable on light and on dark pages: bars with their spread, and lines.

Nothing is known here of what was measured; numbers come with their words.
"""

from __future__ import annotations

import dataclasses
import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STYLE = """
text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #57606a; }
.title { font-size: 16px; font-weight: 600; fill: #1f2328; }
.panel { font-weight: 600; fill: #1f2328; }
.ours { fill: #0969da; }
.peer { fill: #8c959f; }
.limit { stroke: #cf222e; stroke-dasharray: 5 4; }
.limit-text { fill: #cf222e; }
.grid { stroke: #d0d7de; }
.spread { stroke: #1f2328; stroke-width: 1.5; }
.line { fill: none; stroke-width: 2; }
.c0 { stroke: #0969da; fill: #0969da; } .c1 { stroke: #bc4c00; fill: #bc4c00; }
.c2 { stroke: #1a7f37; fill: #1a7f37; } .c3 { stroke: #8250df; fill: #8250df; }
.c4 { stroke: #9a6700; fill: #9a6700; } .c5 { stroke: #bf3989; fill: #bf3989; }
.line.c0, .line.c1, .line.c2, .line.c3, .line.c4, .line.c5 { fill: none; }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1; }
.title, .panel { fill: #f0f6fc; }
.ours { fill: #4493f8; }
.peer { fill: #6e7681; }
.limit { stroke: #f85149; } .limit-text { fill: #f85149; }
.grid { stroke: #3d444d; }
.spread { stroke: #f0f6fc; }
.c0 { stroke: #4493f8; fill: #4493f8; } .c1 { stroke: #db6d28; fill: #db6d28; }
.c2 { stroke: #3fb950; fill: #3fb950; } .c3 { stroke: #ab7df8; fill: #ab7df8; }
.c4 { stroke: #d29922; fill: #d29922; } .c5 { stroke: #db61a2; fill: #db61a2; }
}
"""
WIDTH, MARGIN, ROW, TITLE = 860, 16, 26, 48
LABEL, VALUE = 190, 150
COLORS = 6


@dataclasses.dataclass(frozen=True)
class Bar:
    """One value with its spread.

    Attributes:
        label: Whose it is.
        median: The bar's end.
        least: Where the spread begins.
        greatest: Where it ends.
        is_ours: Whether it stands out.
    """

    label: str
    median: float
    least: float
    greatest: float
    is_ours: bool = False


@dataclasses.dataclass(frozen=True)
class Panel:
    """Bars that share a scale.

    Attributes:
        title: What is measured, its unit, and which way is better.
        bars: From top to bottom.
    """

    title: str
    bars: Sequence[Bar]


@dataclasses.dataclass(frozen=True)
class Axis:
    """What is laid along one side.

    Attributes:
        title: What, and its unit.
        is_log: Whether equal steps are equal ratios.
        least: Where it begins; `None` for 0, or for the least value where it is logarithmic.
        is_round: Whether it goes from one power of ten to another.
    """

    title: str
    is_log: bool = False
    least: float | None = None
    is_round: bool = False


def draw_bars(title: str, subtitle: str, panels: Sequence[Panel]) -> str:
    """Draw panels of bars, one below the other."""
    shapes, y = [], TITLE + 8
    for panel in panels:
        shapes.append(_text(MARGIN, y + 16, panel.title, "panel"))
        y += ROW
        scale = (WIDTH - LABEL - VALUE - MARGIN) / max(bar.greatest for bar in panel.bars)
        for bar in panel.bars:
            shapes += _bar(bar, y, scale)
            y += ROW
        y += 12
    return _page(title, subtitle, y, shapes)


def _bar(bar: Bar, y: float, scale: float) -> list[str]:
    kind = "ours" if bar.is_ours else "peer"
    middle, width = y + ROW / 2, bar.median * scale
    least, greatest = (LABEL + value * scale for value in (bar.least, bar.greatest))
    spread = f"{_short(bar.median)}  ({_short(bar.least)}-{_short(bar.greatest)})"
    return [
        _text(LABEL - 8, middle + 4, bar.label, "panel" if bar.is_ours else "", "end"),
        f'<rect class="{kind}" x="{LABEL}" y="{y + 4}" width="{width:.1f}" height="18" rx="2"/>',
        *(
            f'<line class="spread" x1="{a:.1f}" y1="{b}" x2="{c:.1f}" y2="{d}"/>'
            for a, b, c, d in (
                (least, middle, greatest, middle),
                (least, middle - 4, least, middle + 4),
                (greatest, middle - 4, greatest, middle + 4),
            )
        ),
        _text(greatest + 8, middle + 4, spread),
    ]


def draw_lines(
    title: str,
    subtitle: str,
    x_axis: Axis,
    y_axis: Axis,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    limit: tuple[float, str] | None = None,
) -> str:
    """Draw series of points, each with a line through it, and a limit with its name."""
    left, top, bottom = 70, TITLE + 40, TITLE + 350
    right = WIDTH - MARGIN
    points = [point for line in series.values() for point in line]
    across = _Scale(x_axis, sorted({x for x, _ in points}), left, right - 10)
    heights = [y for _, y in points] + ([limit[0]] if limit else [])
    up = _Scale(y_axis, heights, bottom, top)
    shapes = []
    for tick in up.ticks():
        y = up(tick)
        shapes.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        shapes.append(_text(left - 8, y + 4, _short(tick), "", "end"))
    shapes += [
        _text(across(x), bottom + 20, _short(x), "", "middle")
        for x in (across.values if len(across.values) <= 12 or x_axis.is_log else across.ticks())
    ]
    shapes.append(_text((left + right) / 2, bottom + 42, x_axis.title, "", "middle"))
    shapes.append(_text(MARGIN, top - 18, y_axis.title))
    if limit:
        y = up(limit[0])
        shapes.append(f'<line class="limit" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        shapes.append(_text((left + right) / 2, y - 6, limit[1], "limit-text", "middle"))
    legend = bottom + 66
    for number, (name, line) in enumerate(series.items()):
        color = f"c{number % COLORS}"
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line)
        shapes.append(f'<polyline class="line {color}" points="{path}"/>')
        shapes += [
            f'<circle class="{color}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="3.5"/>'
            for x, y in line
        ]
        x = left + (number % 2) * (right - left) / 2
        shapes.append(f'<circle class="{color}" cx="{x + 5}" cy="{legend - 4}" r="5"/>')
        shapes.append(_text(x + 18, legend, name))
        legend += 22 * (number % 2)
    return _page(title, subtitle, legend + 26 * (len(series) % 2), shapes)


class _Scale:
    def __init__(self, axis: Axis, values: Sequence[float], begin: float, end: float) -> None:
        self.values = values
        self.is_log = axis.is_log
        least = axis.least
        if least is None:
            least = min(values) if axis.is_log else 0
        greatest = max(values) if axis.is_log else 1.08 * max(values)
        if axis.is_round:
            least = 10.0 ** math.floor(math.log10(least))
            greatest = 10.0 ** math.ceil(math.log10(greatest))
        self.span = self._place(least), self._place(greatest)
        self.begin, self.end = begin, end
        self.least, self.greatest = least, greatest

    def _place(self, value: float) -> float:
        return math.log(value) if self.is_log else value

    def __call__(self, value: float) -> float:
        low, high = self.span
        share = (self._place(value) - low) / ((high - low) or 1)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        if self.is_log:
            low, high = (math.log10(v) for v in (self.least, self.greatest))
            return [10.0**power for power in range(math.ceil(low - 1e-9), math.floor(high) + 1)]
        rough = (self.greatest - self.least) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * next(n for n in (1, 2, 5, 10) if n * power >= rough)
        first = math.ceil(self.least / step)
        return [n * step for n in range(first, math.floor(self.greatest / step) + 1)]


def _short(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:.3g}M"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    turned = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{named}{turned}>{escape(text)}</text>'


def _page(title: str, subtitle: str, height: float, shapes: Sequence[str]) -> str:
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'width="{WIDTH}" height="{height:.0f}" role="img" aria-label="{escape(title)}">\n'
        f"<style>{STYLE}</style>\n{_text(MARGIN, 24, title, 'title')}\n"
        f"{_text(MARGIN, 44, subtitle)}\n{body}\n</svg>\n"
    )

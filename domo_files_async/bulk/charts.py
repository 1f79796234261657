"""Plots as inline SVG, in colours that the page's light and dark themes name. No clock here."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("Series", "bars", "lines", "shares")

_WIDTH, _HEIGHT = 640, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 14, 12, 26
_KIB = 1024


@attrs.frozen
class Series:
    """One line of a plot.

    Attributes:
        label: What it is.
        values: Over time, evenly spaced; `None` where there is none.
        colour: Number of the theme's colour, from 1.
        filled: Whether the area below it is tinted.
    """

    label: str
    values: Sequence[float | None]
    colour: int = 1
    filled: bool = False


def lines(
    series: Sequence[Series],
    *,
    seconds: float,
    write: Callable[[float], str],
    title: str,
    binary: bool = False,
) -> str:
    """Draw values over time.

    Args:
        series: What to draw, over the same time.
        seconds: How long that was.
        write: Writes a value of the axis for people.
        title: What a screen reader says.
        binary: Whether the axis has round numbers of KiB, MiB and so on.
    """
    highest = max((v for one in series for v in one.values if v is not None), default=1.0)
    unit = 1.0
    while binary and highest / unit >= _KIB:
        unit *= _KIB
    top = _nice(highest / unit) * unit
    drawn = [_axes(top, seconds, write)]
    for one in series:
        points = [
            (_x(place, len(one.values)), _y(value, top))
            for place, value in enumerate(one.values)
            if value is not None
        ]
        if not points:
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        if one.filled:
            base = _HEIGHT - _BOTTOM
            area = f"{points[0][0]:.1f},{base} {path} {points[-1][0]:.1f},{base}"
            drawn.append(f'<polygon class="fill c{one.colour}" points="{area}"/>')
        if len(points) == 1:
            x, y = points[0]
            drawn.append(f'<circle class="dot c{one.colour}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
        drawn.append(f'<polyline class="line c{one.colour}" points="{path}"/>')
    return _svg(title, drawn) + _legend([(one.label, one.colour) for one in series])


def bars(
    rows: Sequence[tuple[str, float]], *, write: Callable[[float], str], title: str, colour: int = 1
) -> str:
    """Draw one bar a row, longest first to the eye, with its value beside it.

    Args:
        rows: Labels and values.
        write: Writes a value for people.
        title: What a screen reader says.
        colour: Number of the theme's colour, from 1.
    """
    longest = max((value for _, value in rows), default=0) or 1
    drawn = []
    for label, value in rows:
        share = 100 * value / longest
        drawn.append(
            f'<div class="row"><span class="name">{escape(label)}</span>'
            f'<span class="track"><span class="bar c{colour}" style="width:{share:.2f}%"></span>'
            f'</span><span class="value">{escape(write(value))}</span></div>'
        )
    return f'<div class="bars" role="img" aria-label="{escape(title)}">{"".join(drawn)}</div>'


def shares(rows: Sequence[tuple[str, float, int]], *, title: str) -> str:
    """Draw parts of a whole as one bar.

    Args:
        rows: Labels, values, and the numbers of the theme's colours.
        title: What a screen reader says.
    """
    total = sum(value for _, value, _ in rows) or 1
    pieces = "".join(
        f'<span class="c{colour}" style="width:{100 * value / total:.2f}%" '
        f'title="{escape(label)}"></span>'
        for label, value, colour in rows
        if value
    )
    labels = [(f"{label} {100 * value / total:.0f} %", colour) for label, value, colour in rows]
    return f'<div class="shares" role="img" aria-label="{escape(title)}">{pieces}</div>' + _legend(
        labels
    )


def _svg(title: str, drawn: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(drawn)}</svg>"
    )


def _axes(top: float, seconds: float, write: Callable[[float], str]) -> str:
    drawn = []
    for share in (0.0, 0.5, 1.0):
        y = _y(top * share, top)
        drawn.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(write(top * share))}</text>"
        )
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        x = _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
        drawn.append(
            f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">'
            f"{_clock(seconds * share)}</text>"
        )
    return "".join(drawn)


def _x(place: int, count: int) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (place / (count - 1) if count > 1 else 0.5)


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top


def _nice(value: float) -> float:
    """Give the next number above that is easy to read."""
    if value <= 0:
        return 1.0
    step = 1.0
    while step < value:
        step *= 10
    while step / 10 >= value:
        step /= 10
    return next(step * part for part in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if step * part >= value)


def _legend(labels: Sequence[tuple[str, int]]) -> str:
    drawn = "".join(
        f'<span><i class="c{colour}"></i>{escape(label)}</span>' for label, colour in labels
    )
    return f'<p class="legend">{drawn}</p>'


def _clock(seconds: float) -> str:
    if not seconds:
        return "0"
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.3g} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"

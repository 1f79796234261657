"""The ledger's table as a Mermaid state diagram, as a picture, and as a page's table.

`python docs/ledger_diagram.py` prints the diagram; the documentation shows the other two.
"""

from __future__ import annotations

import sys
from math import hypot
from typing import TYPE_CHECKING, TypeAlias

from domo_files_async.planning.ledger import TABLE, Choice, State

if TYPE_CHECKING:
    from collections.abc import Iterator

Step: TypeAlias = "tuple[State, str, State]"

WIDTH, HEIGHT, BOX, TALL = 740, 630, 134, 34
LEFT, MIDDLE, RIGHT = 80, 330, 640
PLACES: dict[State, tuple[float, float]] = {
    State.NEW: (MIDDLE, 30),
    State.SENDING: (MIDDLE, 130),
    State.COMPLETE: (MIDDLE, 240),
    State.COMMITTING: (MIDDLE, 350),
    State.SETTING_ACCESS: (MIDDLE, 480),
    State.DONE: (MIDDLE, 600),
    State.COMMIT_UNKNOWN: (RIGHT, 350),
    State.UNKNOWN: (RIGHT, 240),
    State.FAILED: (LEFT, 30),
    State.ABORTING: (LEFT, 190),
    State.PARKED: (LEFT, 430),
}
"""Where each state stands: the usual way downwards, doubts to the right, failures to the left."""

BENDS = {
    (State.SENDING, State.NEW): 60,
    (State.COMMITTING, State.NEW): -140,
    (State.COMMITTING, State.DONE): 88,
    (State.COMMIT_UNKNOWN, State.DONE): 60,
    (State.COMMIT_UNKNOWN, State.ABORTING): 20,
    (State.COMMIT_UNKNOWN, State.PARKED): 26,
}
"""How far an arrow swings to its left or right, where the straight way is taken."""

ON_THE_LEFT = frozenset({(State.SETTING_ACCESS, State.DONE), (State.SENDING, State.NEW)})
"""Arrows whose words stand to their left."""

ENDED = frozenset(
    {"Failed", "Cancelled", "CommitRefused", "AccessFailed", "Aborted", "AbortFailed"}
)


def steps() -> Iterator[Step]:
    """Give every transition; one that depends on what the ledger holds leads to several states."""
    for state, row in TABLE.items():
        for event, to in row.items():
            for end in to.states if isinstance(to, Choice) else (to,):
                yield state, event.__name__, end


def diagram() -> str:
    """Write it in Mermaid's words."""
    lines = ["stateDiagram-v2", "    [*] --> NEW"]
    lines += [f"    {state.name} --> {end.name}: {event}" for state, event, end in steps()]
    lines += [f"    {state.name} --> [*]" for state in TABLE if state.is_end]
    return "\n".join(lines)


def picture() -> str:
    """Draw it as SVG, in the colours of the page that it stands on.

    What leads from a state to itself, and what a later run takes up (`Resumed`), are left out.
    """
    arrows: dict[tuple[State, State], list[str]] = {}
    for state, event, end in steps():
        if state is not end and event != "Resumed":
            arrows.setdefault((state, end), []).append(event)
    shapes = [_arrow(*ends, events) for ends, events in arrows.items()]
    shapes += [_box(state) for state in TABLE]
    heads = "".join(
        f'<marker id="head-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path class="head {kind}" d="M0 0L8 4L0 8z"/></marker>'
        for kind in ("way", "end")
    )
    drawn = "".join(shapes)
    return (
        f'<div class="ledger"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="The states of one multipart upload"><defs>{heads}</defs>{drawn}</svg></div>'
    )


def table() -> str:
    """Write it as a table in Markdown, one line for each state and event."""
    rows: dict[tuple[State, str], list[str]] = {}
    for state, event, end in steps():
        rows.setdefault((state, event), []).append(f"`{end.name}`")
    lines = ["| in | when | then |", "|---|---|---|"]
    lines += [
        f"| `{state.name}` | {event} | {' or '.join(ends)} |"
        for (state, event), ends in rows.items()
    ]
    return "\n".join(lines) + "\n"


def _box(state: State) -> str:
    x, y = PLACES[state]
    kind = "state final" if state.is_end else "state"
    return (
        f'<rect class="{kind}" x="{x - BOX / 2}" y="{y - TALL / 2}" width="{BOX}" height="{TALL}" '
        f'rx="6"/><text class="name" x="{x}" y="{y + 4}">{state.name}</text>'
    )


def _arrow(state: State, end: State, events: list[str]) -> str:
    (x1, y1), (x2, y2) = PLACES[state], PLACES[end]
    far = hypot(x2 - x1, y2 - y1)
    bend = BENDS.get((state, end), 0)
    middle = (
        (x1 + x2) / 2 + 2 * bend * (y2 - y1) / far,
        (y1 + y2) / 2 - 2 * bend * (x2 - x1) / far,
    )
    (x1, y1), (x2, y2) = _edge((x1, y1), middle), _edge((x2, y2), middle)
    kind = "end" if set(events) <= ENDED else "way"
    told = ", ".join(events)
    shape = (
        f'<path class="arrow {kind}" marker-end="url(#head-{kind})" '
        f'd="M{x1:.0f} {y1:.0f}Q{middle[0]:.0f} {middle[1]:.0f} {x2:.0f} {y2:.0f}">'
        f"<title>{state.name} to {end.name}: {told}</title></path>"
    )
    if kind == "end":
        return shape
    x, y = (x1 + 2 * middle[0] + x2) / 4, (y1 + 2 * middle[1] + y2) / 4
    place, left, first = "right", x + 6, y + 4 - 7 * (len(events) - 1)
    if y1 == y2:
        place, left, first = "below", x, y + 15
    elif (state, end) in ON_THE_LEFT:
        place, left = "left", x - 6
    words = "".join(
        f'<tspan x="{left:.0f}" y="{first + 14 * number:.0f}">{event}</tspan>'
        for number, event in enumerate(events)
    )
    return f'{shape}<text class="event {place}">{words}</text>'


def _edge(box: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Give where a line from a box's middle leaves it."""
    (x, y), (to_x, to_y) = box, towards
    wide, high = abs(to_x - x) or 1e-9, abs(to_y - y) or 1e-9
    share = min((BOX / 2 + 3) / wide, (TALL / 2 + 3) / high)
    return x + (to_x - x) * share, y + (to_y - y) * share


if __name__ == "__main__":
    sys.stdout.write(diagram() + "\n")

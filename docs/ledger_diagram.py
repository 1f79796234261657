"""Print the ledger's table as a Mermaid state diagram: `python docs/ledger_diagram.py`."""

from __future__ import annotations

import sys

from domo_files_async.planning.ledger import TABLE, Choice


def diagram() -> str:
    """Draw every transition; one that depends on what the ledger holds leads to several states."""
    lines = ["stateDiagram-v2", "    [*] --> NEW"]
    for state, row in TABLE.items():
        for event, to in row.items():
            ends = to.states if isinstance(to, Choice) else (to,)
            lines += [f"    {state.name} --> {end.name}: {event.__name__}" for end in ends]
        if state.is_end:
            lines.append(f"    {state.name} --> [*]")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(diagram() + "\n")

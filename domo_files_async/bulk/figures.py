"""What a job's report says, in numbers: read from the journal's rows, drawn elsewhere."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from domo_files_async.bulk.monitor import how_ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domo_files_async.bulk.journal import Journal

__all__ = ("Figures", "Point", "read_figures")

_POINTS = 120
_SHOWN = 200
_SIZES = (
    ("empty", 1),
    ("to 1 KiB", 2**10),
    ("to 8 KiB", 2**13),
    ("to 64 KiB", 2**16),
    ("to 512 KiB", 2**19),
    ("to 4 MiB", 2**22),
    ("to 32 MiB", 2**25),
    ("to 256 MiB", 2**28),
    ("to 2 GiB", 2**31),
    ("larger", 2**62),
)


@attrs.frozen(kw_only=True)
class Point:
    """What went on in one step of time; rates are per second, latencies in seconds."""

    files: float = 0.0
    bytes: float = 0.0
    retries: float = 0.0
    failed: float = 0.0
    throttled: float = 0.0
    in_flight: float = 0.0
    p50: float | None = None
    p95: float | None = None


@attrs.frozen(kw_only=True)
class Figures:
    """A job in numbers.

    Attributes:
        made: When they were read.
        states: Items in each state, with their bytes.
        runs: When each run began, when it ended or was last seen alive, and how it ended: empty
            while it is under way.
        seconds: How long all runs were under way.
        step: Seconds between two points.
        points: What went on, over the time in which runs were under way.
        sizes: How many items are of which size.
        failures: How many failed, by what can be done and the words they begin with.
        troubles: The first items that failed or aren't known: source, state, words.
        requests: HTTP attempts.
        retries: Attempts that were followed by another.
        throttled: Seconds that the server asked to wait.
        limits: Seconds of all workers, by what they went into.
    """

    made: datetime
    states: dict[str, tuple[int, int]]
    runs: list[tuple[float, float, str]]
    seconds: float
    step: float
    points: Sequence[Point]
    sizes: Sequence[tuple[str, int]]
    failures: Sequence[tuple[str, int]]
    troubles: Sequence[tuple[str, str, str]]
    requests: int
    retries: int
    throttled: float
    limits: dict[str, float]

    @property
    def items(self) -> int:
        """How many there are."""
        return sum(count for count, _ in self.states.values())

    def count(self, *states: str) -> int:
        """Give how many are in one of these states."""
        return sum(self.states.get(state, (0, 0))[0] for state in states)

    @property
    def bytes_done(self) -> int:
        """Bytes of the items that are there."""
        return sum(self.states.get(state, (0, 0))[1] for state in ("uploaded", "revised"))


async def read_figures(journal: Journal) -> Figures:
    """Read a job's numbers from its journal."""
    runs = await journal.look("SELECT began, alive, ended, because FROM runs ORDER BY run")
    samples = [
        json.loads(figures)
        for (figures,) in await journal.look("SELECT figures FROM samples ORDER BY run, at")
    ]
    totals: Counter[str] = Counter()
    for sample in samples:
        totals.update(sample)
    seconds = sum(sample["seconds"] for sample in samples)
    step, points = _points(samples, seconds)
    failures = await journal.look(
        "SELECT state, coalesce(failure, ''), substr(error, 1, 400), count(*) FROM items "
        "WHERE state IN ('failed', 'unknown') GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 2000"
    )
    kinds: Counter[str] = Counter()
    for state, failure, error, count in failures:
        kinds[_kind(state, failure, error or "")] += count
    return Figures(
        made=datetime.now(UTC),
        states=dict(await journal.counts()),
        runs=[
            (began, ended or alive, how_ended(alive, ended, because))
            for began, alive, ended, because in runs
        ],
        seconds=seconds,
        step=step,
        points=points,
        sizes=await _sizes(journal),
        failures=kinds.most_common(12),
        troubles=await _troubles(journal),
        requests=int(totals["requests"]),
        retries=int(totals["retries"]),
        throttled=totals["throttled_ms"] / 1000,
        limits=_limits(samples, totals),
    )


def _points(samples: Sequence[dict[str, float]], seconds: float) -> tuple[float, list[Point]]:
    """Gather samples into steps of equal time, few enough to be drawn."""
    step = max(0.5, seconds / _POINTS)
    points: list[Point] = []
    gathered: list[dict[str, float]] = []
    elapsed = 0.0
    left = seconds
    for sample in samples:
        gathered.append(sample)
        elapsed += sample["seconds"]
        left -= sample["seconds"]
        # What is left at the end goes with the last step: a rate over a moment says nothing.
        if elapsed >= step and left >= step:
            points.append(_point(gathered, elapsed))
            gathered, elapsed = [], 0.0
    if gathered:
        points.append(_point(gathered, elapsed))
    return step, points


def _point(gathered: Sequence[dict[str, float]], elapsed: float) -> Point:
    totals: Counter[str] = Counter()
    for one in gathered:
        totals.update(one)
    seconds = elapsed or 1.0
    carried = sum(one.get("carried", 0) for one in gathered)

    def mean(figure: str) -> float | None:
        if not carried:
            return None
        return sum(one.get(figure, 0) * one.get("carried", 0) for one in gathered) / carried

    return Point(
        files=totals["done"] / seconds,
        bytes=totals["bytes"] / seconds,
        retries=totals["retries"] / seconds,
        failed=(totals["failed"] + totals["unknown"]) / seconds,
        throttled=min(1.0, totals["throttled_ms"] / 1000 / seconds),
        in_flight=totals["in_flight"] / max(1, len(gathered)),
        p50=mean("p50"),
        p95=mean("p95"),
    )


async def _sizes(journal: Journal) -> list[tuple[str, int]]:
    cases = " ".join(f"WHEN size < {limit} THEN {place}" for place, (_, limit) in enumerate(_SIZES))
    rows = await journal.look(
        f"SELECT CASE {cases} END, count(*) FROM items WHERE size IS NOT NULL GROUP BY 1"  # noqa: S608 - numbers
    )
    counts = dict(rows)
    found = [place for place in counts if place is not None]
    if not found:
        return []
    return [(_SIZES[place][0], counts.get(place, 0)) for place in range(min(found), max(found) + 1)]


async def _troubles(journal: Journal) -> list[tuple[str, str, str]]:
    rows = await journal.page("state IN ('failed', 'unknown')", limit=_SHOWN)
    return [
        (
            row.item.source,
            f"{row.known.state}, {row.known.failure}" if row.known.failure else row.known.state,
            row.known.error or "",
        )
        for row in rows
    ]


def _kind(state: str, failure: str, error: str) -> str:
    """Say in a few words what went wrong, so that alike is counted together."""
    words = error
    if " was answered with " in words:
        words = "answered with " + words.split(" was answered with ", 1)[1][:3]
    elif " can't be read" in words:
        words = "source can't be read"
    elif " was lost" in words:
        words = "the answer was lost"
    return f"{failure or state}: {words[:60]}"


def _limits(samples: Sequence[dict[str, float]], totals: Counter[str]) -> dict[str, float]:
    """Say what the workers' time went into.

    What a request takes however small it is, is the server's and the line's delay; what it takes
    besides is bytes on the network.
    """
    wire = totals["wire_ms"] / 1000
    floor = sum(one.get("floor", 0) * one.get("carried", 0) for one in samples)
    server = min(wire, floor)
    silent = sum(one.get("throttled_ms", 0) / 1000 * max(1.0, one["in_flight"]) for one in samples)
    return {
        "disk and digest": totals["load_ms"] / 1000,
        "journal": totals["journal_ms"] / 1000,
        "server's answers": server,
        "bytes on the network": wire - server,
        "rate limit": silent,
        "waits before retries": totals["retry_ms"] / 1000,
    }

"""Runs contestants in turns, each in a fresh process, and sums up what they say."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.jobs import MIB, Figures, Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.servers import Native, Tls

K = TypeVar("K")

ROOT = pathlib.Path(__file__).parent.parent
LONGEST_RUN = 600
LIBRARIES = {
    "httpx": "httpx",
    "requests": "requests",
    "boto3": "boto3",
    "obstore": "obstore",
    "pyopenssl": "OpenSSL",
}
"""What a contestant stands on, and what that is imported as."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """What all scenarios share.

    Attributes:
        folder: For the files that are moved.
        native: The programs in C, where there are any.
        tls: Certificates.
        repeats: How often each contestant runs.
        is_quick: Whether fewer and smaller things are to be done.
    """

    folder: pathlib.Path
    native: Native | None
    tls: Tls
    repeats: int
    is_quick: bool

    @property
    def client(self) -> str | None:
        """The native client."""
        return str(self.native.client) if self.native else None


@dataclasses.dataclass(frozen=True)
class Spread:
    """Median, least and greatest of what was measured several times."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Sum up."""
        known = sorted(values)
        return cls(*(round(v, 6) for v in (statistics.median(known), known[0], known[-1])))

    def __str__(self) -> str:
        digits = 0 if self.median >= 100 else 2 if self.median >= 2 else 3
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}-{self.greatest:.{digits}f})"


@dataclasses.dataclass(frozen=True)
class Check:
    """A promise, and whether it was kept.

    Attributes:
        promise: In words.
        found: What was measured, in words.
        is_reached: Whether that keeps it.
    """

    promise: str
    found: str
    is_reached: bool

    def __str__(self) -> str:
        return f"{'reached' if self.is_reached else 'NOT REACHED'}: {self.promise}: {self.found}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a scenario found: figures for the JSON file, and promises."""

    figures: dict[str, Any]
    checks: list[Check]


def installed(who: Iterable[str]) -> list[str]:
    """Give those contestants whose libraries are there; the others are named aloud."""
    found = []
    for one in who:
        name = one.partition(".")[2]
        if name in LIBRARIES and importlib.util.find_spec(LIBRARIES[name]) is None:
            print(f"{name} isn't installed, and doesn't take part")
        else:
            found.append(one)
    return found


def run(job: Job) -> Figures:
    """Run one contestant in a process of its own, whose environment names no proxy or trust."""
    named = re.compile("proxy$|ca_bundle$|ssl_cert", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if not named.search(name)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", job.dump()],
        check=False,
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN,
        cwd=ROOT,
        env=kept,
    )
    if done.returncode:
        raise RuntimeError(f"{job.who} failed with {done.returncode}:\n{done.stderr}")
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def interleave_by(
    jobs: Mapping[K, Job], repeats: int, *, after: Callable[[Job], None] = lambda _: None
) -> dict[K, list[Figures]]:
    """Run all jobs in turns, each time beginning with another one."""
    found: dict[K, list[Figures]] = {key: [] for key in jobs}
    keys = list(jobs)
    for turn in range(repeats):
        start = turn % len(keys)
        for key in [*keys[start:], *keys[:start]]:
            found[key].append(run(jobs[key]))
            after(jobs[key])
    return found


def interleave(
    jobs: Iterable[Job], repeats: int, *, after: Callable[[Job], None] = lambda _: None
) -> dict[str, list[Figures]]:
    """Run all contestants in turns; see `interleave_by`."""
    return interleave_by({job.who: job for job in jobs}, repeats, after=after)


def ratios(found: Mapping[str, Sequence[Figures]], who: str, other: str) -> Spread:
    """Compare the rates of two contestants, turn by turn."""
    pairs = zip(found[who], found[other], strict=True)
    return Spread.of(theirs.seconds / ours.seconds for ours, theirs in pairs)


def percentile(values: Iterable[float], share: float) -> float:
    """Give the value that a share of all doesn't exceed."""
    known = sorted(values)
    return known[min(len(known) - 1, int(len(known) * share))] if known else 0.0


def summary(runs: Sequence[Figures], amount: float, unit: str) -> dict[str, Any]:
    """Sum up one contestant's runs, each of which moved *amount*; the rate's *unit* names it."""
    late = [tick for one in runs for tick in one.late]
    return {
        unit: dataclasses.asdict(Spread.of(amount / one.seconds for one in runs)),
        "CPU s": dataclasses.asdict(Spread.of(one.cpu for one in runs)),
        "CPU s with imports": dataclasses.asdict(Spread.of(one.whole_cpu for one in runs)),
        "memory MiB": dataclasses.asdict(Spread.of(one.memory / MIB for one in runs)),
        "longest stall ms": dataclasses.asdict(
            Spread.of(max(one.late, default=0) * 1000 for one in runs)
        ),
        "stall p99.9 ms": round(percentile(late, 0.999) * 1000, 3),
    }


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay summaries out for a terminal."""
    columns = list(next(iter(rows.values())))
    cells = [["", *columns]]
    for name, row in rows.items():
        texts = [str(Spread(**v)) if isinstance(v, dict) else f"{v:g}" for v in row.values()]
        cells.append([name, *texts])
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )

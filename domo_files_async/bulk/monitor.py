"""What a run looks like from outside: counters for a live display, samples for the report."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import attrs

from domo_files_async.bulk.journal import LARGE
from domo_files_async.bulk.outcomes import Status
from domo_files_async.events import (
    PartRetried,
    PartSent,
    PartStarted,
    RequestFinished,
    RequestRetried,
    Throttled,
)

if TYPE_CHECKING:
    from domo_files_async.bulk.journal import Journal
    from domo_files_async.bulk.outcomes import Outcome
    from domo_files_async.events import Event

__all__ = ("JobStatus", "Monitor", "how_ended", "read_status")

_CARRIERS = frozenset({"upload_file", "upload_revision", "upload_part"})
_KEPT = 2000
_RECENT = 10.0
_DEAD_AFTER = 5.0


@attrs.frozen(kw_only=True)
class JobStatus:
    """How far a job is.

    Attributes:
        items: All items.
        done: Items that are there.
        failed: Items that failed.
        unknown: Items of which it can't be known.
        waiting: Items that are still to be done.
        bytes_done: Bytes of those that are there.
        bytes_total: Bytes of all of them, as far as known.
        is_running: Whether a process runs it.
        ended_because: How the last run ended; empty while one is under way.
        files_per_second: Of the last seconds.
        bytes_per_second: Of the last seconds.
        seconds_left: At that pace; `None` where there is none.
        in_flight: Items under way.
        parts_in_flight: Parts of large items under way.
        retries: Of this run.
        throttled: Seconds that the server asked to wait, in this run.
    """

    items: int
    done: int
    failed: int
    unknown: int
    waiting: int
    bytes_done: int
    bytes_total: int
    is_running: bool = False
    ended_because: str = ""
    files_per_second: float = 0.0
    bytes_per_second: float = 0.0
    seconds_left: float | None = None
    in_flight: int = 0
    parts_in_flight: int = 0
    retries: int = 0
    throttled: float = 0.0


class Monitor:
    """Counts what a run does."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.parts_in_flight = 0
        self._now: Counter[str] = Counter()
        self._latencies: list[float] = []
        self._sizes: list[tuple[int, float]] = []
        self._last = time.monotonic()

    def see(self, event: Event) -> None:
        """Take note of what the session tells."""
        match event:
            case RequestFinished(operation=operation, elapsed=elapsed, size=size, attempt=attempt):
                self._now["requests"] += 1
                if attempt > 1:
                    self._now["retries"] += 1
                if operation in _CARRIERS and len(self._latencies) < _KEPT:
                    self._latencies.append(elapsed)
                    self._sizes.append((size, elapsed))
                self._now["wire_ms"] += round(elapsed * 1000)
            case PartStarted():
                self.parts_in_flight += 1
            case PartSent(size=size):
                self.parts_in_flight = max(0, self.parts_in_flight - 1)
                self._now["bytes"] += size
            case PartRetried(delay=delay) | RequestRetried(delay=delay):
                self._now["retry_ms"] += round(delay * 1000)
            case Throttled(delay=delay):
                self._now["throttled_ms"] += round(delay * 1000)
            case _:
                pass

    def spent(self, stage: str, seconds: float) -> None:
        """Take note of a worker's time: `"load"` (disk and digest) or `"journal"`."""
        self._now[f"{stage}_ms"] += round(seconds * 1000)

    def ended(self, outcome: Outcome, *, is_last: bool = True) -> None:
        """Take note of an outcome; of a failure that is tried again, only its time counts."""
        if outcome.status in {Status.UPLOADED, Status.REVISED}:
            self._now["done"] += 1
            if (outcome.size_bytes or 0) < LARGE:
                self._now["bytes"] += outcome.size_bytes or 0
        elif is_last:
            self._now[outcome.status] += 1

    def sample(self) -> str | None:
        """Give the figures since the last sample as JSON; `None` where nothing happened."""
        now = time.monotonic()
        figures: dict[str, float] = dict(self._now)
        if not figures and not self.in_flight:
            self._last = now
            return None
        figures["seconds"] = round(now - self._last, 3)
        figures["in_flight"], figures["parts"] = self.in_flight, self.parts_in_flight
        if self._latencies:
            ordered = sorted(self._latencies)
            figures["p50"] = round(ordered[len(ordered) // 2], 4)
            figures["p95"] = round(ordered[len(ordered) * 95 // 100], 4)
            # What the smallest requests take is the server's and the line's, not the bytes'.
            small = sorted(self._sizes)[: max(1, len(self._sizes) // 4)]
            figures["floor"] = round(sum(elapsed for _, elapsed in small) / len(small), 4)
            figures["carried"] = len(self._latencies)
        self._now.clear()
        self._latencies.clear()
        self._sizes.clear()
        self._last = now
        return json.dumps(figures)


def how_ended(alive: float, ended: float | None, because: str | None) -> str:
    """Say how a run ended, from what the journal has of it; nothing while it is under way."""
    if ended is None and time.time() - alive < _DEAD_AFTER:
        return ""
    return because or "killed"


async def read_status(journal: Journal) -> JobStatus:
    """Read from a journal how far its job is, whoever runs it."""
    counts = await journal.counts()
    states = {state: count for state, (count, _) in counts.items()}
    done = [counts.get(state, (0, 0)) for state in ("uploaded", "revised")]
    files_done = sum(count for count, _ in done)
    bytes_done, bytes_total = sum(size for _, size in done), sum(s for _, s in counts.values())
    runs = await journal.look(
        "SELECT run, alive, ended, because FROM runs ORDER BY run DESC LIMIT 1"
    )
    run, alive, ended, because = runs[0] if runs else (0, 0.0, 0.0, "")
    now = time.time()
    ending = how_ended(alive, ended, because) if runs else ""
    is_running = bool(runs) and not ending
    rows = await journal.look("SELECT at, figures FROM samples WHERE run = ? ORDER BY at DESC", run)
    samples = [(at, json.loads(figures)) for at, figures in rows]
    recent = [figures for at, figures in samples if now - at <= _RECENT]
    seconds = sum(figures["seconds"] for figures in recent) or 1.0
    waiting = sum(states.get(state, 0) for state in ("new", "started", "made"))
    files = sum(figures.get("done", 0) for figures in recent) / seconds
    speed = sum(figures.get("bytes", 0) for figures in recent) / seconds
    left = [waiting / files] if files else []
    if speed:
        left.append((bytes_total - bytes_done) / speed)
    return JobStatus(
        items=sum(states.values()),
        done=files_done,
        failed=states.get("failed", 0),
        unknown=states.get("unknown", 0),
        waiting=waiting,
        bytes_done=bytes_done,
        bytes_total=bytes_total,
        is_running=is_running,
        ended_because=ending,
        files_per_second=files if is_running else 0.0,
        bytes_per_second=speed if is_running else 0.0,
        seconds_left=max(left, default=None) if is_running else None,
        in_flight=int(recent[0]["in_flight"]) if recent and is_running else 0,
        parts_in_flight=int(recent[0]["parts"]) if recent and is_running else 0,
        retries=sum(int(figures.get("retries", 0)) for _, figures in samples),
        throttled=sum(figures.get("throttled_ms", 0) for _, figures in samples) / 1000,
    )

"""Shows how far a job is: one live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from domo_files_async.cli.output import say, size_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from domo_files_async.bulk import Job, JobStatus

__all__ = ("described", "followed")

_LIVE_EVERY = 1.0
_LINE_EVERY = 10.0
_WIDTH = 30


def described(status: JobStatus) -> str:
    """Write in one line how far a job is."""
    words = [f"{status.done:,} of {status.items:,} files", f"{size_of(status.bytes_done)}"]
    if status.is_running:
        words += [
            f"{status.files_per_second:,.0f} files/s",
            f"{size_of(status.bytes_per_second)}/s",
            f"{_span(status.seconds_left)} left",
            f"{status.in_flight} under way, {status.parts_in_flight} parts",
        ]
    words.append(f"{status.retries:,} retries")
    words += [f"throttled for {status.throttled:.0f} s"] * bool(status.throttled)
    words += [f"{status.failed:,} failed"] * bool(status.failed)
    words += [f"{status.unknown:,} unknown"] * bool(status.unknown)
    if not status.is_running:
        words.append(status.ended_because or "not run yet")
    return " · ".join(words)


@asynccontextmanager
async def followed(job: Job, *, as_json: bool) -> AsyncIterator[None]:
    """Show how far a job is for as long as it runs."""
    console = Console(stderr=True, highlight=False, emoji=False)
    async with contextlib.AsyncExitStack() as stack:
        if console.is_terminal and not as_json:
            live = stack.enter_context(
                Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
            )
            task = asyncio.create_task(_live(job, live))
        else:
            task = asyncio.create_task(_lines(job))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


async def _live(job: Job, live: Live) -> None:
    while True:
        status = await job.status()
        share = status.done / status.items if status.items else 0.0
        bar = "━" * round(share * _WIDTH)
        text = Text()
        text.append(bar, style="green").append("─" * (_WIDTH - len(bar)), style="dim")
        text.append(f" {share:.1%}\n").append(described(status))
        live.update(text, refresh=True)
        await asyncio.sleep(_LIVE_EVERY)


async def _lines(job: Job) -> None:
    while True:
        await asyncio.sleep(_LINE_EVERY)
        # Standard output is for results.
        say(described(await job.status()), as_json=True)


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"

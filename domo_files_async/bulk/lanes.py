"""Two lanes of workers over a journal's rows, so that small items never wait for large ones."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from domo_files_async.bulk.journal import Journal, Row

__all__ = ("Lanes",)

_LOOK_AGAIN = 0.1


class Lanes:
    """Gives rows to workers, page by page.

    Args:
        journal: Has the rows.
        one: Does one of them.
        small: Workers for small items.
        large: Workers for large ones.
        no_more: Set once nobody adds items any more.

    Attributes:
        parked: Set once nothing more is to be begun.
    """

    def __init__(
        self,
        journal: Journal,
        one: Callable[[Row], Awaitable[None]],
        *,
        small: int,
        large: int,
        no_more: asyncio.Event,
    ) -> None:
        self._journal = journal
        self._do = one
        self._workers = (small, large)
        self._no_more = no_more
        self._large: set[asyncio.Future[None]] = set()
        self.parked = asyncio.Event()

    def park(self) -> None:
        """Begin nothing more; small items that are under way are finished, large ones cancelled."""
        self.parked.set()
        for task in self._large:
            task.cancel()

    async def wait(self, seconds: float) -> None:
        """Wait, but no longer than until it is parked."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.parked.wait()

    async def run(self, where: str, *values: Any) -> None:
        """Do all rows of a condition, in both lanes at once; its first value is the lane's."""
        await _together(
            *(
                self._lane(workers, where, lane, *values)
                for lane, workers in enumerate(self._workers)
            )
        )

    async def _lane(self, workers: int, where: str, lane: int, *values: Any) -> None:
        rows: asyncio.Queue[Row | None] = asyncio.Queue(workers)
        await _together(
            self._feed(rows, workers, where, lane, *values),
            *(self._work(rows, is_large=bool(lane)) for _ in range(workers)),
        )

    async def _feed(
        self, rows: asyncio.Queue[Row | None], workers: int, where: str, *values: Any
    ) -> None:
        after = 0
        while not self.parked.is_set():
            is_last = self._no_more.is_set()
            page = await self._journal.page(where, after, *values)
            if not page and is_last:
                break
            if not page:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN):
                        await self._no_more.wait()
                continue
            after = page[-1].number
            for row in page:
                await rows.put(row)
        for _ in range(workers):
            await rows.put(None)

    async def _work(self, rows: asyncio.Queue[Row | None], *, is_large: bool) -> None:
        while (row := await rows.get()) is not None:
            if self.parked.is_set():
                continue
            if not is_large:
                await self._do(row)
                continue
            task = asyncio.ensure_future(self._do(row))
            self._large.add(task)
            try:
                await asyncio.wait({task})
            finally:
                self._large.discard(task)
                if not task.done():
                    task.cancel()
                    await asyncio.wait({task})
            if not task.cancelled():
                task.result()


async def _together(*work: Any) -> None:
    """Do all at once; the first failure stops the others, and is the one that is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

"""Threads of the emulator's own, so that none is left when it is closed."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Workers",)

P = ParamSpec("P")
T = TypeVar("T")
_POLL = 0.0005


class Workers:
    """A few threads for what would block the loop.

    Args:
        count: How many at most; with one, jobs keep their order.

    Attributes:
        is_closing: What a long job looks at, in order to end early.
    """

    def __init__(self, count: int) -> None:
        self.is_closing = False
        self._threads: list[threading.Thread] = []
        self._pool = ThreadPoolExecutor(
            count,
            thread_name_prefix="emulator",
            initializer=lambda: self._threads.append(threading.current_thread()),
        )

    async def run(self, job: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Do *job* in a thread, and give what it gives."""
        return await asyncio.wrap_future(self._pool.submit(job, *args, **options))

    def submit(self, job: Callable[P, object], *args: P.args, **options: P.kwargs) -> None:
        """Do *job* in a thread, some time before the workers are closed."""
        self._pool.submit(job, *args, **options)

    async def close(self) -> None:
        """End the threads, after the jobs that were given to them."""
        self.is_closing = True
        self._pool.shutdown(wait=False)
        # Joining would block the loop, and a thread to join them in would be one more to end.
        while any(thread.is_alive() for thread in self._threads):  # noqa: ASYNC110 - no event
            await asyncio.sleep(_POLL)

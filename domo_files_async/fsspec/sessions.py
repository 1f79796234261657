"""Sessions of a file system: one an event loop, entered at its first use."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from domo_files_async.session import DomoFilesSession

__all__ = ("OnLoop", "close_all")

_PATIENCE = 2.0


class OnLoop:
    """What a file system has on one event loop: a session, entered at its first use."""

    def __init__(self, factory: Callable[[], DomoFilesSession]) -> None:
        self._factory = factory
        self._entered: asyncio.Task[DomoFilesSession] | None = None
        self.listing: asyncio.Lock = asyncio.Lock()

    async def session(self) -> DomoFilesSession:
        """Give the session; the first who asks makes it."""
        if self._entered is None or (self._entered.done() and self._entered.exception()):
            self._entered = asyncio.create_task(self._factory().__aenter__())
        return await asyncio.shield(self._entered)

    async def close(self) -> None:
        """Leave the session."""
        if self._entered is not None:
            session = await self._entered
            await session.__aexit__(None, None, None)


def close_all(on_loops: dict[asyncio.AbstractEventLoop, OnLoop], process: int) -> None:
    """Close the sessions of a file system that is gone, on the loops that still run.

    Args:
        on_loops: The file system's.
        process: Where it was made; one that was forked from it has the loops, and nobody in them.
    """
    if os.getpid() != process:
        return
    for loop, one in on_loops.items():
        if not loop.is_running():
            continue
        closing = asyncio.run_coroutine_threadsafe(one.close(), loop)
        with suppress(RuntimeError):
            if asyncio.get_running_loop() is loop:
                continue
        with suppress(TimeoutError):
            closing.result(_PATIENCE)

"""Work off the loop: hashing and reading in a few threads, safe to cancel.

A thread can't be stopped, so what it works on stays pinned until it is done, and a cancelled
caller waits a moment for it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hashlib
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from domo_files_async.engine.buffers import Lease

__all__ = ("Threads", "sha256_hex", "update_digest")

P = ParamSpec("P")
T = TypeVar("T")
Opened = TypeVar("Opened", bound="Closable")

_STEP = 1024 * 1024
_FINISH_WITHIN = 1.0


class Closable(Protocol):
    """Something that is closed."""

    def close(self) -> object: ...


class Threads:
    """The session's threads.

    Args:
        count: How many at most; they start when they are needed.
    """

    def __init__(self, count: int) -> None:
        self.executor = concurrent.futures.ThreadPoolExecutor(
            count, thread_name_prefix="domo-files"
        )

    async def run(
        self,
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call *function* in a thread; when cancelled, wait up to a second for its end."""
        return await self.run_on((), function, *args, **kwargs)

    async def open(
        self, function: Callable[P, Opened], *args: P.args, **kwargs: P.kwargs
    ) -> Opened:
        """Call *function*, which opens something; when cancelled, that is closed again."""
        job = self.executor.submit(function, *args, **kwargs)
        try:
            return await asyncio.shield(asyncio.wrap_future(job))
        except asyncio.CancelledError:
            if not job.cancel():
                job.add_done_callback(_close_result)
                await asyncio.wait({asyncio.wrap_future(job)}, timeout=_FINISH_WITHIN)
            raise

    async def run_on(
        self,
        leases: Iterable[Lease],
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call *function*, which uses the memory of *leases*, in a thread."""
        pinned = tuple(leases)
        loop = asyncio.get_running_loop()
        job = self.executor.submit(function, *args, **kwargs)
        if pinned:
            for lease in pinned:
                lease.pin()

            def unpin() -> None:
                for lease in pinned:
                    lease.unpin()

            def done(_: concurrent.futures.Future[T]) -> None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reuses it
                    loop.call_soon_threadsafe(unpin)

            job.add_done_callback(done)
        waited = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(waited)
        except asyncio.CancelledError:
            if not job.cancel():
                await asyncio.wait({waited}, timeout=_FINISH_WITHIN)
                if waited.done() and not waited.cancelled():
                    waited.exception()
            raise

    def close(self) -> None:
        """Let the threads end; waits for none."""
        self.executor.shutdown(wait=False, cancel_futures=True)


def _close_result(job: concurrent.futures.Future[Any]) -> None:
    if not job.cancelled() and job.exception() is None:
        job.result().close()


def sha256_hex(views: Iterable[memoryview]) -> str:
    """Give the SHA-256 of all *views* in their order, as lower-case hex."""
    digest = hashlib.sha256()
    update_digest(digest, views)
    return digest.hexdigest()


def update_digest(digest: hashlib._Hash, views: Iterable[memoryview]) -> None:
    """Feed *views* in steps, so that the interpreter's lock is asked for often enough."""
    for view in views:
        for offset in range(0, len(view), _STEP):
            digest.update(view[offset : offset + _STEP])

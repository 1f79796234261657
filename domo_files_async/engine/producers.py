"""Waits for producers that may stall for ever, where nobody else has to wait for them.

A named pipe is watched by the loop. What only a call can wait for that blocks has a thread of its
own, which ends with its source, or with the call that it is in; the process doesn't wait for it.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

from domo_files_async.engine.quick_jobs import carry_out

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator, Callable

    from domo_files_async.engine.quick_jobs import Job

__all__ = ("OwnThread", "read_pipe")

P = ParamSpec("P")
T = TypeVar("T")

_Jobs: TypeAlias = "SimpleQueue[Job | None]"


class OwnThread(Executor):
    """A thread of one source's; it starts when it is needed."""

    def __init__(self) -> None:
        self._jobs: _Jobs = SimpleQueue()
        self._is_started = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have *fn* called after what was submitted before."""
        if not self._is_started:
            Thread(target=_work, args=(self._jobs,), name="domo-files-source", daemon=True).start()
            self._is_started = True
        job: Future[T] = Future()
        self._jobs.put((job, lambda: fn(*args, **kwargs)))
        return job

    def close(self) -> None:
        """Let it end; doesn't wait."""
        self._jobs.put(None)


def _work(jobs: _Jobs) -> None:
    # The interpreter closes its standard input at its end if nobody has it any more, and dies of
    # that while a thread reads it.
    kept = sys.stdin
    while (job := jobs.get()) is not None:
        carry_out(*job)
        del job
    del kept


async def read_pipe(raw: io.FileIO, size: int) -> AsyncIterator[bytes]:
    """Give what comes through a named pipe that was opened without blocking, *size* at most each.

    It seems to be at its end until its first writer has come, but isn't readable so far.
    """
    while True:
        await _readable(raw.fileno())
        chunk = raw.read(size)
        if chunk is None:  # another reader took it
            continue
        if not chunk:
            return
        yield chunk


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    is_ready = asyncio.Event()
    loop.add_reader(fd, is_ready.set)
    try:
        await is_ready.wait()
    finally:
        loop.remove_reader(fd)

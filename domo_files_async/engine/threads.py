"""Work off the loop: hashing, reading and writing in a few threads, safe to cancel.

What moves and hashes much has threads of its own, as many as leave the loop its share of the
cores: with more, all parts would be ready at the same late moment. Small jobs never wait for it.

A thread can't be stopped, so what it works on stays pinned until it is done, and a cancelled
caller waits a moment for it. What is long goes in turns, between which others' jobs are done.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hashlib
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from domo_files_async.engine.quick_jobs import Answers, QuickJobs
from domo_files_async.engine.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from domo_files_async.engine.buffers import Lease
    from domo_files_async.engine.producers import OwnThread

__all__ = ("TURN", "Threads")

P = ParamSpec("P")
T = TypeVar("T")
Opened = TypeVar("Opened", bound="Closable")

TURN = 16 * 1024 * 1024
"""Bytes that are moved or hashed in one job."""

_STEP = 1024 * 1024
_FINISH_WITHIN = 1.0
_SMALL_JOBS = 4


class Closable(Protocol):
    """Something that is closed."""

    def close(self) -> object: ...


class Threads:
    """The session's threads; they start when they are needed.

    Args:
        cores: Of the machine.

    Attributes:
        executor: Of small jobs.
        shelf: Of files that threads read.
    """

    def __init__(self, cores: int) -> None:
        prefix = "domo-files"
        self.shelf = Shelf()
        self.executor = concurrent.futures.ThreadPoolExecutor(_SMALL_JOBS, prefix)
        self._answers = Answers()
        self._quick_jobs = QuickJobs(self.executor, self._answers)
        self._movers = concurrent.futures.ThreadPoolExecutor(max(2, min(4, cores - 1)), prefix)
        receivers = max(1, min(4, cores // 2))
        self._receivers = concurrent.futures.ThreadPoolExecutor(receivers, prefix)
        # One for each that receives, so that none waits for another, nor anything else for them.
        self._digesters = concurrent.futures.ThreadPoolExecutor(receivers, prefix)
        self._flusher = concurrent.futures.ThreadPoolExecutor(1, prefix)

    async def run(
        self,
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call *function*, a small job; when cancelled, wait up to a second for its end."""
        return await _ended(*self._start(self.executor, (), function, *args, **kwargs))

    async def open(
        self, function: Callable[P, Opened], *args: P.args, **kwargs: P.kwargs
    ) -> Opened:
        """Call *function*, which opens something quickly; when cancelled, that is closed again."""
        job, answer = self._start(self._quick_jobs, (), function, *args, **kwargs)
        try:
            return await _ended(job, answer)
        except asyncio.CancelledError:
            if not job.cancelled():
                job.add_done_callback(_close_result)
            raise

    async def run_on(
        self,
        leases: Iterable[Lease],
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call *function*, which moves or hashes much, in the memory of *leases* or elsewhere."""
        return await _ended(*self._start(self._movers, tuple(leases), function, *args, **kwargs))

    async def update_digest(
        self, leases: Sequence[Lease], digest: hashlib._Hash, views: Iterable[memoryview]
    ) -> None:
        """Feed *digest* with *views*, in the memory of *leases* or elsewhere, in turns."""
        for turn in _turns(views):
            await self.run_on(leases, _update, digest, turn)

    async def sha256_hex(self, leases: Sequence[Lease], views: Iterable[memoryview]) -> str:
        """Give the SHA-256 of all *views* in their order, as lower-case hex; hash in turns."""
        digest = hashlib.sha256()
        await self.update_digest(leases, digest, views)
        return digest.hexdigest()

    async def run_in(
        self, own: OwnThread, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call *function*, which may stall for ever, in a thread that nothing else waits for."""
        return await _ended(*self._start(own, (), function, *args, **kwargs))

    async def receive(
        self, lease: Lease, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call *function*, which receives into the memory of *lease*; it may `begin` one other."""
        return await _ended(*self._start(self._receivers, (lease,), function, *args, **kwargs))

    def begin(self, function: Callable[[], object]) -> concurrent.futures.Future[object]:
        """Begin to call *function*, which digests what a thread receives that calls this."""
        return self._digesters.submit(function)

    def _start(
        self,
        pool: QuickJobs | concurrent.futures.Executor,
        leases: Sequence[Lease],
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[concurrent.futures.Future[T], asyncio.Future[T]]:
        """Begin a job in the memory of *leases*; give it, and what the loop will be told of it."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = pool.submit(function, *args, **kwargs)
        for lease in leases:
            lease.pin()
        job.add_done_callback(lambda job: self._answers.put(job, answer, leases))
        return job, answer

    def flush(self, function: Callable[[], object]) -> None:
        """Have *function* called, which waits for the disk; nobody waits for it, nor behind it."""
        with contextlib.suppress(RuntimeError):  # the threads have ended
            self._flusher.submit(function)

    async def finish(self, function: Callable[[], object]) -> None:
        """Call *function* in any case: also when cancelled meanwhile, or when the threads end."""
        try:
            job = self.executor.submit(function)
        except RuntimeError:
            function()
            return
        job.add_done_callback(lambda job: function() if job.cancelled() else None)
        waited = asyncio.wrap_future(job)
        try:
            await asyncio.shield(waited)
        except asyncio.CancelledError:
            await asyncio.wait({waited}, timeout=_FINISH_WITHIN)
            raise

    def close(self) -> None:
        """Let the threads end; waits for none."""
        self._quick_jobs.close()
        self.executor.shutdown(wait=False, cancel_futures=True)
        self._movers.shutdown(wait=False, cancel_futures=True)
        self._receivers.shutdown(wait=False, cancel_futures=True)
        self._digesters.shutdown(wait=False, cancel_futures=True)
        self._flusher.shutdown(wait=False, cancel_futures=True)


async def _ended(job: concurrent.futures.Future[T], answer: asyncio.Future[T]) -> T:
    try:
        return await answer
    except asyncio.CancelledError:
        if not job.cancel():
            waited = asyncio.wrap_future(job)
            # Nobody may wait any more by the time it fails.
            waited.add_done_callback(_take_error)
            await asyncio.wait({waited}, timeout=_FINISH_WITHIN)
        raise


def _take_error(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()


def _close_result(job: concurrent.futures.Future[Any]) -> None:
    if not job.cancelled() and job.exception() is None:
        job.result().close()


def _turns(views: Iterable[memoryview]) -> Iterator[list[memoryview]]:
    turn: list[memoryview] = []
    room = TURN
    for view in views:
        rest = view
        while len(rest) >= room:
            yield [*turn, rest[:room]]
            turn, rest, room = [], rest[room:], TURN
        if rest:
            turn.append(rest)
            room -= len(rest)
    if turn:
        yield turn


def _update(digest: hashlib._Hash, views: Iterable[memoryview]) -> None:
    """Feed *views* in steps, so that the interpreter's lock is asked for often enough."""
    for view in views:
        for offset in range(0, len(view), _STEP):
            digest.update(view[offset : offset + _STEP])

"""Has a thread do many quick jobs in one go, and tells the loop of all of them at once.

Each system call of a thread hands the interpreter's lock to the loop's thread and takes it back
after, which costs both more than opening and reading a small file does. So the loop stands aside
while a thread does all that was asked for in one turn of it: the time that this takes is less than
what the loop would lose by going on.

Rule 1: the loop stands aside for a millisecond at most, and after a time in which that was too
short, not at all for a while.
Rule 2: what isn't done by then goes to as many threads as there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from domo_files_async.engine.buffers import Lease

__all__ = ("Answers", "Job", "QuickJobs", "carry_out")

P = ParamSpec("P")
T = TypeVar("T")

_ASIDE = 0.001
"""Seconds that the loop stands aside at most."""

_NOT_ASIDE = 0.1
"""Seconds in which it doesn't, after it did so in vain."""

Job: TypeAlias = "tuple[Future[Any], Callable[[], Any]]"
_Answer: TypeAlias = "asyncio.Future[Any]"


class Answers:
    """What threads have done and the loop wasn't told yet: waking it up costs more than a job."""

    def __init__(self) -> None:
        self._done: deque[tuple[Future[Any], _Answer, Sequence[Lease]]] = deque()
        self._is_announced = False

    def put(self, job: Future[Any], answer: _Answer, leases: Sequence[Lease]) -> None:
        """Have the loop told; called in the thread that did the job, or that cancelled it."""
        self._done.append((job, answer, leases))
        # Whoever sees it set came before `_give`, which clears it first and then gives everything.
        if not self._is_announced:
            self._is_announced = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                answer.get_loop().call_soon_threadsafe(self._give)

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """Wake nobody up in this block, which the loop's thread is in: tell it at the end."""
        self._is_announced = True
        try:
            yield
        finally:
            self._give()

    def _give(self) -> None:
        self._is_announced = False
        while self._done:
            job, answer, leases = self._done.popleft()
            for lease in leases:
                lease.unpin()
            if answer.done():
                continue
            if job.cancelled():
                answer.cancel()
            elif (error := job.exception()) is not None:
                is_allowed = not isinstance(error, StopIteration)
                answer.set_exception(error if is_allowed else RuntimeError(repr(error)))
            else:
                answer.set_result(job.result())


class QuickJobs:
    """Jobs that are quick but for a slow disk; used on the loop's thread.

    Args:
        executor: Has the threads.
        answers: Told of what was done.
    """

    def __init__(self, executor: Executor, answers: Answers) -> None:
        self._executor = executor
        self._answers = answers
        self._waiting: deque[Job] = deque()
        self._is_asked = False
        self._in_vain_until = 0.0

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have *function* called, with all others of this turn of the loop."""
        job: Future[T] = Future()
        self._waiting.append((job, lambda: function(*args, **kwargs)))
        if not self._is_asked:
            self._is_asked = True
            asyncio.get_running_loop().call_soon(self._begin)
        return job

    def close(self) -> None:
        """Cancel what waits."""
        while self._waiting:
            job, _ = self._waiting.popleft()
            job.cancel()

    def _begin(self) -> None:
        self._is_asked = False
        jobs, self._waiting = self._waiting, deque()
        now = asyncio.get_running_loop().time()
        try:
            if now >= self._in_vain_until and not self._stand_aside(jobs):
                self._in_vain_until = now + _NOT_ASIDE
            for _ in range(len(jobs)):
                self._executor.submit(_do_one, jobs)
        except RuntimeError as error:  # the threads have ended, or none can be had
            while jobs:
                job, _ = jobs.popleft()
                if job.set_running_or_notify_cancel():
                    job.set_exception(error)

    def _stand_aside(self, jobs: deque[Job]) -> bool:
        """Let one thread do all *jobs*; say whether they were done in time."""
        are_done = threading.Event()
        with self._answers.awaited():
            self._executor.submit(_do_all, jobs, are_done)
            return are_done.wait(_ASIDE)


def _do_all(jobs: deque[Job], are_done: threading.Event) -> None:
    while _do_one(jobs):
        pass
    are_done.set()


def _do_one(jobs: deque[Job]) -> bool:
    """Do the next of *jobs*; say whether there was one."""
    try:
        job, call = jobs.popleft()
    except IndexError:
        return False
    carry_out(job, call)
    return True


def carry_out(job: Future[Any], call: Callable[[], Any]) -> None:
    """Do a job, if nobody cancelled it."""
    if not job.set_running_or_notify_cancel():
        return
    try:
        value = call()
    except BaseException as error:  # noqa: BLE001 - it is told to whoever waits
        job.set_exception(error)
    else:
        job.set_result(value)

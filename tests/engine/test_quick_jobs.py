"""Quick jobs, and how the loop learns what threads have done."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from domo_files_async.engine import quick_jobs as module
from domo_files_async.engine.quick_jobs import Answers, QuickJobs
from domo_files_async.engine.threads import Threads


@pytest.fixture
def executor():
    with ThreadPoolExecutor(4) as executor:
        yield executor


@pytest.fixture
def asides(monkeypatch):
    """Count how often the loop stands aside, for as long as it takes unless a test says less."""
    counted = []
    stand_aside = QuickJobs._stand_aside

    def count(self, jobs):
        counted.append(len(jobs))
        return stand_aside(self, jobs)

    monkeypatch.setattr(QuickJobs, "_stand_aside", count)
    monkeypatch.setattr(module, "_ASIDE", 60)
    return counted


async def test_what_is_asked_for_in_one_turn_is_done_in_one_go(executor, asides):
    quick = QuickJobs(executor, Answers())
    jobs = [quick.submit(threading.get_ident) for _ in range(20)]
    await asyncio.sleep(0)
    threads = {job.result(0) for job in jobs}
    assert asides == [20]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_no_job_waits_for_a_slow_one(executor, asides, monkeypatch):
    monkeypatch.setattr(module, "_ASIDE", 0.001)
    monkeypatch.setattr(module, "_NOT_ASIDE", 60)
    quick, released = QuickJobs(executor, Answers()), threading.Event()
    slow = quick.submit(released.wait)
    others = [quick.submit(threading.get_ident) for _ in range(20)]
    await asyncio.gather(*map(asyncio.wrap_future, others))
    assert not slow.done()
    # While that was in vain, the loop doesn't do it again.
    await asyncio.wrap_future(quick.submit(threading.get_ident))
    assert asides == [21]
    released.set()
    assert await asyncio.wrap_future(slow)


async def test_the_loop_stands_aside_again_after_a_while(executor, asides, monkeypatch):
    monkeypatch.setattr(module, "_NOT_ASIDE", 0)
    monkeypatch.setattr(module, "_ASIDE", 0)
    quick = QuickJobs(executor, Answers())
    for _ in range(3):
        await asyncio.wrap_future(quick.submit(threading.get_ident))
    assert asides == [1, 1, 1]


async def test_the_answers_of_one_go_are_there_when_it_is_over(asides):
    threads = Threads(2)
    loop = asyncio.get_running_loop()
    woken = []
    wake, loop.call_soon_threadsafe = loop.call_soon_threadsafe, woken.append
    try:
        opened = await asyncio.gather(*(threads.open(Opened, number) for number in range(20)))
    finally:
        loop.call_soon_threadsafe = wake
        threads.close()
    assert [one.number for one in opened] == list(range(20))
    assert not woken
    assert asides == [20]


class Opened:
    """Something that is opened."""

    def __init__(self, number):
        self.number = number
        self.is_closed = False
        if number < 0:
            raise OSError("it isn't there")

    def close(self):
        self.is_closed = True


async def test_each_error_comes_to_its_own_caller():
    threads = Threads(2)
    done = await asyncio.gather(
        threads.open(Opened, 1), threads.open(Opened, -1), return_exceptions=True
    )
    threads.close()
    assert done[0].number == 1
    assert isinstance(done[1], OSError)


async def test_what_is_cancelled_before_its_turn_is_never_called(executor, asides):
    quick, called = QuickJobs(executor, Answers()), []
    jobs = [quick.submit(called.append, number) for number in range(3)]
    jobs[1].cancel()
    await asyncio.sleep(0)
    assert called == [0, 2]
    assert asides == [3]


async def test_what_was_opened_for_a_caller_who_is_gone_is_closed(asides):
    threads, made = Threads(2), []

    def open_something():
        made.append(Opened(1))
        return made[0]

    task = asyncio.create_task(threads.open(open_something))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    threads.close()
    assert task.cancelled()
    assert made[0].is_closed
    assert asides == [1]


async def test_without_threads_the_caller_learns_why():
    threads = Threads(2)
    waiting = asyncio.create_task(threads.open(Opened, 1))
    await asyncio.sleep(0)
    threads.executor.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        await waiting


async def test_what_waits_when_all_ends_is_cancelled():
    threads = Threads(2)
    waiting = asyncio.create_task(threads.open(Opened, 1))
    await asyncio.sleep(0)
    threads.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting

"""Runs a call, and cancels its task at the nth suspension point of any task that the call made."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar

_running: ContextVar[Steps | None] = ContextVar("steps", default=None)

MOMENTS = ("suspended", "resumed")
"""A cancel comes as a task suspends, or in the turn in which what it waits for is there."""

AGAIN = ("once", "next", "cleanup")
"""A second cancel comes never, at the next suspension point of any task, or when the caller's task
waits for its own clean-up; there even a third one."""

_WATCHDOG = 15
_MOST_CANCELS = 3


class Steps:
    """The suspension points of one call, in all tasks that it made.

    Attributes:
        is_armed: Whether they are counted; a call may set it after its preparations.
        count: How many there were so far.
        fired: How many there were at the first cancel; 0 until then.
        after: How many there were from the first cancel to the end of the call.
        tasks: All tasks that the call made.
    """

    def __init__(self, nth, *, moment="suspended", again="once", on_fire=lambda: None):
        self.nth = nth
        self.moment = moment
        self.again = again
        self.on_fire = on_fire
        self.is_armed = True
        self.count = self.cancels = self.fired = self.after = 0
        self.tasks = []

    def __repr__(self):
        return f"<cancelled at {self.fired or self.nth}, {self.moment}, {self.again}>"

    async def run(self, coroutine):
        """Give what the call gives, or raise what it raises."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(_make_task)
        token = _running.set(self)
        try:
            self.task = loop.create_task(coroutine)
        finally:
            _running.reset(token)
        try:
            done, _ = await asyncio.wait({self.task}, timeout=_WATCHDOG)
        finally:
            loop.set_task_factory(None)
        assert done, f"{self} doesn't end: {self.task.get_stack()}"
        self.after = self.count - self.fired
        return self.task.result()

    def suspended(self, stepped, waited):
        """Take note that a task gives *waited* to the loop."""
        if not self.is_armed or self.task.done():
            return
        self.count += 1
        is_cleaning_up = stepped is self.task.get_coro() and stepped.was_thrown
        if (
            self.count == self.nth
            or (self.again == "next" and self.count == self.nth + 1)
            or (self.again == "cleanup" and is_cleaning_up and self.cancels < _MOST_CANCELS)
        ):
            self._let_cancel(waited)

    def _let_cancel(self, waited):
        if self.moment == "suspended":
            self._cancel()
        elif asyncio.isfuture(waited) and not waited.done():
            waited.add_done_callback(lambda _: self._cancel())
        else:
            asyncio.get_running_loop().call_soon(self._cancel)

    def _cancel(self):
        if not self.fired:
            self.fired = self.count
            self.on_fire()
        self.cancels += 1
        self.task.cancel()


class _Stepped(Coroutine):
    """A coroutine that tells of each suspension."""

    def __init__(self, coroutine, steps):
        self._coroutine = coroutine
        self._steps = steps
        self.was_thrown = False

    def __repr__(self):
        return repr(self._coroutine)

    def __await__(self):
        return self

    def send(self, value):
        waited = self._coroutine.send(value)
        self._steps.suspended(self, waited)
        return waited

    def throw(self, *error):
        self.was_thrown |= isinstance(error[0], asyncio.CancelledError)
        waited = self._coroutine.throw(*error)
        self._steps.suspended(self, waited)
        return waited

    def close(self):
        self._coroutine.close()


def _make_task(loop, coroutine, **words):
    context = words.get("context")
    steps = _running.get() if context is None else context.get(_running)
    if steps is None:
        return asyncio.Task(coroutine, loop=loop, **words)
    task = asyncio.Task(_Stepped(coroutine, steps), loop=loop, **words)
    steps.tasks.append(task)
    return task

"""Who may use the network, when and how fast; the only owner of permits. No clock but the loop's.

Rule 1: a permit is for one request that moves bytes; owners take turns, so that a small transfer
isn't stuck behind a large one. How many there are is `planning.pacing`'s to say, from what is
measured here: bytes that the other side has taken, and requests that it refused.
Rule 2: silence that the server asked for is the whole session's, and only ever grows.
Rule 3: the bandwidth cap is one queue, in the order of asking.
Rule 4: requests that move no bytes need no permit, so that none waits behind a large transfer; how
many of them go at once is bounded too, since each connection costs memory.
Rule 5: where all of it is lent, nothing is begun nor gone on with once that time is over.
Rule 6: whoever has a permit waits for the network only. Who waits for its caller lends it, since
the caller may be waiting for one; what has begun takes it back without waiting for anybody.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from domo_files_async.planning.pacing import ConcurrencyController, TokenBucket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from types import TracebackType

__all__ = ("Lending", "Limits", "Room")

_BURST = 64 * 1024
_LEAST = 16 * 1024
_MOMENT = 0.02
_LOOK_EVERY = 0.025
_LARGE = 1024 * 1024
_NEWEST = 0.3
_BUSY = 0.7
"""Share of the processors from which on more requests at once would only share what is there."""

_LEAST_LIGHT = 4
_URGENT = 32
_PROMPT = 0.1
"""Seconds within which a caller comes back for more, and keeps its permit."""


class Limits:
    """A session's permits, silence and bandwidth.

    Args:
        ceiling: Permits that may be out at once.
        adaptive: Whether fewer are given out where the link takes fewer.
        rate: Bytes a second that may be sent; `None` for no cap.

    Attributes:
        ceiling: Permits that may be out at once at most.
        in_flight: Permits that are out, but for those of whoever moves bytes at a pace of its own.
        each: Bytes a second that a large request moved lately; 0 while unknown.
        light: Held while a request that moves no bytes is under way.
        urgent: Held instead by those that wait for none of the others.
    """

    def __init__(self, ceiling: int, *, adaptive: bool = False, rate: float | None = None) -> None:
        self.ceiling = self._allowed = ceiling
        self.in_flight = 0
        self.each = 0.0
        self._is_each_known = asyncio.Event()
        self._each_by: float | None = None
        self._controller = ConcurrencyController(ceiling) if adaptive else None
        self._leisurely = 0
        self._waiting = _Turns()
        self._waiting_leisurely = _Turns()
        self.light = asyncio.Semaphore(max(_LEAST_LIGHT, ceiling // 2))
        self.urgent = asyncio.Semaphore(_URGENT)
        self._held: dict[asyncio.Task[object] | None, tuple[Hashable, float]] = {}
        self._rooms: set[Room] = set()
        self._silent_until = 0.0
        self._lent_until = math.inf
        self._lent_anew = asyncio.Event()
        self._bucket = TokenBucket(rate, burst=_BURST)
        self._paced = asyncio.Lock()
        self._rate_changed = asyncio.Event()
        self._gauges: set[Callable[[], int]] = set()
        self._moved = 0
        self._seen = 0
        self._timer: asyncio.TimerHandle | None = None
        self._least = self._most = 0
        self._load = _Load()

    def __repr__(self) -> str:
        return f"<Limits {self.in_flight} out, {self._controller or self.ceiling}>"

    @property
    def limit(self) -> int:
        """How many permits may be out now."""
        return self.ceiling if self._controller is None else self._controller.limit

    def permit(self, owner: Hashable) -> AbstractAsyncContextManager[None]:
        """Hold a permit in an `async with`.

        Args:
            owner: The transfer that it is for: transfers take turns, and each is served in order.
        """
        return _Permit(self, owner)

    @asynccontextmanager
    async def leisurely_permit(self, owner: Hashable) -> AsyncIterator[Lending]:
        """Hold a permit for bytes that move at the caller's pace, which may take for ever.

        It says nothing about the link, so that it only counts against the ceiling; the last place
        is never such a one's.

        Args:
            owner: See `permit`.
        """
        turn = self._waiting_leisurely.add(owner)
        self._admit()
        await self._granted(turn, self._leave_leisurely)
        lending = Lending(self._leave_leisurely, self._rejoin_leisurely)
        try:
            yield lending
        finally:
            lending.close()
            self._leave_leisurely()

    def lending(self) -> Lending:
        """Lend a `permit` that is held, in a `with` in which its holder waits for the caller."""
        return Lending(self._leave, self._rejoin)

    async def rest(self, waiting: Awaitable[object]) -> None:
        """Wait for something without the permit that this task may hold; get it back before others.

        Args:
            waiting: What is waited for.
        """
        task = asyncio.current_task()
        owner, _ = self._held.pop(task, (None, 0.0))
        if owner is None:
            await waiting
            return
        self._leave()
        await waiting
        await self._acquire(owner, is_first=True)
        self._held[task] = owner, asyncio.get_running_loop().time()

    def room(self, ahead: int) -> Room:
        """Give a count of what one transfer has under way: its permits, and *ahead* more."""
        return Room(self, ahead)

    def refuse(self, began: float) -> None:
        """Take note that the server took a request of this task for one too many.

        Args:
            began: The loop's time when it was sent.
        """
        if self._controller is None:
            return
        others = self.in_flight - (asyncio.current_task() in self._held)
        self._controller.on_refused(began, others, asyncio.get_running_loop().time())

    def metered(self, gauge: Callable[[], int]) -> AbstractContextManager[None]:
        """Measure what is sent in a `with` block; where that raises, it doesn't count.

        Args:
            gauge: Gives the bytes that the other side has taken.
        """
        return _Metering(self, gauge)

    def begin_gauge(self, gauge: Callable[[], int]) -> None:
        """Look at *gauge*, too."""
        self._gauges.add(gauge)

    def end_gauge(self, gauge: Callable[[], int], began: float | None) -> None:
        """Look at *gauge* for the last time; its bytes count where *began* says since when."""
        self._gauges.discard(gauge)
        if began is None:
            return
        moved = gauge()
        self._moved += moved
        if moved >= _LARGE:
            each = moved / max(asyncio.get_running_loop().time() - began, 1e-6)
            self.each += (each - self.each) * (_NEWEST if self.each else 1)
            self._is_each_known.set()

    async def wait_each(self, seconds: float) -> None:
        """Wait until `each` is known, at most *seconds* from when that was first asked."""
        if self._each_by is None:
            self._each_by = asyncio.get_running_loop().time() + seconds
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._each_by):
                await self._is_each_known.wait()

    def received(self, size: int) -> None:
        """Take note of bytes that came, where this task holds a permit for them."""
        if asyncio.current_task() in self._held:
            self._moved += size

    def replied(self, seconds: float) -> None:
        """Take note of how long a small request took."""
        if self._controller is not None:
            self._controller.on_latency(seconds)

    def hold(self, seconds: float) -> None:
        """Let nothing be sent for *seconds*; a longer silence that was asked for stays."""
        until = asyncio.get_running_loop().time() + seconds
        self._silent_until = max(self._silent_until, until)

    async def wait_hold(self) -> None:
        """Wait until the silence is over, and until what was lent is lent anew."""
        now = asyncio.get_running_loop().time
        while (left := self._silent_until - now()) > 0:  # noqa: ASYNC110 - it can be extended
            await asyncio.sleep(left)
        await self._wait_lent()

    def set_ceiling(self, ceiling: int) -> None:
        """Change how many permits may be out at once, 0 for none; those that are out stay so."""
        # Memory is divided by it, also while nothing may go.
        self.ceiling = max(1, ceiling)
        self._allowed = ceiling
        self._admit()

    def lend(self, until: float) -> None:
        """Let nothing be begun nor gone on with after *until*, in the loop's time."""
        self._lent_until = until
        self._lent_anew.set()

    async def _wait_lent(self) -> None:
        now = asyncio.get_running_loop().time
        while now() >= self._lent_until:
            self._lent_anew.clear()
            await self._lent_anew.wait()

    def set_rate(self, rate: float | None) -> None:
        """Change the bandwidth cap, also for those who wait already."""
        self._bucket.set_rate(rate, asyncio.get_running_loop().time())
        self._rate_changed.set()
        if self._controller is not None:
            self._controller.restart()

    async def pace(self, size: int) -> int:
        """Wait until bytes may be sent.

        Args:
            size: Bytes that are there to be sent.

        Returns:
            How many of them may go now: under a cap not all, so that many slow connections don't
            look like dead ones to the server.
        """
        if self._lent_until < math.inf:
            await self._wait_lent()
        rate = self._bucket.rate
        if rate is None:
            return size
        size = min(size, max(_LEAST, int(rate * _MOMENT)))
        now = asyncio.get_running_loop().time
        async with self._paced:
            delay = self._bucket.delay(size, now())
            while delay > 0 and await self._slept(delay):
                # What is owed is paid at the new rate.
                delay = self._bucket.delay(0, now())
        return size

    async def _slept(self, delay: float) -> bool:
        """Wait; say whether the rate changed meanwhile."""
        self._rate_changed.clear()
        try:
            async with asyncio.timeout(delay):
                return await self._rate_changed.wait()
        except TimeoutError:
            return False

    async def take(self, owner: Hashable) -> None:
        """Wait for a permit, which this task holds from then on."""
        await self._acquire(owner)
        self._held[asyncio.current_task()] = owner, asyncio.get_running_loop().time()

    def give_back(self, *, is_finished: bool) -> None:
        """Give back the permit that this task holds, if it does.

        Args:
            is_finished: Whether what it was for was done.
        """
        owner, began = self._held.pop(asyncio.current_task(), (None, 0.0))
        if owner is None:
            return
        if is_finished and self._controller is not None:
            self._controller.on_finished(asyncio.get_running_loop().time() - began)
        self._leave()

    async def _acquire(self, owner: Hashable, *, is_first: bool = False) -> None:
        turn = self._waiting.add(owner, is_first=is_first)
        self._admit()
        await self._granted(turn, self._leave)

    async def _granted(self, turn: asyncio.Future[None], give_back: Callable[[], None]) -> None:
        if turn.done():
            return
        try:
            await turn
        except asyncio.CancelledError:
            # A cancelled turn is passed over when it comes; one that had come goes to the next.
            if not turn.cancelled():
                give_back()
            raise

    def _leave(self) -> None:
        self.in_flight -= 1
        self._admit()

    def _rejoin(self) -> None:
        self.in_flight += 1
        self._note()

    def _leave_leisurely(self) -> None:
        self._leisurely -= 1
        self._admit()

    def _rejoin_leisurely(self) -> None:
        self._leisurely += 1

    def _admit(self) -> None:
        while self._has_leisurely_place and self._waiting_leisurely.grant():
            self._leisurely += 1
        while self._has_place and self.in_flight < self.limit and self._waiting.grant():
            self.in_flight += 1
        self._note()

    @property
    def _has_place(self) -> bool:
        return self.in_flight + min(self._leisurely, max(0, self._allowed - 1)) < self._allowed

    @property
    def _has_leisurely_place(self) -> bool:
        is_last = self._leisurely >= max(1, self._allowed - 1)
        return not is_last and self.in_flight + self._leisurely < self._allowed

    def _note(self) -> None:
        """Keep how few and how many were out since the last look; look on while any is."""
        self._least = min(self._least, self.in_flight)
        self._most = max(self._most, self.in_flight)
        if self._timer is None and self._controller is not None and self.in_flight:
            loop = asyncio.get_running_loop()
            self._load.begin(loop.time())
            self._timer = loop.call_later(_LOOK_EVERY, self._look, self._controller, loop.time())

    def _look(self, controller: ConcurrencyController, before: float) -> None:
        """Tell the controller what went on, and do what it says."""
        loop = asyncio.get_running_loop()
        now, total = loop.time(), self._moved + sum(gauge() for gauge in self._gauges)
        is_steady = self._least == self._most and self._silent_until <= before
        work = max(0, total - self._seen)
        in_flight = self._least if is_steady else None
        controller.observe(now, work, in_flight, is_busy=self._load.is_high(now))
        self._seen = total
        self._admit()
        self._least = self._most = self.in_flight
        for room in self._rooms:
            room.changed.set()
        self._timer = None
        if self.in_flight:
            self._timer = loop.call_later(_LOOK_EVERY, self._look, controller, now)


class _Load:
    """How much of the machine's processors this process uses."""

    def __init__(self) -> None:
        affinity = getattr(os, "sched_getaffinity", None)
        self._cores = len(affinity(0)) if affinity else os.cpu_count() or 1
        self._share: float | None = None
        self._seen = 0.0, 0.0

    def begin(self, now: float) -> None:
        """Begin anew, at the loop's time."""
        self._share, self._seen = None, (now, time.process_time())

    def is_high(self, now: float) -> bool:
        """Look, at the loop's time; say whether it is most of them."""
        used = time.process_time()
        (before, used_before), self._seen = self._seen, (now, used)
        share = (used - used_before) / self._cores / max(now - before, 1e-6)
        self._share = (
            share if self._share is None else self._share + (share - self._share) * _NEWEST
        )
        return self._share > _BUSY


class _Metering:
    __slots__ = ("_began", "_gauge", "_limits")

    def __init__(self, limits: Limits, gauge: Callable[[], int]) -> None:
        self._limits = limits
        self._gauge = gauge

    def __enter__(self) -> None:
        self._began = asyncio.get_running_loop().time()
        self._limits.begin_gauge(self._gauge)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._limits.end_gauge(self._gauge, None if kind is not None else self._began)


class _Permit:
    """A permit, held in an `async with`; a generator's would cost more than all that it does."""

    __slots__ = ("_limits", "_owner")

    def __init__(self, limits: Limits, owner: Hashable) -> None:
        self._limits = limits
        self._owner = owner

    async def __aenter__(self) -> None:
        await self._limits.take(self._owner)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._limits.give_back(is_finished=kind is None)


class Lending:
    """Lends a permit while its holder waits for the caller, if that takes more than a moment.

    Args:
        give: Gives the permit away.
        take: Takes it back, without waiting.
    """

    __slots__ = ("_give", "_is_closed", "_is_lent", "_take", "_timer")

    def __init__(self, give: Callable[[], None], take: Callable[[], None]) -> None:
        self._give = give
        self._take = take
        self._timer: asyncio.TimerHandle | None = None
        self._is_lent = self._is_closed = False

    def begin(self) -> None:
        """Wait for the caller."""
        if not self._is_closed and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PROMPT, self.lend)

    def lend(self) -> None:
        """Lend it at once."""
        if not self._is_closed and not self._is_lent:
            self._is_lent = True
            self._give()

    def end(self) -> None:
        """Go on: the caller is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_lent:
            self._is_lent = False
            self._take()

    def close(self) -> None:
        """Have it for the last time, and lend it no more."""
        self.end()
        self._is_closed = True

    def __enter__(self) -> None:
        self.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


class _Turns:
    """Who waits: owners take turns, and each is served in order."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[asyncio.Future[None]]] = {}

    def add(self, owner: Hashable, *, is_first: bool = False) -> asyncio.Future[None]:
        turn = asyncio.get_running_loop().create_future()
        if is_first:
            queue = self._queues.pop(owner, deque())
            queue.appendleft(turn)
            self._queues = {owner: queue, **self._queues}
        else:
            self._queues.setdefault(owner, deque()).append(turn)
        return turn

    def grant(self) -> bool:
        """Let the next one go; `False` if nobody waits."""
        while self._queues:
            owner = next(iter(self._queues))
            queue = self._queues.pop(owner)
            turn = queue.popleft()
            if queue:
                self._queues[owner] = queue
            if not turn.cancelled():
                turn.set_result(None)
                return True
        return False


class Room:
    """How many parts one transfer may have under way."""

    def __init__(self, limits: Limits, ahead: int) -> None:
        self._limits = limits
        self._ahead = ahead
        self._inside = 0
        self.changed = asyncio.Event()

    async def enter(self) -> None:
        """Wait until there is room for one more; one task at a time."""
        rooms = self._limits._rooms  # noqa: SLF001 - two halves of one thing
        rooms.add(self)
        try:
            while self._inside >= self._limits.limit + self._ahead:
                self.changed.clear()
                await self.changed.wait()
        finally:
            rooms.discard(self)
        self._inside += 1

    def leave(self) -> None:
        """Make room for one."""
        self._inside -= 1
        self.changed.set()

"""Who may use the network, when and how fast; the only owner of permits. No clock but the loop's.

Rule 1: a permit is for one request that moves bytes; owners take turns, so that a small transfer
isn't stuck behind a large one.
Rule 2: silence that the server asked for is the whole session's, and only ever grows.
Rule 3: the bandwidth cap is one queue, in the order of asking.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from domo_files_async.planning.pacing import TokenBucket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

__all__ = ("Limits",)

_BURST = 64 * 1024
_LEAST = 16 * 1024
_MOMENT = 0.02


class Limits:
    """A session's permits, silence and bandwidth.

    Args:
        ceiling: Permits that may be out at once.
        rate: Bytes a second that may be sent; `None` for no cap.
    """

    def __init__(self, ceiling: int, *, rate: float | None = None) -> None:
        self._ceiling = ceiling
        self._in_flight = 0
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._silent_until = 0.0
        self._bucket = TokenBucket(rate, burst=_BURST)
        self._paced = asyncio.Lock()
        self._rate_changed = asyncio.Event()

    @property
    def ceiling(self) -> int:
        """How many permits may be out at once."""
        return self._ceiling

    @property
    def in_flight(self) -> int:
        """How many permits are out."""
        return self._in_flight

    def set_ceiling(self, ceiling: int) -> None:
        """Change how many permits may be out; those that are out stay."""
        self._ceiling = ceiling
        self._admit()

    @asynccontextmanager
    async def permit(self, owner: Hashable) -> AsyncIterator[None]:
        """Hold a permit.

        Args:
            owner: The transfer that it is for: transfers take turns, and each is served in order.
        """
        await self._acquire(owner)
        try:
            yield
        finally:
            self._in_flight -= 1
            self._admit()

    def hold(self, seconds: float) -> None:
        """Let nothing be sent for *seconds*; a longer silence that was asked for stays."""
        until = asyncio.get_running_loop().time() + seconds
        self._silent_until = max(self._silent_until, until)

    async def wait_hold(self) -> None:
        """Wait until the silence is over."""
        now = asyncio.get_running_loop().time
        while (left := self._silent_until - now()) > 0:  # noqa: ASYNC110 - it can be extended
            await asyncio.sleep(left)

    def set_rate(self, rate: float | None) -> None:
        """Change the bandwidth cap, also for those who wait already."""
        self._bucket.set_rate(rate, asyncio.get_running_loop().time())
        self._rate_changed.set()

    async def pace(self, size: int) -> int:
        """Wait until bytes may be sent.

        Args:
            size: Bytes that are there to be sent.

        Returns:
            How many of them may go now: under a cap not all, so that many slow connections don't
            look like dead ones to the server.
        """
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

    async def _acquire(self, owner: Hashable) -> None:
        if self._in_flight < self._ceiling and not self._waiting:
            self._in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            # A cancelled turn is passed over when it comes; one that had come goes to the next.
            if not turn.cancelled():
                self._in_flight -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting and self._in_flight < self._ceiling:
            owner = next(iter(self._waiting))
            queue = self._waiting.pop(owner)
            turn = queue.popleft()
            if queue:
                self._waiting[owner] = queue
            if not turn.cancelled():
                self._in_flight += 1
                turn.set_result(None)

"""Ends requests on which nothing moves any more: there is no time-out for a request as a whole.

A movement only notes the time. One timer for all requests looks now and then how long ago each
one's last was, and drops the connection of one that stands still; whoever waits for that connection
then learns that it is lost.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("StallWatch", "Stalls")

_LOOKS = 4
"""Looks in the time that may pass without a movement."""


class Stalls:
    """Looks after all requests that are being watched.

    Args:
        after: Seconds in which something has to move.

    Attributes:
        after: The same seconds.
    """

    def __init__(self, after: float) -> None:
        self.after = after
        self._watched: set[StallWatch] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watch: StallWatch) -> None:
        """Begin to look after *watch*."""
        self._watched.add(watch)
        if self._timer is None:
            self._look_in(self.after / _LOOKS)

    def discard(self, watch: StallWatch) -> None:
        """Look after it no more."""
        self._watched.discard(watch)

    def close(self) -> None:
        """Look after none any more."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        soonest = self.after / _LOOKS
        for watch in list(self._watched):
            left = watch.left(now)
            if left <= 0:
                self._watched.discard(watch)
                watch.end()
            else:
                soonest = min(soonest, left)
        if self._watched:
            self._look_in(soonest)


class StallWatch:
    """Watches one request, in the `with` blocks in which it has to move.

    Args:
        stalls: Looks after it.
        gauge: Tells how many bytes are on their way; each change is a movement.
        drop: Drops the connection.

    Attributes:
        is_stalled: Whether it was ended because nothing moved.
    """

    __slots__ = ("_drop", "_gauge", "_level", "_moved_at", "_stalls", "is_stalled")

    def __init__(
        self, stalls: Stalls, gauge: Callable[[], int], drop: Callable[[], object]
    ) -> None:
        self._stalls = stalls
        self._gauge = gauge
        self._drop = drop
        self._level = 0
        self._moved_at: float | None = None
        self.is_stalled = False

    @property
    def after(self) -> float:
        """Seconds in which something has to move."""
        return self._stalls.after

    def __enter__(self) -> None:
        """Begin; the time counts from the first `moved` on."""
        self._moved_at = None
        self._stalls.add(self)

    def __exit__(self, *_: object) -> None:
        self._stalls.discard(self)

    def moved(self) -> None:
        """Start the time anew."""
        self._moved_at = asyncio.get_running_loop().time()

    def pause(self) -> None:
        """Stop the time until something moves."""
        self._moved_at = None

    def left(self, now: float) -> float:
        """Look, and say how many seconds are left."""
        level, self._level = self._level, self._gauge()
        if self._moved_at is None:
            return self.after
        if self._level != level:
            self._moved_at = now
        return self._moved_at + self.after - now

    def end(self) -> None:
        """Drop the connection."""
        self.is_stalled = True
        self._drop()

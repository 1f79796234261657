"""Lets uploads begin a few at a time, however many are begun at once.

To begin one takes a tenth of a millisecond: a thousand in one turn of the loop would hold it up.
"""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ("Entrance",)

_AT_ONCE = 64
"""Uploads that begin in one turn of the loop."""


class Entrance:
    """Where uploads begin, in order."""

    def __init__(self) -> None:
        self._entered = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Wait until the loop has had its turn, if many have begun in this one."""
        loop = asyncio.get_running_loop()
        if self._entered < _AT_ONCE:
            if not self._entered:
                loop.call_soon(self._let_in)
            self._entered += 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _let_in(self) -> None:
        self._entered = 0
        while self._waiting and self._entered < _AT_ONCE:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._entered += 1
        if self._entered:
            asyncio.get_running_loop().call_soon(self._let_in)
